"""The engine that runs on every backend, and the reference for the others.

Signs are packed into chunks of bits along the channels, once for all taps.
Operands that differ are counted by XOR and popcount; n operands of which d
differ have the sum n - 2d, and add ceil(n / 2) - d to a popcount register. A
bit that is 0 on both sides is no operand.

Shape letters: B batch, C input channels, G groups, K operands of one output,
N outputs.
"""

import functools
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import overflow_counts
from bnn_jax.nn import register

# Up to this many pieces of words are one program; beyond it a scan over taps,
# chunks or words keeps the time to compile within seconds.
_UNROLLED = 48
# Words that a loop over them takes at once.
_BLOCK = 8


class _Piece(NamedTuple):
  """Operands of one word that lie in one chunk.

  Attributes:
    chunk: its number, tap by tap.
    mask: its operands' bits.
    last: the word ends here.
  """

  chunk: int
  mask: int
  last: bool


class _Trace(NamedTuple):
  """State of all registers, `[B, *output, N]`; sums only where traced."""

  held: jax.Array
  exact: jax.Array | None
  lowest: jax.Array | None
  highest: jax.Array | None


# Outside of a caller's jit each small operation would be compiled alone.
@functools.partial(
  jax.jit, static_argnames=('accumulator', 'shape', 'with_prefixes')
)
def run(
  x: jax.Array,
  w: jax.Array,
  preload: jax.Array | None,
  accumulator: register.Accumulator,
  shape: geometry_lib.Geometry,
  with_prefixes: bool,
) -> tuple[jax.Array, overflow_counts.Prefixes | None]:
  """Feeds the registers word by word; has no derivatives.

  Args:
    x: `[B, *spatial, C]` of +-1.
    w: `[*kernel, C // G, N]` of +-1.
    preload: `[N]` or None.
    accumulator: the register.
    shape: geometry of the convolution.
    with_prefixes: also trace the exact sums.

  Returns:
    What the registers hold in the end `[B, *output, N]`, int32, and the exact
    sums if asked for.
  """
  width = 16 if accumulator.simd < 32 and w.shape[-2] > 8 else 32
  bits = _pack(x.reshape(*x.shape[:-1], shape.groups, w.shape[-2]), width)
  operands = jnp.stack(geometry_lib.views(bits, shape, 0))
  weights = _pack(
    jnp.moveaxis(
      w.reshape(shape.taps, -1, shape.groups, w.shape[-1] // shape.groups),
      1, -1,
    ),
    width,
  )
  dtype = _dtype(accumulator, shape.taps * w.shape[-2])
  start = jnp.zeros(operands.shape[1:-2] + w.shape[-1:], dtype)
  if preload is not None:
    start = start + preload.astype(dtype)
  outputs = w.shape[-1] // shape.groups
  start = start.reshape(*start.shape[:-1], shape.groups, outputs)
  sums = (start,) * 3 if with_prefixes else (None,) * 3
  trace = _feed(
    _Trace(start, *sums), operands, weights, accumulator, shape.taps,
    w.shape[-2], width,
  )
  trace = jax.tree.map(
    lambda v: v.reshape(*v.shape[:-2], w.shape[-1]).astype(jnp.int32), trace
  )
  prefixes = overflow_counts.Prefixes(*trace[1:]) if with_prefixes else None
  return trace.held, prefixes


def _dtype(accumulator: register.Accumulator, operands: int):
  """Narrow lanes are fast; no prefix may leave them."""
  farthest = operands - accumulator.minimum
  return jnp.int16 if farthest < 2**15 else jnp.int32


def _pack(signs: jax.Array, width: int) -> jax.Array:
  """`[..., C_g]` of +-1 as unsigned chunks `[..., ceil(C_g / width)]`."""
  dtype = jnp.dtype(f'uint{width}')
  missing = -signs.shape[-1] % width
  bits = (signs >= 0).astype(dtype)
  bits = jnp.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, missing)])
  chunks = bits.shape[-1] // width
  bits = bits.reshape(*bits.shape[:-1], chunks, width)
  return jnp.sum(bits << jnp.arange(width, dtype=dtype), -1, dtype=dtype)


def _feed(trace, x, w, accumulator, taps, channels, width) -> _Trace:
  """All words.

  Args:
    trace: the registers' start, `[B, *output, G, N // G]`.
    x: `[taps, B, *output, G, chunks]`.
    w: `[taps, G, N // G, chunks]`.
    accumulator: the register.
    taps: how many.
    channels: C_g.
    width: bits of a chunk.

  Returns:
    The registers' end.
  """
  simd = accumulator.simd
  if channels > simd and width % simd == 0 and taps * channels > _UNROLLED:
    return _scan_chunks(trace, x, w, accumulator, channels, width)
  pieces = _pieces(taps, channels, simd, width)
  if len(pieces) <= _UNROLLED:
    return _unrolled(trace, x, w, accumulator, pieces)
  of_tap = _pieces(1, channels, simd, width)
  if channels < simd or len(of_tap) > _UNROLLED:
    return _scan_words(trace, x, w, accumulator, pieces)

  def body(trace, tap):
    tap_x, tap_w = tap
    return _unrolled(trace, tap_x[None], tap_w[None], accumulator, of_tap), None

  return lax.scan(body, trace, (x, w))[0]


def _pieces(taps, channels, simd, width) -> list[_Piece]:
  """The words, cut where they cross chunks."""
  chunks = -(-channels // width)
  pieces = []
  for word in geometry_lib.words(taps, channels, simd):
    masks: dict[int, int] = {}
    for operand in range(word.start, word.stop):
      tap, channel = divmod(operand, channels)
      chunk = tap * chunks + channel // width
      masks[chunk] = masks.get(chunk, 0) | 1 << channel % width
    last = max(masks)
    pieces += [_Piece(c, mask, c == last) for c, mask in masks.items()]
  return pieces


def _unrolled(trace, x, w, accumulator, pieces) -> _Trace:
  """Words by their pieces; for the arguments see `_feed`."""
  chunks = x.shape[-1]
  differing: jax.Array | int = 0
  lanes = 0
  for piece in pieces:
    tap, chunk = divmod(piece.chunk, chunks)
    bits = x[tap, ..., chunk, None] ^ w[tap, ..., chunk]
    if piece.mask.bit_count() < x.dtype.itemsize * 8:
      bits &= np.array(piece.mask, x.dtype)
    count = lax.population_count(bits).astype(trace.held.dtype)
    differing, lanes = differing + count, lanes + piece.mask.bit_count()
    if piece.last:
      trace = _add_word(trace, differing, lanes, accumulator)
      differing, lanes = 0, 0
  return trace


def _scan_chunks(trace, x, w, accumulator, channels, width) -> _Trace:
  """Words that divide a chunk, chunk by chunk; missing ones have no lanes."""
  simd, chunks = accumulator.simd, x.shape[-1]
  starts = np.arange(0, chunks * width, simd).reshape(chunks, -1)
  lanes = np.clip(channels - starts, 0, simd).astype(trace.held.dtype)
  lanes = np.tile(lanes, (x.shape[0], 1))
  x = jnp.moveaxis(x, -1, 1).reshape(-1, *x.shape[1:-1])
  w = jnp.moveaxis(w, -1, 1).reshape(-1, *w.shape[1:-1])

  def body(trace, chunk):
    chunk_x, chunk_w, chunk_lanes = chunk
    bits = chunk_x[..., None] ^ chunk_w
    for i in range(width // simd):
      mask = np.array((1 << simd) - 1 << i * simd, bits.dtype)
      differing = lax.population_count(bits & mask).astype(trace.held.dtype)
      trace = _add_word(trace, differing, chunk_lanes[i], accumulator)
    return trace, None

  return lax.scan(body, trace, (x, w, jnp.asarray(lanes)))[0]


def _scan_words(trace, x, w, accumulator, pieces) -> _Trace:
  """Words in a loop, for a program of one size however many there are."""
  words = _by_word(pieces)
  longest = max(map(len, words))
  chunks = np.zeros((len(words), longest), np.int32)
  masks = np.zeros((len(words), longest), x.dtype)
  for i, word in enumerate(words):
    chunks[i, : len(word)] = [piece.chunk for piece in word]
    masks[i, : len(word)] = [piece.mask for piece in word]
  lanes = np.bitwise_count(masks).sum(-1).astype(trace.held.dtype)
  x, w = (
    jnp.moveaxis(v, -1, 1).reshape(v.shape[0] * v.shape[-1], *v.shape[1:-1])
    for v in (x, w)
  )
  positions = (1,) * (x.ndim - 2)

  def body(trace, word):
    chunk, mask, lanes = word
    bits = x[chunk][..., None] ^ w[chunk].reshape(
      longest, *positions, *w.shape[1:]
    )
    bits &= mask.reshape(longest, *positions, 1, 1)
    counts = lax.population_count(bits).astype(trace.held.dtype)
    differing = jnp.sum(counts, 0, dtype=counts.dtype)
    return _add_word(trace, differing, lanes, accumulator), None

  steps = tuple(map(jnp.asarray, (chunks, masks, lanes)))
  return lax.scan(body, trace, steps, unroll=_BLOCK)[0]


def _by_word(pieces: list[_Piece]) -> list[list[_Piece]]:
  words: list[list[_Piece]] = [[]]
  for piece in pieces:
    words[-1].append(piece)
    if piece.last:
      words.append([])
  return words[:-1]


def _add_word(trace, differing, lanes, accumulator) -> _Trace:
  """One cycle of all registers."""
  if accumulator.unit == 'popcount':
    total = (lanes + 1) // 2 - differing
  else:
    total = lanes - 2 * differing
  held = accumulator.register(trace.held + total)
  if trace.exact is None:
    return trace._replace(held=held)
  exact = trace.exact + total
  return _Trace(
    held, exact, jnp.minimum(trace.lowest, exact),
    jnp.maximum(trace.highest, exact),
  )
