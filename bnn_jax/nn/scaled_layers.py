"""Binary products with real scales, as BiFSMN and BiFSMNv2 train them.

These reproduce the published training and no integer machine: scales belong to
pairs of input and output channel, which no popcount can sum, and zeros pad, so
that an operand has three values; over one axis, BiFSMNv2 pads in front of its
signs. Gradients are those of a clipped identity.

Shape letters: B batch, C input channels, N outputs.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import convolution
from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import layers
from bnn_jax.nn import marks
from bnn_jax.nn import straight_through


class ScaledConv(nn.Module):
  """Convolution of scaled signs; other fields as of `layers.BinaryConv`.

  Attributes:
    learned: BiFSMNv2's inputs and weights (Qin et al. 2023), else BiFSMN's
      (Qin et al. 2022).
    bias: adds a learned one.
  """

  features: int
  kernel_size: Sequence[int]
  strides: int | Sequence[int] = 1
  padding: Any = 'SAME'
  dilation: int | Sequence[int] = 1
  groups: int = 1
  bias: bool = False
  learned: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, **unused: Any) -> jax.Array:
    """Convolves `x` `[B, *spatial, C]` to `[B, *output, features]`."""
    del unused
    shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
    latent = self.param(layers.LATENT, layers.latent_init, shape)
    positions, padding = x.shape[:-1], self.padding
    if not self.kernel_size:
      x = x.reshape(-1, x.shape[-1])
    if self.learned and len(self.kernel_size) == 1:
      x, padding = self._padded(x, shape), 'VALID'
    if self.learned:
      x = TwoScaleSign(name='signs')(x)
      centered = self.param('weight_factor', nn.initializers.ones, ()) * latent
    else:
      x = scaled_sign(x, 1.0)
      centered = latent - jnp.mean(latent) if self.kernel_size else latent
    magnitudes = latent if self.learned else centered
    w = scaled_sign(centered, weight_scales(magnitudes, self.learned))
    # Two signs stand for one input of BiFSMNv2.
    with marks.operands(1, 2 if self.learned else 1):
      y = self._convolve(x, w, padding)
    if not self.kernel_size:
      y = y.reshape(*positions, self.features)
    if not self.bias:
      return y
    return y + self.param('bias', nn.initializers.zeros, (self.features,))

  def _padded(self, x, shape):
    """The input with zeros that have signs, as BiFSMNv2's memories have."""
    ends = geometry_lib.geometry(
      x.shape, shape, self.strides, self.padding, self.dilation, self.groups
    ).padding
    return jnp.pad(x, ((0, 0), *ends, (0, 0)))

  def _convolve(self, x, w, padding):
    if not self.kernel_size:
      return x @ w
    shape = geometry_lib.geometry(
      x.shape, w.shape, self.strides, padding, self.dilation, self.groups
    )
    return convolution.convolve(x, w, shape, fill=0)


def scaled_sign(x: jax.Array, scale: jax.Array | float) -> jax.Array:
  """A sign times a scale, with the gradient of a clipped identity.

  Forward: scale sign(x). Backward: d/dx = 1 where |x| <= 1, else 0; d/d scale
  = 0.

  Args:
    x: any shape.
    scale: broadcasts to it.

  Returns:
    The shape of `x`.
  """
  signs = jnp.where(x >= 0, 1.0, -1.0) * lax.stop_gradient(scale)
  return straight_through.straight_through(signs, jnp.clip(x, -1.0, 1.0))


def weight_scales(latent: jax.Array, rows: bool) -> jax.Array:
  """Mean magnitudes of weights, as factors of their signs.

  Args:
    latent: `[*kernel, C, N]`.
    rows: of time and frequency, only time is averaged (BiFSMNv2).

  Returns:
    One for each output of a dense layer; otherwise one for each pair of input
    and output, in a shape that broadcasts.
  """
  axes = tuple(range(latent.ndim - 2)) or (0,)
  return jnp.mean(jnp.abs(latent), axes[:1] if rows else axes, keepdims=True)


class TwoScaleSign(nn.Module):
  """A sign, and the scaled sign of what it leaves (BiFSMNv2).

  b1 = sign(a1 (x - t0)), r = x - b1 - t1, b2 = mean|r| sign(a2 r), y = b1 + b2
  - t2, of which t are learned for each channel and a once. The mean is one of
  each position (dense layers), channel (one spatial axis) or frequency of a
  channel (two).
  """

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Binarizes `x` `[..., C]`, twice."""
    start = nn.initializers.uniform(0.001)
    thresholds = self.param('thresholds', start, (3, x.shape[-1]))
    factors = self.param('factors', nn.initializers.ones, (2,))
    first = scaled_sign(factors[0] * (x - thresholds[0]), 1.0)
    rest = x - first - thresholds[1]
    axis = -1 if x.ndim == 2 else 1
    scale = jnp.mean(jnp.abs(rest), axis, keepdims=True)
    second = scaled_sign(factors[1] * rest, scale)
    return first + second - thresholds[2]
