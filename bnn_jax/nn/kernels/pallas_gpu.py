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
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import register
from bnn_jax.nn.kernels import chunks

# Tensor cores take no fewer rows or columns.
_LEAST = 16
# Channels of a group take a multiple of this many bytes, so that sixteen are
# read at once.
_ALIGNED = 16
# With fewer channels under a tap, a copy of all operands reads better.
_FEWEST_CHANNELS = 16
# More pieces of a chunk are a loop.
_UNROLLED = 4


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


class _Task(NamedTuple):
  """What is fixed when the kernel is compiled.

  Attributes:
    plan: the operands' order.
    accumulator: the register.
    odd_words: m of the result.
    turns: of the loop.
    taps: (kernel, dilation times pitch) of each spatial axis.
    places: (outputs, stride times pitch) of the batch and each spatial axis.
    channels: pitch of a group in the inputs.
    groups: G.
    outputs: N.
    rows: of a block.
    columns: of a block, any number.
    preloaded: the registers do not start at 0.
  """

  plan: chunks.Plan
  accumulator: register.Accumulator
  odd_words: int
  turns: int
  taps: tuple[tuple[int, int], ...]
  places: tuple[tuple[int, int], ...]
  channels: int
  groups: int
  outputs: int
  rows: int
  columns: int
  preloaded: bool


def fits(shape: geometry_lib.Geometry, outputs: int) -> bool:
  """True where tensor cores have enough columns to work on."""
  return outputs // shape.groups >= _LEAST


def run(
  x: jax.Array,
  w: jax.Array,
  preload: jax.Array | None,
  accumulator: register.Accumulator,
  shape: geometry_lib.Geometry,
  with_exact: bool = False,
  *,
  blocks: Blocks = Blocks(),
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
    interpret = jax.default_backend() != 'gpu'
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
  missing = max(0, _LEAST - weights.shape[-1])
  weights = jnp.pad(weights, ((0, 0), (0, 1), (0, missing)))
  start = jnp.pad(start.reshape(shape.groups, -1), ((0, 0), (0, missing)))
  task = _Task(
    plan, accumulator, m, plan.per_tap * shape.taps,
    tuple(zip(shape.kernel, map(
      int.__mul__, shape.dilation, pitches[1:-1]), strict=True)),
    places, pitches[-1], shape.groups, weights.shape[-1],
    _block(math.prod(output), blocks.rows),
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


def _block(size: int, most: int) -> int:
  """The largest power of two within both, for tensor cores large enough."""
  return max(_LEAST, 1 << min(size, most).bit_length() - 1)


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
  x = geometry_lib.pad(x, shape) if shape.kernel else x
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
    functools.partial(_kernel, task=task, with_exact=with_exact),
    out_shape=[result] * (1 + with_exact),
    grid=(grid,),
    interpret=interpret,
    **params,
  )(x, start.ravel(), jnp.asarray(flags), *weights)


class _State(NamedTuple):
  """Of a tile `[rows, width]`, int32; None where it is not needed.

  Attributes:
    held: by the registers.
    word: sum of the word that has begun.
    exact: sum of all products.
  """

  held: jax.Array | None
  word: jax.Array | None
  exact: jax.Array | None


def _kernel(x, start, flags, *rest, task: _Task, with_exact: bool):
  """One block of positions and outputs of one group."""
  weights, outs = rest[: len(task.plan.chunks)], rest[len(task.plan.chunks):]
  row, group, column = _place(task)
  base = _first_operands(row, task) + group * task.channels
  tiles = _tiles(task.columns)
  starts = [
    _start(start, group * task.outputs + column + offset, width, task)
    for offset, width in tiles
  ]

  def body(turn, states):
    first = base + _turn_offset(turn, task)
    number = 0
    for chunk, w in zip(task.plan.chunks, weights, strict=True):
      lane = lax.iota(jnp.int32, chunk.lanes) + chunk.start
      signs = x[first[:, None] + lane[None]]
      pieces = chunk.ends.shape[1]
      piece = functools.partial(
        _feed, signs, w, flags, (group, turn, number, column), tiles, task,
      )
      if pieces > _UNROLLED:
        states = lax.fori_loop(0, pieces, piece, states)
      else:
        for i in range(pieces):
          states = piece(i, states)
      number += pieces
    return states

  initial = tuple(_initial(start, task, with_exact) for start in starts)
  states = lax.fori_loop(0, task.turns, body, initial)
  for (offset, width), begun, state in zip(tiles, starts, states, strict=True):
    place = (
      pl.ds(row, task.rows),
      pl.ds(group * task.outputs + column + offset, width),
    )
    for out, value in zip(outs, _results(state, begun, task), strict=False):
      out[place] = value.astype(jnp.float32)


def _place(task: _Task):
  """First position, group and first output of this block.

  The last blocks overlap those before them and compute the same, so that
  nothing is masked.
  """
  columns = math.ceil(task.outputs / task.columns)
  rest, column = _divmod(pl.program_id(0), columns)
  rest, group = _divmod(rest, task.groups)
  last = max(math.prod(size for size, _ in task.places) - task.rows, 0)
  return (
    jnp.minimum(rest * task.rows, last), group,
    jnp.minimum(column * task.columns, task.outputs - task.columns),
  )


def _divmod(value, divisor: int):
  """Of what is not negative."""
  divisor = jnp.int32(divisor)
  return lax.div(value, divisor), lax.rem(value, divisor)


def _offset(index, axes):
  """Where the row-major `index` over (size, pitch) axes lies."""
  offset = jnp.zeros_like(index)
  for size, pitch in reversed(axes):
    index, place = _divmod(index, size)
    offset += place * pitch
  return offset


def _first_operands(row, task: _Task) -> jax.Array:
  positions = math.prod(size for size, _ in task.places)
  index = row + lax.iota(jnp.int32, task.rows)
  if positions < task.rows:
    index = jnp.minimum(index, positions - 1)
  return _offset(index, task.places)


def _turn_offset(turn, task: _Task):
  tap, part = _divmod(turn, task.plan.per_tap)
  return _offset(tap, task.taps) + part * task.plan.step


def _tiles(columns: int) -> list[tuple[int, int]]:
  """First column and width of powers of two that cover a block."""
  tiles = []
  offset = 0
  while offset < columns:
    width = _block(columns - offset, columns)
    tiles.append((min(offset, columns - width), width))
    offset += width
  return tiles


def _start(start, first, width: int, task: _Task) -> jax.Array:
  shape = task.rows, width
  if not task.preloaded:
    return jnp.zeros(shape, jnp.int32)
  return jnp.broadcast_to(start[pl.ds(first, width)][None], shape)


def _initial(start, task: _Task, with_exact: bool) -> _State:
  zero = jnp.zeros_like(start)
  if task.accumulator.overflow_mode != 'saturate':
    return _State(None, None, zero)
  whole = all(chunk.ends.all() for chunk in task.plan.chunks)
  return _State(start, None if whole else zero, zero if with_exact else None)


def _feed(signs, w, flags, at, tiles, task, i, states):
  """Adds the i-th piece of a chunk to all tiles.

  Args:
    signs: `[rows, lanes]` int8.
    w: `[G, turns, pieces, N, lanes]` int8.
    flags: `[turns, pieces of all chunks, 2]`.
    at: group, turn, number of the chunk's first piece, first output.
    tiles: see `_tiles`.
    task: what is to be computed.
    i: piece of the chunk.
    states: of the tiles.

  Returns:
    The states.
  """
  group, turn, number, column = at
  fed = []
  for state, (offset, width) in zip(states, tiles, strict=True):
    weights = w[group, turn, i, pl.ds(column + offset, width), :]
    total = lax.dot_general(
      signs, weights, (((1,), (1,)), ((), ())),
      preferred_element_type=jnp.int32,
    )
    exact = None if state.exact is None else state.exact + total
    if state.held is None:
      fed.append(_State(None, None, exact))
      continue
    if state.word is not None:
      total = state.word + total
    added = total
    if task.accumulator.unit == 'popcount':
      # popcount - floor(n / 2), from total = 2 * popcount - n.
      added = lax.shift_right_arithmetic(total + flags[turn, number + i, 1], 1)
    held, word = task.accumulator.register(state.held + added), None
    if state.word is not None:
      ends = flags[turn, number + i, 0] == 1
      held = jnp.where(ends, held, state.held)
      word = jnp.where(ends, 0, total)
    fed.append(_State(held, word, exact))
  return tuple(fed)


def _results(state: _State, start, task: _Task):
  """The result, and the exact one where it was summed."""
  accumulator, m = task.accumulator, task.odd_words
  scale = 1 if accumulator.unit == 'dot' else 2
  exact = None if state.exact is None else state.exact + scale * start
  held = state.held
  if held is None:
    held = exact if scale == 1 else lax.shift_right_arithmetic(exact + m, 1)
    held = accumulator.register(held)
  result = held if scale == 1 else 2 * held - m
  return (result,) if exact is None else (result, exact)
