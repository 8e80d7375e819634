"""Every engine gives the oracle's integers, on every level of processor."""

import functools

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import accumulator
from bnn_jax.nn.kernels import compiled
from tests.contract import battery
from tests.contract import cases
from tests.contract import engines
from tests.contract import oracle

SHAPES = {
  **cases.WIDE,
  'depthwise': cases.CONV_2D['multiplier'],
  'one channel': cases.CONV_1D['one operand'],
}
LONG = cases.Shape((1, 300), (300, 19), {})


def check(engine: str, case: cases.Case) -> None:
  """Results and exact sums are the oracle's, whichever are asked for."""
  run = oracle.matmul if case.w.ndim == 2 else oracle.conv
  outputs = run(case.x, case.w, case.machine, case.preload, **case.geometry)
  x, w, register, preload = cases.arguments(case)

  @jax.jit
  def both(x, w, preload):
    return [
      engines.through(
        engine, x, w, register, preload, with_exact=with_exact, **case.geometry
      )[:2]
      for with_exact in (True, False)
    ]

  exact = [output.exact for output in oracle.outputs_of(outputs)]
  for result, sums in both(x, w, preload):
    assert cases.integers(result) == oracle.results(outputs)
    assert np.asarray(sums).ravel().tolist() == exact


# The interpreter of Pallas takes a second a case.
ANY = [
  (engine, name) for engine in engines.NAMES
  for name in (
    SHAPES if engine != 'pallas'
    else ('dense', 'words of taps', 'groups', 'multiplier', '2-D strides')
  )
]


@pytest.mark.parametrize(('engine', 'name'), ANY)
@hypothesis.given(data=st.data())
@cases.FEW
def test_any_case(name, engine, data):
  check(engine, data.draw(cases.cases(SHAPES[name])))


# Lanes of bytes, of 16 bits, and wider: of the compiled engines alone.
LANE_WIDTHS = [
  (engine, bits) for engine in engines.NAMES
  for bits in ((2, 8, 9, 17) if engine in compiled.levels() else (9,))
]


@pytest.mark.parametrize(('engine', 'bits'), LANE_WIDTHS)
@pytest.mark.parametrize('unit', cases.UNITS)
@pytest.mark.parametrize('simd', [*cases.SIMDS, 300])
def test_each_lane_width(bits, simd, unit, engine):
  x = cases.fill('mostly ones', LONG.x, 3)
  w = cases.fill('mostly ones', LONG.w, 4)
  low, high = oracle.minimum(bits), oracle.maximum(bits)
  machine = oracle.Machine(bits, 'saturate', simd, unit)
  preload = ([low, low + 1, 0, high - 1, high] * 4)[: LONG.w[-1]]
  check(engine, cases.Case(x, w, machine, preload, {}))


@pytest.mark.parametrize('engine', engines.NAMES)
@pytest.mark.parametrize('mode', cases.MODES)
@pytest.mark.parametrize('kinds', [
  ('ones', 'ones'), ('ones', 'minus'), ('alternating', 'ones'),
  ('alternating', 'alternating'), ('blocks', 'ones'), ('minus', 'blocks'),
])
def test_adversarial_operands(kinds, mode, engine):
  x, w = (cases.fill(k, s, 0) for k, s in zip(kinds, LONG[:2], strict=True))
  machine = oracle.Machine(6, mode, 8)
  check(engine, cases.Case(x, w, machine, None, {}))


@pytest.mark.parametrize('engine', engines.NAMES)
@pytest.mark.parametrize('case', battery.load().values(),
                         ids=battery.load().keys())
def test_stored_integers(case, engine):
  stored, expected = case
  x, w, register, preload = cases.arguments(stored)
  flat = x.reshape(-1, x.shape[-1]) if w.ndim == 2 else x
  jitted = jax.jit(
    functools.partial(
      engines.through, engine, register=register, **stored.geometry
    )
  )
  result = jitted(flat, w, preload=preload).result
  assert np.ravel(result).tolist() == np.ravel(expected.results).tolist()


@pytest.mark.parametrize('engine', engines.NAMES[:-1])
@pytest.mark.parametrize('mode', cases.MODES)
def test_under_vmap_and_remat(mode, engine):
  shape = cases.WIDE['groups']
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
  shape = cases.WIDE['words in taps']
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
  shape = cases.WIDE['words in taps']
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
