"""Convolutions of reals, against those of XLA alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import convolution
from bnn_jax.nn import devices
from bnn_jax.nn import float_layers
from bnn_jax.nn import geometry
from tests import convolutions


@pytest.mark.parametrize('kernel, options', [
  ((3, 2), {}),
  ((3, 2), {'padding': 'VALID'}),
  ((2, 3), {'dilation': (3, 2)}),
  ((1, 1), {}),
  ((3, 3), {'strides': (2, 3)}),
  ((3, 2), {'groups': 2}),
  ((3, 2), {'padding': ((1, 2), (0, 3))}),
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
    convolutions.derivatives(
      functools.partial(sums, shape=resolved, fill=0), x, w
    )
    for sums in (convolution.convolve, convolutions.plain)
  )
  for a, b in zip(got, expected, strict=True):
    assert np.any(b)
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('backend, axes', [('cpu', 1), ('gpu', 2), ('tpu', 2)])
def test_only_the_cpu_folds(monkeypatch, backend, axes):
  monkeypatch.setattr(devices, 'backend', lambda: backend)
  shape = geometry.geometry((2, 9, 7, 4), (3, 2, 4, 5))
  jaxpr = str(jax.make_jaxpr(
    lambda x, w: convolution.convolve(x, w, shape, fill=0)
  )(jnp.zeros((2, 9, 7, 4)), jnp.zeros((3, 2, 4, 5))))
  assert jaxpr.count('conv_general_dilated[') == 1
  assert f'window_strides={(1,) * axes}' in jaxpr


@pytest.mark.parametrize('groups', [1, 2])
def test_a_float_layer_is_that_of_flax(groups):
  options = {'strides': (2, 1), 'padding': ((1, 2), (0, 3)), 'groups': groups}
  layer = float_layers.FloatConv(6, (3, 2), dilation=(1, 2), **options)
  x = jax.random.normal(jax.random.key(0), (2, 9, 7, 4))
  variables = layer.init(jax.random.key(1), x)
  (kernel,) = jax.tree.leaves(variables)
  shape = geometry.geometry(x.shape, kernel.shape, dilation=(1, 2), **options)
  np.testing.assert_allclose(
    layer.apply(variables, x), convolutions.plain(x, kernel, shape, 0),
    rtol=1e-5, atol=1e-5,
  )
