"""Section 5: the register's derivative is that of the exact convolution."""

import functools

import hypothesis
from hypothesis import strategies as st
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.nn import accumulator
from tests.contract import cases
from tests.contract import engines
from tests.contract import oracle

SHAPES = {
    'dense': cases.DENSE['partial word'],
    'stride': cases.CONV_1D['stride'],
    'dilation': cases.CONV_1D['dilation'],
    'causal': cases.CONV_1D['causal'],
    'multiplier': cases.CONV_1D['multiplier'],
    '2-D same': cases.CONV_2D['same'],
    '2-D strides': cases.CONV_2D['strides'],
    '2-D groups': cases.CONV_2D['groups'],
}


def exact(x, w, *, strides=1, padding='SAME', dilation=1, groups=1):
  """XLA's own convolution of an input padded with -1."""
  if w.ndim == 2:
    return jnp.matmul(x, w, precision=lax.Precision.HIGHEST)
  axes = w.ndim - 2
  strides = tuple(oracle.each(strides, axes))
  dilation = tuple(oracle.each(dilation, axes))
  pad = oracle.pads(x.shape[1:-1], w.shape[:-2], strides, padding, dilation)
  x = jnp.pad(x, ((0, 0), *pad, (0, 0)), constant_values=-1)
  space = 'HW'[:axes]
  return lax.conv_general_dilated(
      x, w, strides, 'VALID', rhs_dilation=dilation,
      dimension_numbers=(f'N{space}C', f'{space}IO', f'N{space}C'),
      feature_group_count=groups, precision=lax.Precision.HIGHEST,
  )


def narrow(x, w, register, **geometry):
  run = accumulator.matmul if w.ndim == 2 else accumulator.conv
  return run(x, w, register, **geometry)


def pullback(run, x, w, g):
  """Derivatives of sum(run(x, w) * g) by x and by w, as integers."""
  gradient = jax.grad(lambda x, w: jnp.sum(run(x, w) * g), (0, 1))
  dx, dw = jax.jit(gradient)(x, w)
  return cases.integers(dx), cases.integers(dw)


def draw_operands(shape, seed):
  x = jnp.asarray(cases.fill('mostly ones', shape.x, seed), jnp.float32)
  w = jnp.asarray(cases.fill('random', shape.w, seed + 1), jnp.float32)
  y = jax.eval_shape(functools.partial(exact, **shape.geometry), x, w)
  g = np.random.default_rng(seed).integers(-3, 4, y.shape)
  return x, w, jnp.asarray(g, jnp.float32)


@pytest.mark.parametrize('mode', cases.MODES)
@pytest.mark.parametrize('unit', cases.UNITS)
@pytest.mark.parametrize('shape', SHAPES.values(), ids=SHAPES.keys())
def test_straight_through(shape, unit, mode):
  x, w, g = draw_operands(shape, 5)
  register = accumulator.Accumulator(2, mode, 7, unit)
  run = functools.partial(narrow, register=register, **shape.geometry)
  truth = functools.partial(exact, **shape.geometry)
  assert pullback(run, x, w, g) == pullback(truth, x, w, g)


@pytest.mark.parametrize('mode', cases.MODES)
@pytest.mark.parametrize('unit', cases.UNITS)
@pytest.mark.parametrize('simd', [1, 3, 64])
def test_literal_gradients(simd, unit, mode):
  register = accumulator.Accumulator(2, mode, simd, unit)
  x = jnp.asarray([[1.0, 1.0, -1.0]])
  w = jnp.asarray([[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
  g = jnp.asarray([[2.0, -3.0]])
  assert pullback(
      functools.partial(accumulator.matmul, accumulator=register), x, w, g
  ) == ([[5, -1, -5]], [[2, -3], [2, -3], [-2, 3]])
  # T = 2, SAME: frame -1 is padding and takes no gradient, but gives one.
  x = jnp.asarray([[[1.0], [-1.0]]])
  w = jnp.asarray([[[1.0]], [[1.0]], [[-1.0]]])
  g = jnp.asarray([[[5.0], [7.0]]])
  assert pullback(
      functools.partial(accumulator.conv, accumulator=register), x, w, g
  ) == ([[[12], [2]]], [[[2]], [[-2]], [[-12]]])


@pytest.mark.parametrize('mode', cases.MODES)
@pytest.mark.parametrize('unit', cases.UNITS)
def test_under_jit_and_vmap(unit, mode):
  shape = cases.CONV_1D['groups']
  register = accumulator.Accumulator(2, mode, 2, unit)
  examples = [draw_operands(shape, seed) for seed in range(3)]

  def differentiate(run, x, w, g):
    return jax.grad(lambda x, w: jnp.sum(run(x, w) * g), (0, 1))(x, w)

  run = functools.partial(
      accumulator.conv, accumulator=register, **shape.geometry
  )
  truth = functools.partial(exact, **shape.geometry)
  stacked = [jnp.stack(part) for part in zip(*examples, strict=True)]
  mapped = jax.jit(jax.vmap(functools.partial(differentiate, run)))(*stacked)
  for i, example in enumerate(examples):
    expected = pullback(truth, *example)
    assert tuple(cases.integers(d[i]) for d in mapped) == expected


@pytest.mark.parametrize('mode', cases.MODES)
def test_second_derivatives_follow_the_same_rule(mode):
  shape = cases.DENSE['partial word']
  x, w, g = draw_operands(shape, 8)
  register = accumulator.Accumulator(2, mode, 4)

  def mixed(run):
    def slope(w):
      inner = jax.grad(lambda x: jnp.sum(run(x, w) * g))(x)
      return jnp.sum(inner * x)

    return cases.integers(jax.grad(slope)(w))

  expected = mixed(exact)
  assert np.any(expected)
  assert mixed(functools.partial(narrow, register=register)) == expected


@pytest.mark.parametrize('mode', cases.MODES)
def test_what_follows_sees_the_register_not_the_exact_sum(mode):
  shape = cases.DENSE['partial word']
  x, w, _ = draw_operands(shape, 8)
  register = accumulator.Accumulator(3, mode, 4)
  run = functools.partial(accumulator.matmul, accumulator=register)
  y = run(x, w)
  half = jax.grad(lambda x: jnp.sum(run(x, w) ** 2) / 2)(x)
  assert cases.integers(half) == pullback(exact, x, w, y)[0]


@hypothesis.given(
    data=st.data(), unit=st.sampled_from(cases.UNITS), bits=st.integers(2, 5)
)
@cases.FEW
def test_clipped_gradient_is_zero_where_the_exact_sum_is_outside(
    data, unit, bits
):
  shape = cases.CONV_1D['same']
  x, w = data.draw(cases.operands(shape))
  machine = oracle.Machine(bits, 'saturate', 5, unit)
  outputs = list(oracle.outputs_of(oracle.conv(x, w, machine)))
  inside = np.array([not o.persistent for o in outputs])
  x, w = jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32)
  g = jnp.arange(1.0, len(outputs) + 1).reshape(2, 7, 4)
  register = accumulator.Accumulator(
      bits, 'saturate', 5, unit, gradient='clip'
  )
  run = functools.partial(accumulator.conv, accumulator=register)
  masked = g * inside.reshape(g.shape)
  assert pullback(run, x, w, g) == pullback(exact, x, w, masked)


def test_clipped_gradient_is_refused_for_wrap():
  with pytest.raises(errors.UserError, match='clip'):
    accumulator.Accumulator(8, 'wrap', gradient='clip')


@pytest.mark.parametrize('mode', cases.MODES)
@pytest.mark.parametrize(('unit', 'step'), [('dot', 1), ('popcount', 2)])
@pytest.mark.parametrize('engine', engines.NAMES)
def test_a_preload_counts_in_units_of_its_register(engine, unit, step, mode):
  shape = cases.WIDE['causal']
  x, w, g = draw_operands(shape, 4)
  register = accumulator.Accumulator(3, mode, 4, unit)

  def total(preload):
    y = engines.through(engine, x, w, register, preload, **shape.geometry)
    return jnp.sum(y.result * g), jnp.sum(y.exact * g)

  start = jnp.arange(8.0) - 4
  expected = (step * g.sum((0, 1))).tolist()
  assert np.any(expected)
  for slope in jax.jacrev(total)(start):
    assert cases.integers(slope) == expected


def test_a_clipped_preload_has_no_gradient():
  # Sums of 3 and a preload: 3 is inside of [-4, 3], 4 is not.
  register = accumulator.Accumulator(3, 'saturate', 1, gradient='clip')
  x, w = jnp.ones((1, 3)), jnp.ones((3, 2))

  def total(preload):
    return jnp.sum(accumulator.matmul(x, w, register, preload))

  assert cases.integers(jax.grad(total)(jnp.asarray([0.0, 1.0]))) == [1, 0]
