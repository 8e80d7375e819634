"""A Triton kernel for GPUs, written in Pallas.

Int8 products of one piece of a word at a time go to the tensor cores; the sum
of a word and the register stay in the block's registers. It is tested in
Pallas' interpreter; no measurement on a GPU has been made yet, so it runs only
where it is asked for by name.

Shape letters: B batch, C input channels, G groups, K operands of one output,
N outputs; M positions of the whole batch.
"""

import functools
from typing import NamedTuple

import jax
from jax import lax
from jax.experimental import pallas as pl
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import register

# Positions and outputs of a block; products have between 32 and 128 lanes.
_ROWS, _COLUMNS = 64, 64
_LEAST, _MOST = 32, 128


class _Pieces(NamedTuple):
  """How operands are laid out for the kernel.

  Attributes:
    lanes: of each piece, a power of two.
    operand: `[pieces, lanes]` operand of each lane; K where there is none.
    ends: `[pieces]` 1 where a word ends.
    odd: `[pieces]` 1 where the word that ends has an odd number of lanes.
  """

  lanes: int
  operand: np.ndarray
  ends: np.ndarray
  odd: np.ndarray


def run(
  x: jax.Array,
  w: jax.Array,
  preload: jax.Array | None,
  accumulator: register.Accumulator,
  shape: geometry_lib.Geometry,
  *,
  interpret: bool = False,
) -> jax.Array:
  """Runs all registers; has no derivatives.

  Args:
    x: `[B, *spatial, C]` of +-1.
    w: `[*kernel, C // G, N]` of +-1.
    preload: `[N]` or None.
    accumulator: the register.
    shape: geometry of the convolution.
    interpret: run in Pallas' interpreter, on any backend.

  Returns:
    What the registers hold in the end `[B, *output, N]`, int32.
  """
  pieces = _cut(shape.taps, w.shape[-2], accumulator.simd)
  operands = geometry_lib.operands(x.astype(jnp.int8), shape)
  weights = geometry_lib.grouped_weights(w.astype(jnp.int8), shape.groups)
  output = operands.shape[:-2]
  operands = operands.reshape(-1, *operands.shape[-2:])
  start = jnp.zeros(w.shape[-1:], jnp.int32)
  if preload is not None:
    start = preload.astype(jnp.int32)
  start = start.reshape(shape.groups, 1, -1)
  held = [
    _product(operands[:, g], weights[g], start[g], pieces, accumulator,
             interpret)
    for g in range(shape.groups)
  ]
  return jnp.concatenate(held, -1).reshape(*output, -1)


def _cut(taps: int, channels: int, simd: int) -> _Pieces:
  words = geometry_lib.words(taps, channels, simd)
  longest = max(word.stop - word.start for word in words)
  lanes = min(max(_LEAST, 1 << (longest - 1).bit_length()), _MOST)
  rows, ends, odd = [], [], []
  for word in words:
    for first in range(word.start, word.stop, lanes):
      row = np.arange(first, first + lanes)
      rows.append(np.where(row < word.stop, row, taps * channels))
      ends.append(first + lanes >= word.stop)
      odd.append((word.stop - word.start) % 2)
  return _Pieces(
    lanes, np.stack(rows), np.array(ends, np.int32), np.array(odd, np.int32)
  )


def _product(x, w, start, pieces, accumulator, interpret) -> jax.Array:
  """Takes x `[M, K]`, w `[K, N]`, start `[1, N]`; gives `[M, N]`."""
  positions, outputs = x.shape[0], w.shape[-1]
  # A lane without an operand reads the zero behind the last one.
  index = pieces.operand.ravel()
  x = jnp.pad(x, ((0, -positions % _ROWS), (0, 1)))[:, index]
  w = jnp.pad(w, ((0, 1), (0, -outputs % _COLUMNS)))[index]
  start = jnp.pad(start, ((0, 0), (0, -outputs % _COLUMNS)))
  blocks = x.shape[0] // _ROWS, w.shape[1] // _COLUMNS
  count = len(pieces.ends)
  whole = pl.BlockSpec((count,), lambda i, j: (0,))
  held = pl.pallas_call(
    functools.partial(
      _kernel, lanes=pieces.lanes, count=count, accumulator=accumulator
    ),
    out_shape=jax.ShapeDtypeStruct((x.shape[0], w.shape[1]), jnp.int32),
    grid=blocks,
    in_specs=[
      pl.BlockSpec((_ROWS, x.shape[1]), lambda i, j: (i, 0)),
      pl.BlockSpec((x.shape[1], _COLUMNS), lambda i, j: (0, j)),
      pl.BlockSpec((1, _COLUMNS), lambda i, j: (0, j)),
      whole, whole,
    ],
    out_specs=pl.BlockSpec((_ROWS, _COLUMNS), lambda i, j: (i, j)),
    interpret=interpret,
  )(x, w, start, jnp.asarray(pieces.ends), jnp.asarray(pieces.odd))
  return held[:positions, :outputs]


def _kernel(x, w, start, ends, odd, out, *, lanes, count, accumulator):
  """One block of outputs, piece by piece."""
  def body(i, state):
    held, total = state
    lane = pl.ds(i * lanes, lanes)
    total += jnp.dot(x[:, lane], w[lane, :], preferred_element_type=jnp.int32)
    added = total
    if accumulator.unit == 'popcount':
      # popcount - floor(n / 2), from total = 2 * popcount - n.
      added = lax.shift_right_arithmetic(total + odd[i], 1)
    is_end = ends[i] == 1
    moved = accumulator.register(held + added)
    return jnp.where(is_end, moved, held), jnp.where(is_end, 0, total)

  held = jnp.broadcast_to(start[...], out.shape)
  state = held, jnp.zeros(out.shape, jnp.int32)
  out[...] = lax.fori_loop(0, count, body, state)[0]
