import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import activations
from bnn_jax.nn import binarize
from bnn_jax.nn import integer
from bnn_jax.nn import shift_norm
from bnn_jax.nn import twin_layers


def test_sign_of_reals_meets_its_threshold():
  params = {'params': {'theta': jnp.array([0.5, -1.0])}}
  r = jnp.array([[0.5, -1.0], [0.49, -1.01]])
  layer = twin_layers.RealSign('hard_tanh')
  for train in (True, False):
    found = layer.apply(params, r, train=train)
    assert found.tolist() == [[1.0, 1.0], [-1.0, -1.0]]

  def total(theta):
    return layer.apply({'params': {'theta': theta}}, r, train=True).sum()

  assert jax.grad(total)(params['params']['theta']).tolist() == [-2.0, -2.0]


def test_shift_batch_norm_gives_multiples_of_the_step():
  stream = integer.StreamFormat(8, 4)
  a = jnp.asarray(np.random.default_rng(0).integers(-9, 9, (50, 3)), 'f4')
  layer = twin_layers.RealShiftBatchNorm(stream)
  variables = layer.init(jax.random.key(0), a, train=True)
  y, _ = layer.apply(variables, a, train=True, mutable='batch_stats')
  inner = {
    name: tree['shift_norm'] for name, tree in variables.items()
  }
  expected, _ = shift_norm.ShiftBatchNorm(stream).apply(
    inner, a, train=True, mutable='batch_stats'
  )
  assert np.array_equal(y * 16, expected)
  assert np.array_equal(y * 16, np.round(y * 16))


def test_gain_starts_at_a_variance_of_one():
  layer = twin_layers.Gain(64)
  variables = layer.init(jax.random.key(0), jnp.ones((2, 3)))
  assert variables['params']['gain'].tolist() == [0.125] * 3
  assert layer.apply(variables, jnp.full((1, 3), 8.0)).tolist() == [[1.0] * 3]


def test_sign_classifier_reads_reals_with_weights_of_one_bit():
  layer = twin_layers.SignClassifier(2)
  r = jnp.array([[[0.5, 2.0, 1.0, 4.0], [1.5, 0.0, 1.0, -2.0]]])
  variables = {'params': {
    'latent': jnp.array([[0.3, -0.1], [-0.2, 0.0], [0.1, -1.0], [0.9, 0.9]]),
    'bias': jnp.array([0.5, 0.0]),
    'log_factor': jnp.log(4.0),
  }}
  # Means 1, 1, 1, 1; sums 1 - 1 + 1 + 1 and -1 + 1 - 1 + 1; sqrt(4) = 2.
  found = layer.apply(variables, r, train=False)
  np.testing.assert_allclose(found, [[4.5, 0.0]], rtol=1e-6)
  w = binarize.sign(variables['params']['latent'], 'hard_tanh')
  assert set(np.unique(w)) == {-1.0, 1.0}


@pytest.mark.parametrize('layer, r, margins', [
  (twin_layers.RealSign(), [[0.5, -1.0]], [[0.25, -0.5]]),
  # The stream counts in sixteenths.
  (activations.RSign(), [[8.0, -16.0]], [[0.25, -0.5]]),
])
def test_signs_show_their_margins(layer, r, margins):
  params = {'theta': jnp.array([0.25, -0.5])}
  bits, shown = layer.apply(
    {'params': params}, jnp.array(r), train=True, mutable=['margins']
  )
  assert shown['margins']['margin'][0].tolist() == margins
  assert bits.tolist() == [[1.0, -1.0]]
