"""Exact sums, and the precision of the products of their gradients."""

import functools

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import geometry
from bnn_jax.nn import products
from tests import convolutions
from tests.contract import cases

SHAPES = {
  'conv': cases.Shape((2, 9, 12), (3, 12, 8), {}),
  'groups': cases.Shape((2, 9, 12), (3, 6, 8), {'groups': 2}),
  'dense': cases.Shape((7, 30), (30, 5), {}),
}


def loss(shape, x, w):
  resolved = geometry.geometry(x.shape, w.shape, **shape.geometry)
  return jnp.sum(products.exact(x, w, resolved) ** 2)


def signs(shape):
  return (
    jnp.asarray(cases.fill('random', shape.x, 1), jnp.float32),
    jnp.asarray(cases.fill('random', shape.w, 2), jnp.float32),
  )


@pytest.mark.parametrize('shape', SHAPES.values(), ids=SHAPES.keys())
def test_only_gradients_lose_precision(monkeypatch, shape):
  run = jax.value_and_grad(lambda *o: loss(shape, *o), (0, 1))
  expected = run(*signs(shape))
  monkeypatch.setitem(products.GRADIENT_PRECISION, 'cpu', lax.Precision.HIGH)
  got = run(*signs(shape))
  assert np.any(expected[1][0])
  # Every operand here is an integer that any precision of a CPU holds.
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    assert cases.integers(a) == cases.integers(b)
  forward = str(jax.make_jaxpr(lambda *o: loss(shape, *o))(*signs(shape)))
  assert 'HIGHEST' in forward
  assert 'HIGH)' not in forward.replace('HIGHEST)', '')
  whole = str(jax.make_jaxpr(run)(*signs(shape)))
  assert 'HIGHEST' in whole
  assert 'HIGH)' in whole.replace('HIGHEST)', '')


def test_an_operand_without_gradient_costs_no_product(monkeypatch):
  monkeypatch.setitem(products.GRADIENT_PRECISION, 'cpu', lax.Precision.HIGH)
  shape = SHAPES['conv']
  x, w = signs(shape)
  jaxpr = str(jax.make_jaxpr(jax.grad(lambda w: loss(shape, x, w)))(w))
  assert jaxpr.count('conv_general_dilated[') == 2


def test_second_derivatives_follow(monkeypatch):
  shape = SHAPES['conv']
  x, w = signs(shape)

  def slope(x):
    return jnp.sum(jax.grad(lambda x: loss(shape, x, w))(x) ** 2)

  expected = jax.grad(slope)(x)
  monkeypatch.setitem(products.GRADIENT_PRECISION, 'cpu', lax.Precision.HIGH)
  assert np.any(expected)
  assert cases.integers(jax.grad(slope)(x)) == cases.integers(expected)


@pytest.mark.parametrize('kernel, options', [
  ((3, 2), {}),
  ((3, 2), {'padding': 'VALID'}),
  ((2, 3), {'dilation': (3, 2)}),
  ((1, 1), {}),
  ((3, 3), {'strides': (2, 3)}),
], ids=str)
def test_derivatives_over_two_axes_are_those_of_a_convolution(kernel, options):
  shape = cases.Shape((2, 9, 7, 4), (*kernel, 4, 5), options)
  x, w = signs(shape)
  resolved = geometry.geometry(x.shape, w.shape, **options)
  got, expected = (
    convolutions.derivatives(sums, x, w) for sums in (
      functools.partial(products.exact, shape=resolved),
      functools.partial(convolutions.plain, shape=resolved, fill=-1),
    )
  )
  for a, b in zip(got, expected, strict=True):
    assert np.any(b)
    assert cases.integers(a) == cases.integers(b)


# A convolution for each of few groups, and products of many at once.
@pytest.mark.parametrize('groups', [1, 2, 8, 16])
@pytest.mark.parametrize('axes', [1, 2])
def test_groups_are_those_of_a_convolution(groups, axes):
  x_shape = (2, *(9, 5)[:axes], 32)
  w_shape = (*(3, 2)[:axes], 32 // groups, 48)
  shape = geometry.geometry(x_shape, w_shape, strides=2, groups=groups)
  x = jnp.asarray(cases.fill('random', x_shape, 1), jnp.float32)
  w = jnp.asarray(cases.fill('random', w_shape, 2), jnp.float32)
  names = 'HW'[:axes]

  def reference(x, w):
    return lax.conv_general_dilated(
      geometry.pad(x, shape, -1), w, shape.strides, 'VALID',
      dimension_numbers=(f'N{names}C', f'{names}IO', f'N{names}C'),
      feature_group_count=groups, precision=lax.Precision.HIGHEST,
    )

  def with_gradients(product):
    value, backward = jax.vjp(product, x, w)
    weights = jnp.arange(value.size, dtype=jnp.float32).reshape(value.shape) % 7
    return value, *backward(weights)

  found = with_gradients(lambda x, w: products.exact(x, w, shape))
  for one, other in zip(found, with_gradients(reference), strict=True):
    assert np.array_equal(one, other)
