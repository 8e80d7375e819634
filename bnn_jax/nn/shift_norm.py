"""Batch normalization without a multiplier."""

from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import constants
from bnn_jax.nn import deployment
from bnn_jax.nn import integer
from bnn_jax.nn import straight_through


class ShiftBatchNorm(nn.Module):
  """Batch normalization whose scale is a power of two.

  Computes sat_R(shift(a, s) + b) (`docs/arithmetic.md`, section 6). In
  training the mean and the derivatives are the batch's, while the power of two
  comes from running statistics.

  Attributes:
    stream: format of the output.
    variant: 'fused' rounds gamma / std to one power of two, 'two_ap2' gamma
      and 1 / std to one each (Hubara et al. 2016).
    momentum: of the running statistics.
    epsilon: added to the variance.
  """

  stream: integer.StreamFormat = integer.StreamFormat()
  variant: str = 'fused'
  momentum: float = 0.9
  epsilon: float = 1e-5

  @nn.compact
  def __call__(
    self,
    a: jax.Array,
    *,
    train: bool,
    frozen: bool | jax.Array = False,
  ) -> jax.Array:
    """Normalizes.

    Args:
      a: `[..., C]` accumulator results.
      train: compute with parameters, otherwise with deployed integers.
      frozen: in training, use the running statistics and leave them alone.

    Returns:
      `[..., C]` integers of the stream.
    """
    channels = a.shape[-1:]
    log2_gamma = self.param('log2_gamma', nn.initializers.zeros, channels)
    beta = self.param('beta', nn.initializers.zeros, channels)
    running = self.variable('batch_stats', 'running', self._start, channels)
    if not train:
      s = deployment.variable(self, 'shift', channels)
      b = deployment.variable(self, 'bias', channels).astype(a.dtype)
      return integer.shift_batch_norm(a, s, b, self.stream.bits)
    mean, rstd = self._statistics(a, running, frozen)
    exponent = self._exponent(running.value, log2_gamma)
    return self._normalize(a, mean, rstd, log2_gamma, beta, exponent)

  def _start(self, channels) -> dict[str, jax.Array]:
    return {
      'mean': jnp.zeros(channels),
      'var': jnp.ones(channels),
      'rstd': jnp.ones(channels),
    }

  def _statistics(self, a, running, frozen):
    """Mean and 1 / std to use `[C]`; moves the running ones."""
    axes = tuple(range(a.ndim - 1))
    mean = jnp.mean(a, axes)
    var = jnp.mean(jnp.square(a - mean), axes)
    rstd = lax.rsqrt(var + self.epsilon)
    old = running.value
    if not self.is_initializing():
      keep = jnp.where(frozen, 1.0, self.momentum)
      batch = {'mean': mean, 'var': var, 'rstd': rstd}
      moved = {
        name: keep * old[name] + (1 - keep) * lax.stop_gradient(value)
        for name, value in batch.items()
      }
      running.value = old | moved
    mean = jnp.where(frozen, old['mean'], mean)
    return mean, jnp.where(frozen, self._running_rstd(old), rstd)

  def _running_rstd(self, running):
    if self.variant == 'two_ap2':
      return running['rstd']
    return lax.rsqrt(running['var'] + self.epsilon)

  def _exponent(self, running, log2_gamma):
    """E of the scale 2^E `[C]`."""
    log2_rstd = jnp.log2(self._running_rstd(running))
    log2_gamma = lax.stop_gradient(log2_gamma)
    if self.variant == 'two_ap2':
      log2_gamma = jnp.floor(log2_gamma + 0.5)
      log2_rstd = jnp.floor(log2_rstd + 0.5)
    return jnp.floor(log2_gamma + log2_rstd + 0.5)

  def _normalize(self, a, mean, rstd, log2_gamma, beta, exponent):
    """Forward on the deployed integers, backward as a batch normalization."""
    fraction = self.stream.fraction_bits
    s = jnp.clip(exponent + fraction, integer.SHIFT_MIN, integer.SHIFT_MAX)
    scale = integer.power_of_two(s)
    offset = 2.0**fraction * beta
    b = jnp.floor(offset - mean * scale + 0.5)
    b = jnp.clip(b, constants.BIAS_MIN, constants.BIAS_MAX)
    value = integer.shift_batch_norm(a, s, b, self.stream.bits)
    # Both factors are 1 and carry only a derivative.
    gain = jnp.exp2(log2_gamma - lax.stop_gradient(log2_gamma))
    gain = gain * (rstd / lax.stop_gradient(rstd))
    surrogate = (a - mean) * (scale * gain) + offset
    return straight_through.straight_through(value, surrogate)

  def deployed_constants(
    self, params: dict[str, Any], statistics: dict[str, Any]
  ) -> dict[str, np.ndarray]:
    """Its variables of the collection `deployed`, from NumPy in float64."""
    running = statistics['running']
    if self.variant == 'two_ap2':
      rstd = np.asarray(running['rstd'], np.float64)
    else:
      variance = np.asarray(running['var'], np.float64)
      rstd = 1 / np.sqrt(variance + self.epsilon)
    shift, bias = constants.shift_batch_norm_constants(
      params['log2_gamma'], params['beta'], running['mean'], rstd,
      self.stream.fraction_bits, self.variant,
    )
    return {'shift': shift, 'bias': bias}
