import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import integer
from bnn_jax.nn import layers

STREAM = integer.StreamFormat(8, 4)
CHANNELS = 64


def dyadic(random, low, high, denominator=64):
  """`[C]` multiples of 1 / denominator, which float32 holds exactly."""
  numerators = random.integers(
    low * denominator, high * denominator + 1, CHANNELS
  )
  return (numerators / denominator).astype(np.float32)


def deployed(layer, params, statistics=None):
  return jax.tree.map(
    jnp.asarray, layer.deployed_constants(params, statistics or {})
  )


def integers(random, low, high):
  return jnp.asarray(random.integers(low, high, (40, CHANNELS)), jnp.float32)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('variant', ['fused', 'two_ap2'])
def test_shift_batch_norm_trains_on_what_is_deployed(seed, variant):
  random = np.random.default_rng(seed)
  # Without epsilon a variance of 4^n has an exact 1 / std, and the quarters
  # of log2 gamma are far from the middle between two powers.
  layer = layers.ShiftBatchNorm(STREAM, variant, epsilon=0.0)
  power = random.integers(-3, 8, CHANNELS)
  params = {
    'log2_gamma': dyadic(random, -3, 3, 4), 'beta': dyadic(random, -3, 3),
  }
  params['log2_gamma'] += np.where(
    params['log2_gamma'] % 1 == 0.5, np.float32(0.25), np.float32(0)
  )
  running = {
    'mean': dyadic(random, -9, 9), 'var': np.float32(4.0) ** power,
    'rstd': np.float32(0.5) ** power,
  }
  statistics = {'running': jax.tree.map(jnp.float32, running)}
  a = integers(random, -128, 128)
  trained, _ = layer.apply(
    {'params': params, 'batch_stats': statistics}, a, train=True, frozen=True,
    mutable='batch_stats',
  )
  constants = deployed(layer, params, statistics)
  evaluated = layer.apply(
    {'params': params, 'batch_stats': statistics, 'deployed': constants}, a,
    train=False,
  )
  assert np.array_equal(trained, evaluated)
  assert len(np.unique(constants['shift'])) > 4
  assert len(np.unique(evaluated)) > 50


@pytest.mark.parametrize('seed', range(3))
def test_rsign_trains_on_what_is_deployed(seed):
  random = np.random.default_rng(seed)
  layer = layers.RSign(STREAM)
  params = {'theta': dyadic(random, -9, 9)}
  r = integers(random, -128, 128)
  trained = layer.apply({'params': params}, r, train=True)
  evaluated = layer.apply(
    {'params': params, 'deployed': deployed(layer, params)}, r, train=False
  )
  assert np.array_equal(trained, evaluated)
  assert set(np.unique(evaluated)) == {-1, 1}


@pytest.mark.parametrize('seed', range(3))
def test_shift_prelu_trains_on_what_is_deployed(seed):
  random = np.random.default_rng(seed)
  layer = layers.ShiftPReLU(STREAM)
  # Odd multiples of an eighth are far from the middle between two powers.
  params = {
    'log2_slope': dyadic(random, -9, 1, 4) + np.float32(0.125),
    'before': dyadic(random, -9, 9), 'after': dyadic(random, -9, 9),
  }
  y = integers(random, -128, 128)
  trained = layer.apply({'params': params}, y, train=True)
  constants = deployed(layer, params)
  evaluated = layer.apply(
    {'params': params, 'deployed': constants}, y, train=False
  )
  assert np.array_equal(trained, evaluated)
  assert sorted(np.unique(constants['k'])) == list(range(8))


@pytest.mark.parametrize('variant, momentum, frozen, expected', [
  ('fused', 1.0, False, 2), ('two_ap2', 1.0, False, 4),
  # The current batch, of variance 1, is included unless frozen.
  ('fused', 0.0, False, 1), ('two_ap2', 0.0, False, 1),
  ('fused', 0.0, True, 2), ('two_ap2', 0.0, True, 4),
])
def test_the_scale_is_that_of_running_statistics(
  variant, momentum, frozen, expected
):
  layer = layers.ShiftBatchNorm(STREAM, variant, momentum, epsilon=0.0)
  params = {'log2_gamma': jnp.array([0.45]), 'beta': jnp.zeros(1)}
  running = {
    'mean': jnp.zeros(1), 'var': jnp.full(1, 2**-0.6),
    'rstd': jnp.full(1, 2**1.6),
  }
  y, _ = layer.apply(
    {'params': params, 'batch_stats': {'running': running}},
    jnp.array([[1.0], [-1.0]]), train=True, frozen=frozen,
    mutable='batch_stats',
  )
  one = 2**STREAM.fraction_bits
  assert np.array_equal(y, [[expected * one], [-expected * one]])


def test_batch_norm_has_the_gradient_of_a_real_one():
  # Inside the range, and with a std that is a power of two, nothing is lost.
  layer = layers.ShiftBatchNorm(STREAM, epsilon=0.0)
  a = jnp.array([[1.0], [-1.0], [1.0], [-1.0]])
  weights = jnp.array([1.0, -3.0, 2.0, 0.5])

  def loss(a, log2_gamma, beta):
    running = layer._start((1,))
    params = {'log2_gamma': log2_gamma, 'beta': beta}
    y, _ = layer.apply(
      {'params': params, 'batch_stats': {'running': running}}, a, train=True,
      mutable='batch_stats',
    )
    return jnp.sum(y[:, 0] * weights)

  def real(a, log2_gamma, beta):
    centred = a - a.mean(0)
    y = 16 * (2**log2_gamma * centred / jnp.sqrt((centred**2).mean(0)) + beta)
    return jnp.sum(y[:, 0] * weights)

  at = (a, jnp.zeros(1), jnp.zeros(1))
  found = jax.grad(loss, (0, 1, 2))(*at)
  expected = jax.grad(real, (0, 1, 2))(*at)
  for one, other in zip(found, expected, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_thermometer():
  inputs = {'inputs': {'thresholds': jnp.array([[1, 5], [2, 3]])}}
  q = jnp.array([[[4, 3], [0, 255]]], jnp.uint8)
  bits = layers.Thermometer(2).apply(inputs, q)
  assert bits.tolist() == [[[1, -1, 1, 1], [-1, -1, 1, 1]]]


def test_classifier():
  layer = layers.BinaryClassifier(2, STREAM)
  params = {
    'latent': jnp.array([[0.1, -0.1], [0.0, -0.0], [-0.5, 0.5]]),
    'bias': jnp.array([3 / 1024, -1.5 / 1024]), 'log_factor': jnp.zeros(()),
  }
  r = jnp.array([[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]])
  constants = deployed(layer, params)
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
    r = jax.ShapeDtypeStruct((1, frames, CHANNELS), 'float32')
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
