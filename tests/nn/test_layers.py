import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import integer
from bnn_jax.nn import layers
from tests import streams


def test_thermometer():
  inputs = {'inputs': {'thresholds': jnp.array([[1, 5], [2, 3]])}}
  q = jnp.array([[[4, 3], [0, 255]]], jnp.uint8)
  bits = layers.Thermometer(2).apply(inputs, q)
  assert bits.tolist() == [[[1, -1, 1, 1], [-1, -1, 1, 1]]]


def test_classifier():
  layer = layers.BinaryClassifier(2, streams.STREAM)
  params = {
    'latent': jnp.array([[0.1, -0.1], [0.0, -0.0], [-0.5, 0.5]]),
    'bias': jnp.array([3 / 1024, -1.5 / 1024]), 'log_factor': jnp.zeros(()),
  }
  r = jnp.array([[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]])
  constants = streams.deployed(layer, params)
  assert constants['bias'].tolist() == [3, -1]
  logits = layer.apply(
    {'params': params, 'deployed': constants}, r, train=False
  )
  # Sums over time are 11, 22, 33; the signs of +-0 are +1.
  assert logits.tolist() == [[11 + 22 - 33 + 3, -11 + 22 + 33 - 1]]
  trained = layer.apply({'params': params}, r, train=True)
  # 2 positions of 16ths and the root of 3 channels.
  np.testing.assert_allclose(
    trained * (2 * 16 * 3**0.5), [[3.0, 43.0]], rtol=1e-5
  )


def test_classifier_refuses_sums_beyond_the_integers_of_float32():
  def trace(bits, frames):
    layer = layers.BinaryClassifier(2, integer.StreamFormat(bits, 4))
    r = jax.ShapeDtypeStruct((1, frames, streams.CHANNELS), 'float32')
    jax.eval_shape(
      lambda r: layer.init(jax.random.key(0), r, train=True), r
    )

  # 64 channels at 32 positions leave 2^(R - 1) = 2^12.
  trace(13, 32)
  with pytest.raises(
    errors.UserError, match='model.stream_bits=14 .* 2048 .* at most 13'
  ):
    trace(14, 32)
  with pytest.raises(
    errors.UserError, match='model.stream_bits=13 .* 2112 .* at most 12'
  ):
    trace(13, 33)


def test_dense_equals_the_accumulator():
  random = np.random.default_rng(0)
  register = accumulator_lib.Accumulator(3, 'saturate', 2)
  layer = layers.BinaryDense(4, register)
  x = jnp.asarray(random.choice([-1.0, 1.0], (2, 3, 9)))
  variables = layer.init(jax.random.key(0), x)
  latent = variables['params']['product']['latent']
  expected = accumulator_lib.matmul(x, jnp.where(latent >= 0, 1.0, -1.0),
                                    register)
  assert np.array_equal(layer.apply(variables, x), expected)


def test_a_dense_product_is_one_of_each_position():
  random = np.random.default_rng(0)
  register = accumulator_lib.Accumulator(3, 'saturate', 2)
  layer = layers.BinaryConv(4, (), accumulator=register)
  x = jnp.asarray(random.choice([-1.0, 1.0], (2, 3, 5, 9)))
  variables = layer.init(jax.random.key(0), x)
  found = layer.apply(variables, x)
  assert found.shape == (2, 3, 5, 4)
  alone = layer.apply(variables, x[1, 2])
  assert np.array_equal(found[1, 2], alone)


def test_silence_meets_no_threshold():
  layer = layers.Thermometer(2, silence=(1, 2))
  variables = {'inputs': {'thresholds': jnp.array([[1, 9]])}}
  bits = layer.apply(variables, jnp.array([[[5], [9]]], jnp.uint8))
  assert bits[0].tolist() == [
    [-1, -1], [1, -1], [1, 1], [-1, -1], [-1, -1]
  ]


def test_observations_leave_only_where_asked_for():
  register = accumulator_lib.Accumulator(3, 'wrap', 2)
  layer = layers.BinaryConv(2, (3,), accumulator=register)
  x = jnp.ones((2, 4, 3))
  variables = layer.init(jax.random.key(0), x)
  assert list(variables) == ['params']
  y, seen = layer.apply(variables, x, mutable=['sums', 'telemetry'])
  assert np.array_equal(y, layer.apply(variables, x))
  (relative,) = seen['sums']['relative']
  exact = accumulator_lib.conv(
    x, jnp.where(variables['params']['latent'] >= 0, 1.0, -1.0),
    accumulator_lib.Accumulator(),
  )
  assert np.array_equal(relative, exact / 4)
  (counts,) = seen['telemetry']['counts']
  assert counts['outputs'].tolist() == [8, 8]
