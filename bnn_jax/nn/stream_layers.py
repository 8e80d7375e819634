"""What happens to a residual stream between the layers that learn."""

from collections.abc import Sequence

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import geometry
from bnn_jax.nn import integer
from bnn_jax.nn import straight_through


class Shortcut(nn.Module):
  """The stream as a block with a stride or more channels passes it on.

  Attributes:
    strides: one for all spatial axes, or one each.
    channels: of the output; channels of zeros are appended.
    crop: positions dropped (before, after) along each axis; none by default.
      What a convolution without padding skips at the edges.
  """

  strides: int | Sequence[int]
  channels: int
  crop: Sequence[tuple[int, int]] | None = None

  @nn.compact
  def __call__(self, stream: jax.Array) -> jax.Array:
    """Passes on.

    Args:
      stream: `[B, *spatial, C]`.

    Returns:
      `[B, *output, channels]`: positions 0, stride, 2 * stride, ... of those
      that are not dropped.
    """
    axes = stream.ndim - 2
    steps = geometry.per_axis(self.strides, axes, 'strides')
    crop = self.crop or ((0, 0),) * axes
    places = [
      slice(before, size - after, step)
      for size, step, (before, after) in zip(
        stream.shape[1:-1], steps, crop, strict=True
      )
    ]
    picked = stream[:, *places]
    missing = self.channels - stream.shape[-1]
    return jnp.pad(picked, [(0, 0)] * (axes + 1) + [(0, missing)])


class Slice(nn.Module):
  """Some of the channels, side by side.

  Attributes:
    start: the first of them.
    channels: how many.
  """

  start: int
  channels: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """From `[..., C]` to `[..., channels]`."""
    return x[..., self.start : self.start + self.channels]


class Reshape(nn.Module):
  """The same values in the same order, with other axes.

  Attributes:
    shape: of one clip; one size may be -1, for what is left.
  """

  shape: Sequence[int]

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """From `[B, ...]` to `[B, *shape]`."""
    return x.reshape(x.shape[0], *self.shape)


class Add(nn.Module):
  """Saturating sum of two streams, with the gradient of a plain sum.

  Attributes:
    stream: format of both and of the sum.
  """

  stream: integer.StreamFormat = integer.StreamFormat()

  @nn.compact
  def __call__(self, r: jax.Array, y: jax.Array) -> jax.Array:
    """Adds `r` and `y`, integers of the stream `[..., C]`."""
    total = r + y
    held = integer.saturate(total, self.stream.bits)
    return straight_through.straight_through(held, total)


class Materialize(nn.Module):
  """Returns its input, which XLA then computes once.

  Without the barrier XLA's CPU backend fuses a whole residual stream, block
  upon block, into each of its consumers and computes it again in each: twice
  the time of a training step.
  """

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Returns `x`."""
    return lax.optimization_barrier(x)
