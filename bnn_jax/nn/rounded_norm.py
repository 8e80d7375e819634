"""Real-valued batch normalization between the integers of a binarized net."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from bnn_jax.nn import float_layers
from bnn_jax.nn import integer
from bnn_jax.nn import straight_through


class RoundedBatchNorm(nn.Module):
  """Batch normalization rounded into the stream, a comparison for the shift's.

  Computes sat_R(floor(2^F * norm(a) + 1/2)), with the gradient of 2^F *
  norm(a). Its multipliers are what `shift_norm.ShiftBatchNorm` does without; it
  has no deployed integers and cannot be exported.

  Attributes:
    stream: format of the output.
  """

  stream: integer.StreamFormat = integer.StreamFormat()

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
      train: by the batch's statistics, otherwise by the running ones.
      frozen: in training, use the running statistics and leave them alone.

    Returns:
      `[..., C]` integers of the stream.
    """
    normalized = float_layers.BatchNorm(name='real')(
      a, train=train, frozen=frozen
    )
    y = 2.0**self.stream.fraction_bits * normalized
    held = integer.saturate(jnp.floor(y + 0.5), self.stream.bits)
    return straight_through.straight_through(held, y)
