import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import float_layers


def test_scale():
  inputs = {'inputs': {'mean': jnp.array([1.0, 2.0]),
                       'scale': jnp.array([2.0, 0.5])}}
  q = jnp.array([[[3, 6]]], jnp.uint8)
  assert float_layers.Scale().apply(inputs, q).tolist() == [[[4.0, 2.0]]]


def test_batch_norm_moves_and_freezes():
  layer = float_layers.BatchNorm()
  a = jnp.array([[1.0], [3.0]])
  variables = layer.init(jax.random.key(0), a, train=True)
  assert variables['batch_stats']['running']['mean'].tolist() == [0.0]
  y, changed = layer.apply(variables, a, train=True, mutable='batch_stats')
  np.testing.assert_allclose(y, [[-1.0], [1.0]], atol=1e-4)
  running = changed['batch_stats']['running']
  np.testing.assert_allclose(running['mean'], [0.2], rtol=1e-6)
  np.testing.assert_allclose(running['var'], [1.0], rtol=1e-6)
  y, changed = layer.apply(
    variables, a, train=True, frozen=True, mutable='batch_stats'
  )
  assert np.array_equal(y, layer.apply(variables, a, train=False))
  assert changed['batch_stats']['running']['mean'].tolist() == [0.0]


def test_prelu_identity_classifier():
  y = jnp.array([[[-4.0, 2.0]]])
  layer = float_layers.PReLU()
  variables = layer.init(jax.random.key(0), y, train=True)
  assert layer.apply(variables, y, train=True).tolist() == [[[-1.0, 2.0]]]
  assert float_layers.Identity().apply({}, y, train=True) is y
  classifier = float_layers.Classifier(3)
  variables = classifier.init(jax.random.key(0), y, train=True)
  assert classifier.apply(variables, y, train=False).shape == (1, 3)


def test_conv_is_a_convolution_without_bias():
  x = jnp.ones((1, 4, 2))
  layer = float_layers.FloatConv(3, (3,), strides=2)
  variables = layer.init(jax.random.key(0), x)
  kernel = variables['params']['Conv_0']['kernel']
  assert list(variables['params']['Conv_0']) == ['kernel']
  y = layer.apply(variables, x, progress=0.5, following=None)
  # SAME pads one frame behind: frame 0 sees three taps, frame 1 two.
  np.testing.assert_allclose(y[0, 0], kernel.sum((0, 1)), rtol=1e-5)
  np.testing.assert_allclose(y[0, 1], kernel[:2].sum((0, 1)), rtol=1e-5)
