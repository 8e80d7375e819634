import jax.numpy as jnp
import pytest

from bnn_jax.nn import register

VALUES = jnp.arange(-200, 201)


@pytest.mark.parametrize('mode', register.MODES)
def test_a_factor_of_1_changes_nothing(mode):
  made = register.Accumulator(5, mode)
  assert made.widened(VALUES, 1.0).tolist() == made.register(VALUES).tolist()


@pytest.mark.parametrize('mode', register.MODES)
def test_a_factor_of_4_is_two_bits_more(mode):
  wide = register.Accumulator(7, mode).register(VALUES)
  found = register.Accumulator(5, mode).widened(VALUES, 4.0)
  assert found.tolist() == wide.tolist()


def test_ranges_between_two_widths():
  # [-24, 24).
  wrapped = register.Accumulator(5, 'wrap').widened(VALUES, 1.5)
  assert wrapped.tolist() == [(v + 24) % 48 - 24 for v in VALUES.tolist()]
  clamped = register.Accumulator(5, 'saturate').widened(VALUES, 1.5)
  assert clamped.tolist() == [max(-24, min(v, 23)) for v in VALUES.tolist()]
