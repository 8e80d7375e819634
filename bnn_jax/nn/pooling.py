"""Pooling inside a network, of reals and of integers of a stream."""

from collections.abc import Sequence
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from bnn_jax.nn import straight_through


def no_integers(window: Sequence[int]) -> str:
  """Why means of a window have no integer form; '' where they have one."""
  count = math.prod(window)
  if count.bit_count() == 1:
    return ''
  sizes = ' x '.join(map(str, window))
  return (
    f'divides by the {count} positions of its window, {sizes}, no power of two'
  )


class AveragePool(nn.Module):
  """Means of windows that do not overlap; what is left at the end is cut off.

  Attributes:
    window: size along each spatial axis.
  """

  window: Sequence[int]

  @nn.compact
  def __call__(self, r: jax.Array) -> jax.Array:
    """Pools `r` `[B, *spatial, C]`."""
    return nn.avg_pool(r, tuple(self.window), tuple(self.window))


class IntegerAveragePool(nn.Module):
  """The same of integers, rounded down.

  `docs/arithmetic.md`, section 7, has windows of a power of two positions
  alone; a network with any other is trained and evaluated, but not exported.

  Attributes:
    window: size along each spatial axis.
  """

  window: Sequence[int]

  @nn.compact
  def __call__(self, r: jax.Array) -> jax.Array:
    """Pools `r` `[B, *spatial, C]`, integers of a stream."""
    count = math.prod(self.window)
    mean = nn.avg_pool(r, tuple(self.window), tuple(self.window))
    # Half a unit of the sum keeps the rounding of the division off the floor.
    sums = jnp.floor(mean * count + 0.5)
    return straight_through.straight_through(
      jnp.floor((sums + 0.5) / count), mean
    )


class MaxPool(nn.Module):
  """Maxima of windows that do not overlap; the rest at the end is cut off.

  Attributes:
    window: size along each spatial axis.
  """

  window: Sequence[int]

  @nn.compact
  def __call__(self, r: jax.Array) -> jax.Array:
    """Pools `r` `[B, *spatial, C]`."""
    return nn.max_pool(r, tuple(self.window), tuple(self.window))
