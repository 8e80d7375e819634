"""Layers of a binary network whose stream is real, not an integer.

Its products have +-1 operands as those of `bnn_jax.nn.layers`; what flows
between them is what a method has in float. Called the same way.
"""

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import activations
from bnn_jax.nn import binarize
from bnn_jax.nn import integer
from bnn_jax.nn import layers
from bnn_jax.nn import marks
from bnn_jax.nn import shift_norm


class RealSign(nn.Module):
  """Sign of reals with a learned threshold (ReActNet, Liu et al. 2020).

  Attributes:
    gradient: pseudo-gradient, see `bnn_jax.nn.binarize`.
  """

  gradient: str = 'approx_sign'

  @nn.compact
  def __call__(
    self,
    r: jax.Array,
    *,
    train: bool,
    progress: float | jax.Array = 1.0,
  ) -> jax.Array:
    """Binarizes `r` `[..., C]` to +-1."""
    del train
    theta = self.param('theta', nn.initializers.zeros, r.shape[-1:])
    margin = r - theta
    activations.sow_margin(self, margin)
    return binarize.sign(margin, self.gradient, progress)


class RealShiftBatchNorm(nn.Module):
  """The integers of `shift_norm.ShiftBatchNorm` as the reals they stand for.

  Attributes:
    stream: format of the integers.
    variant: of `shift_norm.ShiftBatchNorm`.
  """

  stream: integer.StreamFormat = integer.StreamFormat()
  variant: str = 'fused'

  @nn.compact
  def __call__(
    self,
    a: jax.Array,
    *,
    train: bool,
    frozen: bool | jax.Array = False,
  ) -> jax.Array:
    """Normalizes accumulator results `a` `[..., C]`."""
    norm = shift_norm.ShiftBatchNorm(
      self.stream, self.variant, name='shift_norm'
    )
    y = norm(a, train=train, frozen=frozen)
    return y * 2.0**-self.stream.fraction_bits


class Gain(nn.Module):
  """A learned factor for each channel, in place of a normalization.

  Where batch statistics are out of reach, as within a recurrence, it brings
  sums of K products of +-1 to a variance of about 1.

  Attributes:
    operands: K.
  """

  operands: int

  @nn.compact
  def __call__(self, a: jax.Array) -> jax.Array:
    """Scales `a` `[..., C]`."""
    start = nn.initializers.constant(self.operands**-0.5)
    return a * self.param('gain', start, a.shape[-1:])


class SignClassifier(nn.Module):
  """Mean over positions and a dense layer of +-1 weights on real inputs.

  Attributes:
    classes: N.
  """

  classes: int

  @nn.compact
  def __call__(self, r: jax.Array, *, train: bool) -> jax.Array:
    """Classifies `r` `[B, *spatial, C]` to logits `[B, N]`."""
    del train
    shape = (r.shape[-1], self.classes)
    latent = self.param(layers.LATENT, layers.latent_init, shape)
    bias = self.param('bias', nn.initializers.zeros, (self.classes,))
    log_factor = self.param('log_factor', nn.initializers.zeros, ())
    w = binarize.sign(latent, 'hard_tanh')
    pooled = jnp.mean(r, axis=tuple(range(1, r.ndim - 1)))
    with marks.operands(1, 32):
      sums = jnp.matmul(pooled, w, precision=lax.Precision.HIGHEST)
    return sums * (jnp.exp(log_factor) / shape[0] ** 0.5) + bias
