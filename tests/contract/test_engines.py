"""Every engine gives the oracle's integers, on every level of processor."""

import functools

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import accumulator
from bnn_jax.nn import geometry
from bnn_jax.nn.kernels import choice
from bnn_jax.nn.kernels import compiled
from bnn_jax.nn.kernels import pallas_gpu
from tests.contract import battery
from tests.contract import cases
from tests.contract import oracle

ENGINES = ('lax', *compiled.levels(), 'pallas')
# Outputs fill one block of lanes and part of another; channels a part of a
# chunk, several of them, and groups that begin within one.
WIDE = {
  'dense': cases.Shape((3, 70), (70, 67), {}),
  'dense of one operand': cases.Shape((2, 1), (1, 33), {}),
  'words of taps': cases.Shape((1, 5, 5), (4, 5, 9), {}),
  'words in taps': cases.Shape(
    (2, 4, 40), (3, 40, 20), {'strides': 2, 'padding': ((2, 1),)}
  ),
  'groups': cases.Shape((1, 4, 42), (2, 21, 18), {'groups': 2}),
  '2-D': cases.Shape((1, 3, 4, 17), (2, 3, 17, 9), {'dilation': (1, 2)}),
}
SHAPES = {
  **WIDE,
  'depthwise': cases.CONV_2D['multiplier'],
  'one channel': cases.CONV_1D['one operand'],
}
LONG = cases.Shape((1, 300), (300, 5), {})


def through(engine: str, x, w, register, preload=None, **shape):
  """Results and exact sums of one engine, as arrays."""
  if engine != 'pallas':
    y = accumulator.accumulate(
      x, w, register, preload, engine=engine, **shape
    )
    return y.result, y.exact
  resolved = geometry.geometry(x.shape, w.shape, **shape)
  return pallas_gpu.run(
    x, w, preload, register, resolved, with_exact=True, interpret=True
  )


def check(engine: str, case: cases.Case) -> None:
  """Results and exact sums are the oracle's."""
  run = oracle.matmul if case.w.ndim == 2 else oracle.conv
  outputs = run(case.x, case.w, case.machine, case.preload, **case.geometry)
  x, w, register, preload = cases.arguments(case)
  jitted = jax.jit(
    functools.partial(
      through, engine, register=register, **case.geometry
    )
  )
  result, exact = jitted(x, w, preload=preload)
  flat = list(oracle.outputs_of(outputs))
  assert cases.integers(result) == oracle.results(outputs)
  assert np.asarray(exact).ravel().tolist() == [o.exact for o in flat]


@pytest.mark.parametrize('engine', ENGINES)
@pytest.mark.parametrize('shape', SHAPES.values(), ids=SHAPES.keys())
@hypothesis.given(data=st.data())
@cases.FEW
def test_any_case(shape, engine, data):
  check(engine, data.draw(cases.cases(shape)))


@pytest.mark.parametrize('engine', ENGINES)
@pytest.mark.parametrize('unit', cases.UNITS)
@pytest.mark.parametrize('simd', [*cases.SIMDS, 300])
@pytest.mark.parametrize('bits', [2, 8, 9, 17])
def test_each_lane_width(bits, simd, unit, engine):
  x = cases.fill('mostly ones', LONG.x, 3)
  w = cases.fill('mostly ones', LONG.w, 4)
  low, high = oracle.minimum(bits), oracle.maximum(bits)
  machine = oracle.Machine(bits, 'saturate', simd, unit)
  preload = [low, low + 1, 0, high - 1, high]
  check(engine, cases.Case(x, w, machine, preload, {}))


@pytest.mark.parametrize('engine', ENGINES)
@pytest.mark.parametrize('mode', cases.MODES)
@pytest.mark.parametrize('kinds', [
  ('ones', 'ones'), ('ones', 'minus'), ('alternating', 'ones'),
  ('alternating', 'alternating'), ('blocks', 'ones'), ('minus', 'blocks'),
])
def test_adversarial_operands(kinds, mode, engine):
  x, w = (cases.fill(k, s, 0) for k, s in zip(kinds, LONG[:2], strict=True))
  machine = oracle.Machine(6, mode, 8)
  check(engine, cases.Case(x, w, machine, None, {}))


@pytest.mark.parametrize('engine', ENGINES)
@pytest.mark.parametrize('case', battery.load().values(),
                         ids=battery.load().keys())
def test_stored_integers(case, engine):
  stored, expected = case
  x, w, register, preload = cases.arguments(stored)
  flat = x.reshape(-1, x.shape[-1]) if w.ndim == 2 else x
  jitted = jax.jit(
    functools.partial(
      through, engine, register=register, **stored.geometry
    )
  )
  result, _ = jitted(flat, w, preload=preload)
  assert np.ravel(result).tolist() == np.ravel(expected.results).tolist()


@pytest.mark.parametrize('engine', ENGINES[:-1])
@pytest.mark.parametrize('mode', cases.MODES)
def test_under_vmap_and_remat(mode, engine):
  shape = WIDE['groups']
  x = jnp.asarray(cases.fill('mostly ones', (3, *shape.x), 1), jnp.float32)
  w = jnp.asarray(cases.fill('mostly ones', shape.w, 2), jnp.float32)
  register = accumulator.Accumulator(3, mode, 4)
  run = functools.partial(
    accumulator.conv, accumulator=register, engine=engine, **shape.geometry
  )
  one = jax.jit(run)
  each = [cases.integers(one(clip, w)) for clip in x]
  assert cases.integers(jax.jit(jax.vmap(run, (0, None)))(x, w)) == each

  def loss(run, x, w):
    return jnp.sum(run(x, w) ** 2)

  plain = jax.grad(functools.partial(loss, run), (0, 1))(x[0], w)
  remat = jax.grad(functools.partial(loss, jax.checkpoint(run)), (0, 1))
  for a, b in zip(plain, jax.jit(remat)(x[0], w), strict=True):
    assert cases.integers(a) == cases.integers(b)


@pytest.mark.parametrize('gradient', ['straight_through', 'clip'])
@pytest.mark.parametrize('engine', compiled.levels())
def test_gradients_are_those_of_the_reference(engine, gradient):
  shape = WIDE['words in taps']
  x = jnp.asarray(cases.fill('mostly ones', shape.x, 1), jnp.float32)
  w = jnp.asarray(cases.fill('random', shape.w, 2), jnp.float32)
  register = accumulator.Accumulator(4, 'saturate', 8, gradient=gradient)

  def loss(x, w, engine):
    y = accumulator.accumulate(
      x, w, register, engine=engine, **shape.geometry
    )
    return jnp.sum(y.result * 3 + y.exact**2)

  got = jax.grad(loss, (0, 1))(x, w, engine)
  expected = jax.grad(loss, (0, 1))(x, w, 'lax')
  assert np.any(expected[0])
  for a, b in zip(got, expected, strict=True):
    assert cases.integers(a) == cases.integers(b)


@pytest.mark.parametrize('engine', compiled.levels())
def test_second_derivatives_are_those_of_the_reference(engine):
  shape = WIDE['words in taps']
  x = jnp.asarray(cases.fill('mostly ones', shape.x, 1), jnp.float32)
  w = jnp.asarray(cases.fill('random', shape.w, 2), jnp.float32)
  register = accumulator.Accumulator(4, 'saturate', 8)

  def slope(w, engine):
    def loss(x):
      y = accumulator.conv(x, w, register, engine=engine, **shape.geometry)
      return jnp.sum(y**2)

    return jnp.sum(jax.grad(loss)(x) * x)

  got, expected = (
    jax.jit(jax.grad(functools.partial(slope, engine=name)))(w)
    for name in (engine, 'lax')
  )
  assert np.any(expected)
  assert cases.integers(got) == cases.integers(expected)


@pytest.mark.parametrize('mapped', [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize('engine', compiled.levels())
def test_vmap_over_either_operand(engine, mapped):
  x = jnp.asarray(cases.fill('random', (2, 2, 5, 9), 1), jnp.float32)
  w = jnp.asarray(cases.fill('random', (2, 3, 9, 10), 2), jnp.float32)
  register = accumulator.Accumulator(3, 'saturate', 4)
  operands = [
    v if axis == 0 else v[0] for v, axis in zip((x, w), mapped, strict=True)
  ]
  got, expected = (
    jax.vmap(
      functools.partial(
        accumulator.conv, accumulator=register, engine=name
      ), mapped,
    )(*operands)
    for name in (engine, 'lax')
  )
  assert cases.integers(got) == cases.integers(expected)


def test_the_engine_is_named():
  assert choice.describe().startswith('overflow engine: ')
  assert choice.choose('lax') == 'lax'


def test_the_environment_names_an_engine(monkeypatch):
  monkeypatch.setenv(choice.VARIABLE, 'lax')
  assert choice.choose(None) == 'lax'
  assert choice.describe() == 'overflow engine: lax on cpu'


def test_an_engine_that_is_not_there_is_refused():
  with pytest.raises(ValueError, match="'none'.*lax"):
    choice.choose('none')


def test_without_the_library_the_reference_runs(monkeypatch):
  monkeypatch.setattr(compiled, 'levels', tuple)
  assert choice.choose(None) == 'lax'
  assert 'C compiler' in choice.describe()
