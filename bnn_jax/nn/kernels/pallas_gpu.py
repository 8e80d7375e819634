"""A Triton kernel for GPUs, written in Pallas.

Tensor cores multiply int8 signs, one piece of a word at a time; the sum of a
word and the register stay in the processor's registers. Inputs are read where
they lie, tap by tap: no operand is copied for each tap that reads it.

Shape letters: B batch, C input channels, G groups, K operands of one output,
N outputs of a group; M positions of the whole batch.
"""

import functools
import math
from typing import Any
from typing import NamedTuple

import jax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import devices
from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import register
from bnn_jax.nn.kernels import chunks
from bnn_jax.nn.kernels import pallas_block

# Channels of a group take a multiple of this many bytes, so that sixteen are
# read at once.
_ALIGNED = 16
# With fewer channels under a tap, a copy of all operands reads better.
_FEWEST_CHANNELS = 16


class Blocks(NamedTuple):
  """How work is spread; the integers do not depend on it.

  Attributes:
    rows: most positions of a block, a power of two.
    columns: most outputs of a block.
    warps: of a block.
    stages: of the loop's pipeline.
  """

  rows: int = 64
  columns: int = 128
  warps: int = 4
  stages: int = 3


_DEFAULT = Blocks()


# Which layers `fits` leaves to the other engine, for users.
EXCEPTIONS = f'a group has fewer than {pallas_block.LEAST} outputs'


def fits(shape: geometry_lib.Geometry, outputs: int) -> bool:
  """True where tensor cores have enough columns to work on."""
  return outputs // shape.groups >= pallas_block.LEAST


def run(
  x: jax.Array,
  w: jax.Array,
  preload: jax.Array | None,
  accumulator: register.Accumulator,
  shape: geometry_lib.Geometry,
  with_exact: bool = False,
  *,
  blocks: Blocks = _DEFAULT,
  interpret: bool | None = None,
) -> tuple[jax.Array, jax.Array | None]:
  """Runs all registers; has no derivatives.

  Args:
    x: `[B, *spatial, C]` of +-1.
    w: `[*kernel, C // G, G * N]` of +-1.
    preload: `[G * N]` or None.
    accumulator: the register.
    shape: geometry of the convolution.
    with_exact: also give the exact results.
    blocks: sizes of the work of a block.
    interpret: run in Pallas' interpreter; by default where there is no GPU.

  Returns:
    Results `[B, *output, G * N]` and the exact ones or None, float32.
  """
  if interpret is None:
    interpret = devices.backend() != 'gpu'
  output = x.shape[0], *shape.output_shape(x.shape[1:-1])
  x, w = x.astype(jnp.int8), w.astype(jnp.int8)
  words = geometry_lib.words(shape.taps, w.shape[-2], accumulator.simd)
  m = sum((word.stop - word.start) % 2 for word in words)
  weights = geometry_lib.grouped_weights(w, shape.groups)
  start = jnp.zeros(w.shape[-1:], jnp.int32)
  if preload is not None:
    start = preload.astype(jnp.int32)
  if w.shape[-2] < _FEWEST_CHANNELS and shape.taps > 1:
    operands = geometry_lib.operands(x, shape)
    x = operands.reshape(math.prod(output), -1)
    shape = geometry_lib.Geometry((), (), (), (), shape.groups)
  if accumulator.overflow_mode != 'saturate':
    # Wrapping once is wrapping every time: one word of all operands.
    words = (geometry_lib.Word(0, weights.shape[1]),)
  channels = weights.shape[1] // shape.taps
  plan = chunks.plan(words, shape.taps, channels)
  x, pitches = _laid_out(x, shape, max(chunk.lanes for chunk in plan.chunks))
  places = (
    *zip(output, (pitches[0], *map(
      int.__mul__, shape.strides, pitches[1:-1])), strict=True),
  ) if shape.kernel else ((math.prod(output), pitches[0]),)
  missing = max(0, pallas_block.LEAST - weights.shape[-1])
  weights = jnp.pad(weights, ((0, 0), (0, 1), (0, missing)))
  start = jnp.pad(start.reshape(shape.groups, -1), ((0, 0), (0, missing)))
  task = pallas_block.Task(
    plan, accumulator, m, plan.per_tap * shape.taps,
    tuple(zip(shape.kernel, map(
      int.__mul__, shape.dilation, pitches[1:-1]), strict=True)),
    places, pitches[-1], shape.groups, weights.shape[-1],
    pallas_block.power_of_two(math.prod(output), blocks.rows),
    min(weights.shape[-1], blocks.columns), preload is not None,
  )
  found = _call(x, weights, start, task, with_exact, blocks, interpret)
  found = [
    value[: math.prod(output)].reshape(*output, shape.groups, -1)[
      ..., : w.shape[-1] // shape.groups
    ].reshape(*output, -1)
    for value in found
  ]
  return found[0], found[1] if with_exact else None


def _laid_out(x, shape, beyond) -> tuple[jax.Array, tuple[int, ...]]:
  """The padded input in a row, and its pitches.

  Args:
    x: `[B, *spatial, C]` int8.
    shape: geometry of the convolution.
    beyond: how many values behind a channel may be read.

  Returns:
    The input, and the pitch of each of its axes but the last, the group's
    being last.
  """
  x = geometry_lib.pad(x, shape, -1) if shape.kernel else x
  x = x.reshape(*x.shape[:-1], shape.groups, -1)
  missing = -x.shape[-1] % _ALIGNED
  x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])
  pitches = tuple(math.prod(x.shape[i + 1:]) for i in range(x.ndim - 1))
  return jnp.pad(x.ravel(), (0, beyond)), pitches


def _call(x, w, start, task, with_exact, blocks, interpret):
  """Results `[M, G * N]`, and the exact ones where asked for.

  Args:
    x: inputs in a row, int8.
    w: `[G, K + 1, N]` int8, the last row zero.
    start: `[G, N]` int32.
    task: what is to be computed.
    with_exact: also give the exact results.
    blocks: sizes of the work of a block.
    interpret: run in Pallas' interpreter.

  Returns:
    One array or two.
  """
  columns = jnp.swapaxes(w, 1, 2)
  # [G, turns, pieces, N, lanes]: the operands of a product are neighbours.
  weights = [
    jnp.moveaxis(columns[:, :, chunk.operand], 1, 3)
    for chunk in task.plan.chunks
  ]
  flags = np.stack([
    np.stack([chunk.ends, chunk.odd], -1).astype(np.int32)[:, piece]
    for chunk in task.plan.chunks for piece in range(chunk.ends.shape[1])
  ], 1)
  positions = math.prod(size for size, _ in task.places)
  result = jax.ShapeDtypeStruct(
    (max(positions, task.rows), task.groups * task.outputs), jnp.float32
  )
  grid = (
    math.ceil(positions / task.rows) * task.groups
    * math.ceil(task.outputs / task.columns)
  )
  params: dict[str, Any] = {} if interpret else {
    'compiler_params': triton.CompilerParams(
      num_warps=blocks.warps, num_stages=blocks.stages
    )
  }
  return pl.pallas_call(
    functools.partial(pallas_block.run, task=task, with_exact=with_exact),
    out_shape=[result] * (1 + with_exact),
    grid=(grid,),
    interpret=interpret,
    **params,
  )(x, start.ravel(), jnp.asarray(flags), *weights)
