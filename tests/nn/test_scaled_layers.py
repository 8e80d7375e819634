import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import scaled_layers
from tests import tiny


def test_scaled_sign_has_the_gradient_of_a_clipped_identity():
  x = jnp.array([-2.0, -0.5, 0.0, 0.5, 2.0])
  found, gradient = jax.value_and_grad(
    lambda x: scaled_layers.scaled_sign(x, 3.0).sum()
  )(x)
  assert found == 3.0
  assert gradient.tolist() == [0, 1, 1, 1, 0]


def test_scales_belong_to_pairs_of_channels():
  latent = jnp.asarray(np.random.default_rng(0).normal(0, 1, (3, 5, 4, 2)))
  pairs = scaled_layers.weight_scales(latent, False)
  assert pairs.shape == (1, 1, 4, 2)
  np.testing.assert_allclose(pairs[0, 0], np.abs(latent).mean((0, 1)), 1e-6)
  rows = scaled_layers.weight_scales(latent, True)
  np.testing.assert_allclose(rows[0], np.abs(latent).mean(0), 1e-6)
  dense = scaled_layers.weight_scales(latent[0, 0], True)
  np.testing.assert_allclose(dense[0], np.abs(latent[0, 0]).mean(0), 1e-6)


def test_v1_is_a_convolution_of_centered_signs_padded_by_zeros():
  x = jnp.array([[[0.3], [-0.2], [0.1]]])
  latent = jnp.array([[[0.6]], [[0.3]], [[0.0]]])
  layer = scaled_layers.ScaledConv(1, (3,))
  found = layer.apply({'params': {'latent': latent}}, x)
  # Less their mean: 0.3, 0, -0.3, of mean magnitude 0.2; signs + + -.
  expected = 0.2 * np.array([1 + 1, 1 - 1 - 1, -1 + 1])
  np.testing.assert_allclose(found.ravel(), expected, atol=1e-6)


def test_two_scale_sign():
  x = jnp.array([[0.5, -3.0, 0.2]])
  thresholds = jnp.array([[0.0, 0.0, 0.4], [0.0, 0.0, 0.0], [0.0, 0.0, 0.1]])
  params = {'params': {'thresholds': thresholds, 'factors': jnp.ones(2)}}
  # First signs + - -; rests -0.5, -2.0, 1.2 of mean magnitude 37 / 30.
  scale = 3.7 / 3
  np.testing.assert_allclose(
    scaled_layers.TwoScaleSign().apply(params, x),
    [[1 - scale, -1 - scale, -1 + scale - 0.1]], rtol=1e-6,
  )


@pytest.mark.parametrize('shape, varying', [
  ((2, 7, 3), 1), ((2, 7, 5, 3), 1), ((6, 3), -1),
])
def test_two_scales_are_means_over_time_or_channels(shape, varying):
  x = jnp.asarray(np.random.default_rng(0).normal(0, 1, shape), jnp.float32)
  params = {'params': {'thresholds': jnp.zeros((3, 3)), 'factors': jnp.ones(2)}}
  found = scaled_layers.TwoScaleSign().apply(params, x)
  first = np.where(x >= 0, 1.0, -1.0)
  scale = np.abs(x - first).mean(varying, keepdims=True)
  np.testing.assert_allclose(
    np.abs(found - first), np.broadcast_to(scale, shape), rtol=1e-5
  )


def test_v2_learns_a_factor_of_its_weights():
  x = jnp.asarray(np.random.default_rng(0).normal(0, 1, (2, 8, 3)))
  layer = scaled_layers.ScaledConv(4, (1,), learned=True, bias=True)
  variables = tiny.initialized(layer, x)
  assert set(variables['params']) == {
    'latent', 'weight_factor', 'signs', 'bias'
  }
  gradient = tiny.jitted(jax.grad(
    lambda p: layer.apply({'params': p}, x).sum()
  ))(variables['params'])
  assert all(np.any(g != 0) for g in jax.tree.leaves(gradient))
