"""What one block of the GPU kernel computes.

Shape letters: G groups, K operands of one output, N outputs of a group; M
positions of the whole batch.
"""

import functools
import math
from typing import NamedTuple

import jax
from jax import lax
from jax.experimental import pallas as pl
import jax.numpy as jnp

from bnn_jax.nn import register
from bnn_jax.nn.kernels import chunks

# Tensor cores take no fewer rows or columns.
LEAST = 16
# More pieces of a chunk are a loop.
_UNROLLED = 4


class Task(NamedTuple):
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


def run(x, start, flags, *rest, task: Task, with_exact: bool) -> None:
  """One block of positions and outputs of one group.

  Args:
    x: inputs in a row, int8.
    start: `[G * N]` int32, where registers start.
    flags: `[turns, pieces, 2]`: whether a word ends, and is odd.
    *rest: weights `[G, turns, pieces, N, lanes]` of each chunk, int8; then
      the results `[M, G * N]`, and the exact ones where asked for.
    task: what is to be computed.
    with_exact: also give the exact results.
  """
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


def _place(task: Task):
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


def _first_operands(row, task: Task) -> jax.Array:
  positions = math.prod(size for size, _ in task.places)
  index = row + lax.iota(jnp.int32, task.rows)
  if positions < task.rows:
    index = jnp.minimum(index, positions - 1)
  return _offset(index, task.places)


def _turn_offset(turn, task: Task):
  tap, part = _divmod(turn, task.plan.per_tap)
  return _offset(tap, task.taps) + part * task.plan.step


def _tiles(columns: int) -> list[tuple[int, int]]:
  """First column and width of powers of two that cover a block."""
  tiles = []
  offset = 0
  while offset < columns:
    width = power_of_two(columns - offset, columns)
    tiles.append((min(offset, columns - width), width))
    offset += width
  return tiles


def _start(start, first, width: int, task: Task) -> jax.Array:
  shape = task.rows, width
  if not task.preloaded:
    return jnp.zeros(shape, jnp.int32)
  return jnp.broadcast_to(start[pl.ds(first, width)][None], shape)


def _initial(start, task: Task, with_exact: bool) -> _State:
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


def _results(state: _State, start, task: Task):
  """The result, and the exact one where it was summed."""
  accumulator, m = task.accumulator, task.odd_words
  scale = 1 if accumulator.unit == 'dot' else 2
  exact = None if state.exact is None else state.exact + scale * start
  held = state.held
  if exact is not None and held is None:
    total = exact if scale == 1 else lax.shift_right_arithmetic(exact + m, 1)
    held = accumulator.register(total)
  assert held is not None, 'A state has registers or exact sums.'
  result = held if scale == 1 else 2 * held - m
  return (result,) if exact is None else (result, exact)


def power_of_two(size: int, most: int) -> int:
  """The largest within both, for tensor cores large enough."""
  return max(LEAST, 1 << min(size, most).bit_length() - 1)
