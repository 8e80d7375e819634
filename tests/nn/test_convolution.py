"""Convolutions of reals, against those of XLA alone."""

import functools

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import convolution
from bnn_jax.nn import geometry


def plain(x, w, shape):
  """The same by one call of XLA, with zeros around."""
  axes = 'HW'[: len(shape.kernel)]
  return lax.conv_general_dilated(
    x, w, shape.strides, shape.padding, rhs_dilation=shape.dilation,
    dimension_numbers=(f'N{axes}C', f'{axes}IO', f'N{axes}C'),
    feature_group_count=shape.groups,
  )


def derivatives(sums, x, w):
  """Sums, their tangents and the slopes of their squares."""
  slopes = jax.grad(lambda *o: jnp.sum(sums(*o) ** 2), (0, 1))(x, w)
  return *jax.jvp(sums, (x, w), (x[::-1], w[..., ::-1])), *slopes


@pytest.mark.parametrize('kernel, options', [
  ((3, 2), {}),
  ((3, 2), {'padding': 'VALID'}),
  ((2, 3), {'dilation': (3, 2)}),
  ((1, 1), {}),
  ((3, 3), {'strides': (2, 3)}),
  ((3, 2), {'groups': 2}),
  ((3,), {'strides': 2}),
], ids=str)
def test_values_and_derivatives_are_those_of_xla(kernel, options):
  random = np.random.default_rng(0)
  shape = (2, 9, 7, 4)[: 1 + len(kernel)] + (4,)
  # Integers, so that every order of additions gives the same.
  x = jnp.asarray(random.integers(-4, 5, shape), jnp.float32)
  per_group = 4 // options.get('groups', 1)
  w = jnp.asarray(random.integers(-4, 5, (*kernel, per_group, 6)), jnp.float32)
  resolved = geometry.geometry(x.shape, w.shape, **options)
  got, expected = (
    derivatives(functools.partial(sums, shape=resolved), x, w)
    for sums in (convolution.convolve, plain)
  )
  for a, b in zip(got, expected, strict=True):
    assert np.any(b)
    np.testing.assert_array_equal(a, b)
