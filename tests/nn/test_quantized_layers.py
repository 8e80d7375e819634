import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import integer
from bnn_jax.nn import quantized_layers


def test_inputs_lie_on_the_grid_with_gradients_inside():
  stream = integer.StreamFormat(4, 1)
  x = jnp.array([0.2, 0.25, -0.3, 3.5, 9.0, -4.0, -5.0])
  found = quantized_layers.quantize(x, stream)
  assert found.tolist() == [0.0, 0.5, -0.5, 3.5, 3.5, -4.0, -4.0]
  gradient = jax.grad(lambda x: quantized_layers.quantize(x, stream).sum())(x)
  assert gradient[jnp.array([0, 1, 2, 4, 6])].tolist() == [1, 1, 1, 0, 0]


def test_weights_have_255_values_for_each_output():
  w = np.random.default_rng(0).normal(0, 1, (5, 7, 2)).astype(np.float32)
  w[..., 1] *= 0.01
  found = np.asarray(quantized_layers.quantize_weights(jnp.asarray(w)))
  for n in range(2):
    step = np.abs(w[..., n]).max() / 127
    steps = found[..., n] / step
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    assert np.abs(steps).max() <= 127.01
    assert np.abs(found[..., n] - w[..., n]).max() <= 0.501 * step
  gradient = jax.grad(
    lambda w: quantized_layers.quantize_weights(w).sum()
  )(jnp.asarray(w))
  assert np.all(gradient == 1)
  assert np.array_equal(
    quantized_layers.quantize_weights(jnp.zeros((2, 2))), np.zeros((2, 2))
  )


def test_conv_and_classifier_compute_with_the_grids():
  x = jnp.array([[[0.51], [1.0], [-9.0]]])
  layer = quantized_layers.QuantizedConv(1, (2,), padding='VALID')
  variables = {'params': {'kernel': jnp.array([[[1.0]], [[0.5]]])}}
  half = 64 / 127
  # 0.51 is 16 / 32, -9 is -4; 0.5 is 63.5 steps, of which 64 are taken.
  np.testing.assert_allclose(
    layer.apply(variables, x, progress=0.0),
    [[[0.5 + half], [1.0 - 4 * half]]], rtol=1e-6,
  )
  classifier = quantized_layers.QuantizedClassifier(3)
  made = classifier.init(jax.random.key(0), x, train=True)
  kernel = made['params']['dense']['kernel']
  pooled = quantized_layers.quantize(jnp.mean(x, 1), integer.StreamFormat())
  expected = pooled @ quantized_layers.quantize_weights(kernel)
  np.testing.assert_allclose(
    classifier.apply(made, x, train=False), expected, rtol=1e-6
  )


def test_conv_has_the_shapes_of_a_convolution():
  x = jnp.ones((2, 9, 6, 4))
  layer = quantized_layers.QuantizedConv(
    8, (3, 2), (2, 1), dilation=2, groups=2
  )
  y, variables = layer.init_with_output(jax.random.key(0), x)
  assert y.shape == (2, 5, 6, 8)
  assert variables['params']['kernel'].shape == (3, 2, 2, 8)
