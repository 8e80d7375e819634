import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import shift_norm
from tests import streams


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('variant', ['fused', 'two_ap2'])
def test_shift_batch_norm_trains_on_what_is_deployed(seed, variant):
  random = np.random.default_rng(seed)
  # Without epsilon a variance of 4^n has an exact 1 / std, and the quarters
  # of log2 gamma are far from the middle between two powers.
  layer = shift_norm.ShiftBatchNorm(streams.STREAM, variant, epsilon=0.0)
  power = random.integers(-3, 8, streams.CHANNELS)
  params = {
    'log2_gamma': streams.dyadic(random, -3, 3, 4),
    'beta': streams.dyadic(random, -3, 3),
  }
  params['log2_gamma'] += np.where(
    params['log2_gamma'] % 1 == 0.5, np.float32(0.25), np.float32(0)
  )
  running = {
    'mean': streams.dyadic(random, -9, 9), 'var': np.float32(4.0) ** power,
    'rstd': np.float32(0.5) ** power,
  }
  statistics = {'running': jax.tree.map(jnp.float32, running)}
  a = streams.integers(random, -128, 128)
  trained, _ = layer.apply(
    {'params': params, 'batch_stats': statistics}, a, train=True, frozen=True,
    mutable='batch_stats',
  )
  constants = streams.deployed(layer, params, statistics)
  evaluated = layer.apply(
    {'params': params, 'batch_stats': statistics, 'deployed': constants}, a,
    train=False,
  )
  assert np.array_equal(trained, evaluated)
  assert len(np.unique(constants['shift'])) > 4
  assert len(np.unique(evaluated)) > 50


@pytest.mark.parametrize('variant, momentum, frozen, expected', [
  ('fused', 1.0, False, 2), ('two_ap2', 1.0, False, 4),
  # The current batch, of variance 1, is included unless frozen.
  ('fused', 0.0, False, 1), ('two_ap2', 0.0, False, 1),
  ('fused', 0.0, True, 2), ('two_ap2', 0.0, True, 4),
])
def test_the_scale_is_that_of_running_statistics(
  variant, momentum, frozen, expected
):
  layer = shift_norm.ShiftBatchNorm(
    streams.STREAM, variant, momentum, epsilon=0.0
  )
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
  one = 2**streams.STREAM.fraction_bits
  assert np.array_equal(y, [[expected * one], [-expected * one]])


def test_batch_norm_has_the_gradient_of_a_real_one():
  # Inside the range, and with a std that is a power of two, nothing is lost.
  layer = shift_norm.ShiftBatchNorm(streams.STREAM, epsilon=0.0)
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
