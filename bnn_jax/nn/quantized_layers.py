"""Layers of 8-bit weights and inputs: first and last of many binary networks.

Values are real and lie on the grid of 8-bit integers; gradients are straight
through, but for inputs beyond the range (Jacob et al. 2018).
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import convolution
from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import integer
from bnn_jax.nn import marks
from bnn_jax.nn import straight_through

# Inputs of unit variance: [-4, 4) in steps of 1/32.
INPUT = integer.StreamFormat(8, 5)

# Largest magnitude of a weight's integer; the range is symmetric.
_LARGEST = 127


def quantize(x: jax.Array, stream: integer.StreamFormat) -> jax.Array:
  """Reals on the grid of a fixed-point format, with gradient 1 inside it.

  Args:
    x: any shape.
    stream: the format.

  Returns:
    sat_R(floor(2^F x + 1/2)) 2^-F, of the shape of `x`.
  """
  step = 2.0**-stream.fraction_bits
  held = integer.saturate(jnp.floor(x / step + 0.5), stream.bits) * step
  clipped = jnp.clip(x, stream.minimum * step, stream.maximum * step)
  return straight_through.straight_through(held, clipped)


def quantize_weights(w: jax.Array) -> jax.Array:
  """Weights `[..., N]` on a grid of 8 bits, one step for each output."""
  axes = tuple(range(w.ndim - 1))
  largest = jnp.max(jnp.abs(w), axes, keepdims=True)
  step = lax.stop_gradient(jnp.maximum(largest, 1e-8)) / _LARGEST
  return straight_through.straight_through(jnp.round(w / step) * step, w)


class QuantizedConv(nn.Module):
  """Convolution of 8-bit operands; fields as of `float_layers.FloatConv`.

  Attributes:
    stream: format of the inputs.
  """

  features: int
  kernel_size: Sequence[int]
  strides: int | Sequence[int] = 1
  padding: Any = 'SAME'
  dilation: int | Sequence[int] = 1
  groups: int = 1
  stream: integer.StreamFormat = INPUT

  @nn.compact
  def __call__(self, x: jax.Array, **unused: Any) -> jax.Array:
    """Convolves `x` `[B, *spatial, C]` to `[B, *output, features]`."""
    del unused
    x = quantize(x, self.stream)
    shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
    kernel = self.param('kernel', nn.initializers.lecun_normal(), shape)
    with marks.operands(8, self.stream.bits):
      return self._convolve(x, quantize_weights(kernel))

  def _convolve(self, x, w):
    if not self.kernel_size:
      return jnp.matmul(x, w, precision=lax.Precision.HIGHEST)
    shape = geometry_lib.geometry(
      x.shape, w.shape, self.strides, self.padding, self.dilation, self.groups
    )
    return convolution.convolve(
      x, w, shape, fill=0, precision=lax.Precision.HIGHEST
    )


class QuantizedClassifier(nn.Module):
  """Mean over positions and a dense layer of 8-bit weights.

  Attributes:
    classes: N.
    stream: format of the inputs.
  """

  classes: int
  stream: integer.StreamFormat = integer.StreamFormat()

  @nn.compact
  def __call__(self, r: jax.Array, *, train: bool) -> jax.Array:
    """Classifies `r` `[B, *spatial, C]` to logits `[B, N]`."""
    del train
    pooled = jnp.mean(r, axis=tuple(range(1, r.ndim - 1)))
    bias = self.param('bias', nn.initializers.zeros, (self.classes,))
    dense = QuantizedConv(self.classes, (), stream=self.stream, name='dense')
    return dense(pooled) + bias
