"""The GPU kernel in Pallas' interpreter, and its way to Triton."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import accumulator
from bnn_jax.nn import geometry
from bnn_jax.nn.kernels import choice
from bnn_jax.nn.kernels import pallas_gpu
from tests.contract import cases

X, W = (2, 9, 40), (3, 40, 20)
SATURATE = accumulator.Accumulator(4, 'saturate', 16)


@pytest.fixture
def offered(monkeypatch):
  monkeypatch.setattr(choice, 'available', lambda: ('lax', 'pallas'))


def operands(x=X, w=W):
  return (
    jnp.asarray(cases.fill('mostly ones', x, 1), jnp.float32),
    jnp.asarray(cases.fill('random', w, 2), jnp.float32),
  )


@pytest.mark.parametrize('mapped', [(0, None), (None, 0), (0, 0)])
def test_vmap_over_either_operand(offered, mapped):
  x, w = operands((3, *X), (3, *W))
  x, w = (
    v if axis == 0 else v[0] for v, axis in zip((x, w), mapped, strict=True)
  )
  got, expected = (
    jax.vmap(
      functools.partial(
        accumulator.conv, accumulator=SATURATE, engine=engine
      ), mapped,
    )(x, w)
    for engine in ('pallas', 'lax')
  )
  assert cases.integers(got) == cases.integers(expected)


def test_vmap_within_vmap(offered):
  x, w = operands((2, 3, *X), (2, 3, *W))
  run = functools.partial(accumulator.conv, accumulator=SATURATE)
  got, expected = (
    jax.vmap(jax.vmap(functools.partial(run, engine=engine)))(x, w)
    for engine in ('pallas', 'lax')
  )
  assert cases.integers(got) == cases.integers(expected)


@pytest.mark.parametrize('gradient', ['straight_through', 'clip'])
def test_gradients_are_those_of_the_reference(offered, gradient):
  x, w = operands()
  register = accumulator.Accumulator(4, 'saturate', 8, gradient=gradient)

  def loss(x, w, engine):
    y = accumulator.accumulate(x, w, register, engine=engine)
    return jnp.sum(y.result * 3 + y.exact**2)

  got = jax.grad(loss, (0, 1))(x, w, 'pallas')
  expected = jax.grad(loss, (0, 1))(x, w, 'lax')
  assert np.any(expected[0])
  for a, b in zip(got, expected, strict=True):
    assert cases.integers(a) == cases.integers(b)


@pytest.mark.parametrize('blocks', [(16, 16), (32, 48), (128, 256)])
@pytest.mark.parametrize('mode', cases.MODES)
def test_the_blocks_do_not_change_the_integers(mode, blocks):
  x, w = operands((3, 20, 70), (3, 35, 150))
  register = accumulator.Accumulator(5, mode, 16, 'popcount')
  shape = geometry.geometry(x.shape, w.shape, groups=2)
  run = functools.partial(
    pallas_gpu.run, x, w, None, register, shape, with_exact=True,
  )
  expected = accumulator.accumulate(
    x, w, register, groups=2, engine='lax'
  )
  result, exact = run(blocks=pallas_gpu.Blocks(*blocks))
  assert cases.integers(result) == cases.integers(expected.result)
  assert cases.integers(exact) == cases.integers(expected.exact)


@pytest.mark.parametrize('register', [
  accumulator.Accumulator(8, 'saturate', 64),
  accumulator.Accumulator(8, 'saturate', 7, 'popcount'),
  accumulator.Accumulator(8, 'saturate', 1),
  accumulator.Accumulator(8, 'wrap', 64),
])
@pytest.mark.parametrize('shape', [
  cases.Shape((100, 25, 96), (5, 96, 96), {}),
  cases.Shape((100, 98, 320), (3, 80, 384), {'strides': 4, 'groups': 4}),
  cases.Shape((2, 12, 9, 45), (3, 3, 45, 45), {'dilation': 4}),
  cases.Shape((2, 49, 10, 1), (10, 4, 1, 276), {'strides': (2, 1)}),
  cases.Shape((5, 300), (300, 5), {}),
])
def test_it_becomes_a_triton_kernel(shape, register):
  resolved = geometry.geometry(shape.x, shape.w, **shape.geometry)

  def run(x, w, preload):
    return pallas_gpu.run(
      x, w, preload, register, resolved, with_exact=True, interpret=False
    )

  arguments = [
    jax.ShapeDtypeStruct((2, *s), jnp.float32)
    for s in (shape.x, shape.w, shape.w[-1:])
  ]
  traced = jax.jit(jax.vmap(run)).trace(*arguments)
  lowered = traced.lower(lowering_platforms=('cuda',))
  assert lowered.as_text().count('triton') > 0


def test_it_fits_where_tensor_cores_have_columns():
  shape = geometry.geometry((2, 9, 32), (3, 16, 40), groups=2)
  assert pallas_gpu.fits(shape, 40)
  assert not pallas_gpu.fits(shape, 30)
