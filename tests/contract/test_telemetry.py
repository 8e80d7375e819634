"""Section 4: counts against hand-worked sums and the oracle."""

import functools
import re

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import accumulator
from tests.contract import cases
from tests.contract import engines
from tests.contract import oracle

# Sums of 18 products in words of one: up to 9 and back, 18, -18, 0.
ROWS = np.array([
    [1] * 9 + [-1] * 9,
    [1] * 18,
    [-1] * 18,
    [1, -1] * 9,
])


def count(x, w, register, preload=None, **geometry):
  measured = accumulator.telemetry(
      jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32), register,
      None if preload is None else jnp.asarray(preload, jnp.float32),
      **geometry,
  )
  assert measured._fields == oracle.Telemetry._fields
  assert all(v.shape == () for v in measured)
  return tuple(cases.integers(v) for v in measured)


@pytest.mark.parametrize(
    ('mode', 'sign_flip'),
    # Wrap: 18 -> 2, -18 -> -2. Saturate: 9 and back ends at -2.
    [('exact', 0), ('wrap', 0), ('saturate', 1)],
)
def test_literal_counts(mode, sign_flip):
  register = accumulator.Accumulator(4, mode, 1)
  # Farthest: 9 - 7, 18 - 7, -8 + 18, none.
  assert count(ROWS, np.ones((18, 1)), register) == (
      4, 2, 1, sign_flip, 2 + 11 + 10
  )


@pytest.mark.parametrize(
    ('mode', 'sign_flip'), [('exact', 0), ('wrap', 2), ('saturate', 0)]
)
def test_wrapping_flips_signs(mode, sign_flip):
  register = accumulator.Accumulator(4, mode, 1)
  # 9 -> -7, -9 -> 7.
  x = np.array([[1] * 9, [-1] * 9])
  assert count(x, np.ones((9, 1)), register) == (2, 2, 0, sign_flip, 2 + 1)


def test_a_sum_of_zero_counts_as_positive():
  # Saturation at 1 and three steps down: -1, where the exact sum is 0.
  x = np.array([[1, 1, 1, -1, -1, -1]])
  register = accumulator.Accumulator(2, 'saturate', 1)
  assert count(x, np.ones((6, 1)), register) == (1, 0, 1, 1, 2)
  # The other way around it ends at 1, and 0 has the same sign.
  assert count(-x, np.ones((6, 1)), register) == (1, 0, 1, 0, 1)


def test_popcount_counts_in_the_range_of_its_register():
  # u = 1 a word: 1, 2, 3 in [-2, 1]; results 2 * -1 = -2 and 2 * 1 = 2.
  x, w = np.ones((1, 6)), np.ones((6, 1))
  for mode, flips in (('exact', 0), ('wrap', 1), ('saturate', 0)):
    register = accumulator.Accumulator(2, mode, 2, 'popcount')
    assert count(x, w, register) == (1, 1, 0, flips, 2)


def test_a_preload_on_the_edge_is_inside():
  register = accumulator.Accumulator(4, 'wrap', 1)
  w = np.array([[1, 1, -1, -1]])
  assert count([[1]], w, register, [7, -8, 7, -8]) == (4, 2, 0, 2, 2)


@hypothesis.given(
    data=st.data(), bits=st.integers(2, 5), unit=st.sampled_from(cases.UNITS)
)
@cases.FEW
def test_exact_prefixes_do_not_depend_on_the_mode(data, bits, unit):
  x, w = data.draw(cases.operands(cases.CONV_1D['same']))
  counts = [
      count(x, w, accumulator.Accumulator(bits, mode, 2, unit))
      for mode in cases.MODES
  ]
  shared = {(c[0], c[1], c[2], c[4]) for c in counts}
  assert len(shared) == 1
  assert counts[0][3] == 0
  outputs, persistent, transient, _, magnitude = counts[0]
  assert outputs == 2 * 7 * 4
  assert persistent + transient <= outputs
  assert magnitude >= persistent + transient


@pytest.mark.parametrize('mode', cases.MODES)
@pytest.mark.parametrize('unit', cases.UNITS)
def test_counts_add_up_over_examples_under_jit_and_vmap(mode, unit):
  shape = cases.CONV_2D['multiplier']
  x = jnp.asarray(cases.fill('mostly ones', (4, *shape.x), 1), jnp.float32)
  w = jnp.asarray(cases.fill('mostly ones', shape.w, 2), jnp.float32)
  run = functools.partial(
      accumulator.telemetry,
      accumulator=accumulator.Accumulator(2, mode, 1, unit),
      **shape.geometry,
  )
  each = jax.jit(jax.vmap(run, (0, None)))(x, w)
  together = run(x.reshape(-1, *shape.x[1:]), w)
  assert [int(v.sum()) for v in each] == [int(v) for v in together]
  assert int(together.persistent) > 0


@pytest.mark.parametrize('engine', engines.NAMES)
@pytest.mark.parametrize('mode', cases.MODES)
@hypothesis.given(data=st.data())
@cases.FEW
def test_counting_changes_no_result(engine, mode, data):
  case = data.draw(cases.cases(cases.WIDE['words in taps'], modes=(mode,)))
  *operands, preload = cases.arguments(case)
  counted, plain = (
      engines.through(
          engine, *operands, preload, with_telemetry=counting, **case.geometry
      )
      for counting in (True, False)
  )
  assert cases.integers(counted.result) == cases.integers(plain.result)
  assert cases.integers(counted.exact) == cases.integers(plain.exact)
  assert plain.telemetry is None


@pytest.mark.parametrize('mode', cases.MODES)
def test_what_is_not_counted_costs_nothing(mode):
  shape = cases.WIDE['words in taps']
  register = accumulator.Accumulator(4, mode, 8)
  x, w = jnp.ones(shape.x), jnp.ones(shape.w)

  def program(run, **options):
    run = functools.partial(
        run, accumulator=register, **shape.geometry, **options
    )
    # But for the addresses of functions.
    return re.sub('0x[0-9a-f]+', '', str(jax.make_jaxpr(run)(x, w)))

  def result(*operands, **options):
    return accumulator.accumulate(*operands, with_exact=False, **options).result

  never_asked = program(accumulator.conv)
  assert program(result, with_telemetry=False) == never_asked
  assert program(result, with_telemetry=True) != never_asked
