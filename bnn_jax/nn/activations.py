"""Signs and activations of the integer stream.

In training and in evaluation they run as `bnn_jax.nn.layers` says.
"""

from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import binarize
from bnn_jax.nn import constants
from bnn_jax.nn import deployment
from bnn_jax.nn import integer
from bnn_jax.nn import straight_through


def sow_margin(sign: nn.Module, margin: jax.Array) -> None:
  """Shows what a sign reads, less its threshold."""
  if sign.is_mutable_collection('margins') and not sign.is_initializing():
    sign.sow('margins', 'margin', margin)


class RSign(nn.Module):
  """Sign with a learned threshold (ReActNet, Liu et al. 2020).

  Attributes:
    stream: format of the input.
    gradient: pseudo-gradient, see `bnn_jax.nn.binarize`.
  """

  stream: integer.StreamFormat = integer.StreamFormat()
  gradient: str = 'approx_sign'

  @nn.compact
  def __call__(
    self,
    r: jax.Array,
    *,
    train: bool,
    progress: float | jax.Array = 1.0,
  ) -> jax.Array:
    """Binarizes.

    Args:
      r: `[..., C]` integers of the stream.
      train: compute with parameters, otherwise with deployed integers.
      progress: share of training done.

    Returns:
      `[..., C]` of +-1.
    """
    channels = r.shape[-1:]
    theta = self.param('theta', nn.initializers.zeros, channels)
    if not train:
      threshold = deployment.variable(self, 'theta', channels)
      return integer.rsign(r, threshold.astype(r.dtype))
    step = 2.0**self.stream.fraction_bits
    # r >= ceil(2^F theta) for integers r is r >= 2^F theta, and the
    # subtraction of two floats has the sign of their comparison.
    margin = (r - step * theta) / step
    sow_margin(self, margin)
    return binarize.sign(margin, self.gradient, progress)

  def deployed_constants(
    self, params: dict[str, Any], statistics: dict[str, Any]
  ) -> dict[str, np.ndarray]:
    """Its variables of the collection `deployed`, from NumPy in float64."""
    del statistics
    theta = constants.rsign_threshold(
      params['theta'], self.stream.bits, self.stream.fraction_bits
    )
    return {'theta': theta}


class ShiftPReLU(nn.Module):
  """PReLU with learned offsets whose slope is a power of two.

  ReActNet's RPReLU (Liu et al. 2020) without its multiplier.

  Attributes:
    stream: format of input and output.
  """

  stream: integer.StreamFormat = integer.StreamFormat()

  @nn.compact
  def __call__(self, y: jax.Array, *, train: bool) -> jax.Array:
    """Activates.

    Args:
      y: `[..., C]` integers of the stream.
      train: compute with parameters, otherwise with deployed integers.

    Returns:
      `[..., C]` integers of the stream.
    """
    channels = y.shape[-1:]
    log2_slope = self.param(
      'log2_slope', nn.initializers.constant(-2.0), channels
    )
    before = self.param('before', nn.initializers.zeros, channels)
    after = self.param('after', nn.initializers.zeros, channels)
    if not train:
      k = deployment.variable(self, 'k', channels)
      g = deployment.variable(self, 'g', channels).astype(y.dtype)
      h = deployment.variable(self, 'h', channels).astype(y.dtype)
      return integer.shift_prelu(y, k, g, h, self.stream.bits)
    return self._activate(y, log2_slope, before, after)

  def _activate(self, y, log2_slope, before, after):
    """Forward on the deployed integers, backward as a PReLU."""
    step = 2.0**self.stream.fraction_bits
    limits = self.stream.minimum, self.stream.maximum
    k = jnp.clip(jnp.floor(0.5 - log2_slope), 0, constants.PRELU_SHIFT_MAX)
    g = jnp.clip(jnp.floor(step * before + 0.5), *limits)
    h = jnp.clip(jnp.floor(step * after + 0.5), *limits)
    value = integer.shift_prelu(y, k, g, h, self.stream.bits)
    z = y - straight_through.straight_through(g, step * before)
    # The factor is 1 and carries only a derivative.
    gain = jnp.exp2(log2_slope - lax.stop_gradient(log2_slope))
    negative = z * (integer.power_of_two(-k) * gain)
    surrogate = jnp.where(z >= 0, z, negative) + step * after
    return straight_through.straight_through(value, surrogate)

  def deployed_constants(
    self, params: dict[str, Any], statistics: dict[str, Any]
  ) -> dict[str, np.ndarray]:
    """Its variables of the collection `deployed`, from NumPy in float64."""
    del statistics
    k, g, h = constants.prelu_constants(
      params['log2_slope'], params['before'], params['after'],
      self.stream.bits, self.stream.fraction_bits,
    )
    return {'k': k, 'g': g, 'h': h}
