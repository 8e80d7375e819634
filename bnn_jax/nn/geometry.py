"""Where the operands of each output lie, and how they are cut into words.

Shape letters: B batch, C input channels, G groups, K operands of one output,
N outputs. `docs/arithmetic.md`, section 2, is the definition.
"""

from collections.abc import Sequence
import dataclasses
import itertools
import math
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax import errors

Padding = str | Sequence[tuple[int, int]]


class Word(NamedTuple):
  """Operands `start` to `stop - 1` of an output, summed in one cycle."""

  start: int
  stop: int


def words(taps: int, channels: int, simd: int) -> tuple[Word, ...]:
  """Cuts the ordered operands of one output into words of at most `simd`.

  Operands are ordered tap by tap, channels fastest, so a word is a range. A
  word lies within a tap, or holds whole taps where several fit.

  Args:
    taps: kernel positions.
    channels: input channels of one group.
    simd: lanes of the popcount tree.

  Returns:
    The words in the order of their cycles.
  """
  if channels < simd:
    step = simd // channels * channels
    starts = range(0, taps * channels, step)
    return tuple(Word(s, min(s + step, taps * channels)) for s in starts)
  return tuple(
    Word(tap * channels + c, tap * channels + min(c + simd, channels))
    for tap in range(taps)
    for c in range(0, channels, simd)
  )


def same_padding(size: int, kernel: int, stride: int, dilation: int):
  """Pair of paddings that gives ceil(size / stride) outputs, as XLA does."""
  span = (math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1
  total = max(span - size, 0)
  return total // 2, total - total // 2


def per_axis(
  value: int | Sequence[int], axes: int, name: str
) -> tuple[int, ...]:
  """`value` for each of `axes` axes; a UserError says that `name` is wrong."""
  values = (value,) * axes if isinstance(value, int) else tuple(value)
  if len(values) != axes or any(v < 1 for v in values):
    raise errors.UserError(
      f'{name} must be one positive integer or {axes} of them, not {value!r}.'
    )
  return values


@dataclasses.dataclass(frozen=True)
class Geometry:
  """A convolution's shape; a dense layer is one without spatial axes.

  Attributes:
    kernel: size of the kernel along each spatial axis.
    strides: step between outputs along each axis.
    padding: (before, after) along each axis.
    dilation: step between taps along each axis.
    groups: channel groups; group g reads and writes the g-th slice.
  """

  kernel: tuple[int, ...]
  strides: tuple[int, ...]
  padding: tuple[tuple[int, int], ...]
  dilation: tuple[int, ...]
  groups: int

  @property
  def taps(self) -> int:
    """Kernel positions."""
    return math.prod(self.kernel)

  def output_shape(self, spatial: Sequence[int]) -> tuple[int, ...]:
    """Spatial shape of the output for an unpadded input of `spatial`."""
    return tuple(
      (size + before + after - (k - 1) * d - 1) // s + 1
      for size, k, s, (before, after), d in zip(
        spatial, self.kernel, self.strides, self.padding, self.dilation,
        strict=True,
      )
    )


def geometry(
  x_shape: Sequence[int],
  w_shape: Sequence[int],
  strides: int | Sequence[int] = 1,
  padding: Padding = 'SAME',
  dilation: int | Sequence[int] = 1,
  groups: int = 1,
) -> Geometry:
  """Resolves a convolution's arguments against its operands' shapes.

  Args:
    x_shape: `[..., *spatial, C]`.
    w_shape: `[*kernel, C // groups, N]`; without kernel axes a dense layer.
    strides: one for all spatial axes, or one each.
    padding: 'SAME', 'VALID', or a (before, after) pair for each axis.
    dilation: one for all spatial axes, or one each.
    groups: divides C and N.

  Returns:
    The geometry.

  Raises:
    UserError: a value or a shape that does not fit.
  """
  axes = len(w_shape) - 2
  kernel, channels, outputs = w_shape[:axes], w_shape[-2], w_shape[-1]
  if groups < 1 or x_shape[-1] != groups * channels or outputs % groups:
    raise errors.UserError(
      f'groups={groups} does not fit {x_shape[-1]} input channels, kernels of '
      f'{channels} channels and {outputs} outputs; it must divide both.'
    )
  steps = per_axis(strides, axes, 'strides')
  spread = per_axis(dilation, axes, 'dilation')
  spatial = x_shape[len(x_shape) - 1 - axes : -1]
  if padding == 'SAME':
    pairs = tuple(map(same_padding, spatial, kernel, steps, spread))
  elif padding == 'VALID':
    pairs = ((0, 0),) * axes
  elif isinstance(padding, str) or len(padding) != axes:
    raise errors.UserError(
      f"padding must be 'SAME', 'VALID' or {axes} (before, after) pairs, "
      f'not {padding!r}.'
    )
  else:
    pairs = tuple((int(before), int(after)) for before, after in padding)
    if any(min(pair) < 0 for pair in pairs):
      raise errors.UserError(
        f'padding={padding!r} is negative; cut the input instead.'
      )
  result = Geometry(tuple(kernel), steps, pairs, spread, groups)
  if any(size < 1 for size in result.output_shape(spatial)):
    raise errors.UserError(
      f'a kernel of {tuple(kernel)} with dilation {dilation} and padding '
      f'{padding!r} is larger than its input of {tuple(spatial)}.'
    )
  return result


def first_axis(shape: Geometry) -> Geometry:
  """The geometry along the first axis alone."""
  return Geometry(
    shape.kernel[:1], shape.strides[:1], shape.padding[:1], shape.dilation[:1],
    shape.groups,
  )


def pad(x: jax.Array, shape: Geometry, fill: int) -> jax.Array:
  """The input `[B, *spatial, C]` with its padding, of `fill`, around it."""
  return jnp.pad(x, ((0, 0), *shape.padding, (0, 0)), constant_values=fill)


def taps(x: jax.Array, shape: Geometry) -> list[jax.Array]:
  """The input under each kernel position.

  Args:
    x: `[B, *spatial, C]` of +-1.
    shape: geometry of the convolution.

  Returns:
    One array `[B, *output, C]` a tap, in the order of accumulation; padded
    positions hold -1.
  """
  return views(x, shape, -1)


def views(x: jax.Array, shape: Geometry, padding: int) -> list[jax.Array]:
  """`taps` of an input that is not +-1.

  Args:
    x: `[B, *spatial, ...]`.
    shape: geometry of the convolution.
    padding: what padded positions hold.

  Returns:
    One array `[B, *output, ...]` a tap.
  """
  axes = len(shape.kernel)
  rest = x.shape[1 + axes :]
  output = shape.output_shape(x.shape[1 : 1 + axes])
  around = ((0, 0), *shape.padding, *[(0, 0)] * len(rest))
  padded = jnp.pad(x, around, constant_values=padding)
  found = []
  for position in itertools.product(*map(range, shape.kernel)):
    starts = [p * d for p, d in zip(position, shape.dilation, strict=True)]
    stops = [
      start + (size - 1) * stride + 1
      for start, size, stride in zip(starts, output, shape.strides, strict=True)
    ]
    found.append(
      lax.slice(
        padded,
        (0, *starts, *[0] * len(rest)),
        (x.shape[0], *stops, *rest),
        (1, *shape.strides, *[1] * len(rest)),
      )
    )
  return found


def operands(x: jax.Array, shape: Geometry) -> jax.Array:
  """The ordered operands of every output, `[B, *output, G, K]`."""
  by_group = [
    view.reshape(*view.shape[:-1], shape.groups, -1) for view in taps(x, shape)
  ]
  return jnp.concatenate(by_group, axis=-1)


def grouped_weights(w: jax.Array, groups: int) -> jax.Array:
  """Weights `[*kernel, C // G, N]` as `[G, K, N // G]`."""
  w = w.reshape(-1, groups, w.shape[-1] // groups)
  return jnp.moveaxis(w, 1, 0)
