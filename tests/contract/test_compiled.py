"""What the compiled library takes, and how it shares its work."""

import jax
import jax.numpy as jnp
import pytest

from bnn_jax.nn import accumulator
from bnn_jax.nn import geometry
from bnn_jax.nn.kernels import compiled
from tests.contract import cases


@pytest.mark.parametrize('change', [
  {'start': (8,)}, {'w': (3, 1, 6, 9)}, {'image': (5, 1, 9)},
  {'image': (4, 1, 8)}, {'plan': {12: 0}}, {'plan': {8: 2}}, {'plan': {0: 0}},
  {'plan': {4: -1}},
])
@pytest.mark.skipif(not compiled.levels(), reason='there is no library')
def test_the_library_refuses_what_would_lead_out_of_a_buffer(change):
  sizes = {
    'x': (2, 4, 1, 5), 'w': (3, 1, 5, 9), 'start': (9,), 'image': (4, 1, 9),
  }
  register = accumulator.Accumulator(4, 'saturate')
  shape = geometry.geometry((2, 4, 5), (3, 5, 9))

  def run(change):
    plan = compiled._plan(register, True, shape, 'portable', True)
    for place, value in change.get('plan', {}).items():
      plan[place] = value
    given = sizes | {k: v for k, v in change.items() if k != 'plan'}
    values = compiled._call(
      jnp.ones(given['x']), jnp.ones(given['w']),
      jnp.zeros(given['start'], jnp.int32), plan, given['image'],
    )
    return jax.block_until_ready(values)

  assert [value.shape for value in run({})] == [(2, 4, 1, 9)] * 2
  with pytest.raises(Exception, match='other arguments than it knows'):
    run(change)


@pytest.mark.parametrize('positions', [3, 16, 17, 19, 24, 100])
@pytest.mark.parametrize('engine', compiled.levels())
def test_positions_of_a_single_tap_are_shared_by_threads(engine, positions):
  x = jnp.asarray(cases.fill('random', (positions, 20), 1), jnp.float32)
  w = jnp.asarray(cases.fill('random', (20, 9), 2), jnp.float32)
  images = compiled._images(x, geometry.geometry(x.shape, w.shape))
  assert images.shape[0] >= min(positions, 8)
  register = accumulator.Accumulator(3, 'saturate', 4)
  got, expected = (
    accumulator.matmul(x, w, register, engine=name) for name in (engine, 'lax')
  )
  assert cases.integers(got) == cases.integers(expected)
