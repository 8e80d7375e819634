"""Operands cut for tensor cores: chunks to load, and the words within them.

A chunk is a run of neighbouring channels under one tap, read at once. A piece
is what a chunk holds of one word; its weights are zero in all other lanes, so
that one read of the inputs serves the products of every word in it.

Shape letters: K operands of one output.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bnn_jax.nn import geometry as geometry_lib

# Lanes of a product that tensor cores take, and of the longest read.
_LEAST, _MOST = 32, 128
# A tap of more chunks is a loop over them.
_UNROLLED = 4


class Chunk(NamedTuple):
  """One read of every turn of the loop.

  Attributes:
    start: its first channel, from where the turn begins.
    operand: `[turns, pieces, lanes]` operand of each lane; K where the piece
      has none there.
    ends: `[turns, pieces]`, true where a word ends.
    odd: `[turns, pieces]`, 1 where that word has an odd number of lanes.
  """

  start: int
  operand: np.ndarray
  ends: np.ndarray
  odd: np.ndarray

  @property
  def lanes(self) -> int:
    """Of its products, a power of two."""
    return self.operand.shape[-1]


class Plan(NamedTuple):
  """A loop over all operands of an output.

  Attributes:
    per_tap: turns of the loop in each tap.
    step: channels from one turn to the next in a tap.
    chunks: what each turn reads.
  """

  per_tap: int
  step: int
  chunks: tuple[Chunk, ...]


def plan(
  words: Sequence[geometry_lib.Word], taps: int, channels: int
) -> Plan:
  """Cuts words into pieces.

  Args:
    words: of an output, in their order.
    taps: kernel positions.
    channels: operands of each.

  Returns:
    The plan.
  """
  longest = min(words[0].stop - words[0].start, channels)
  step = _MOST if longest > _MOST else _lanes(longest) // longest * longest
  starts = range(0, channels, step)
  if len(starts) <= _UNROLLED:
    return Plan(1, channels, tuple(
      _chunk(words, range(start, taps * channels, channels),
             min(step, channels - start), channels, start)
      for start in starts
    ))
  turns = [tap * channels + start for tap in range(taps) for start in starts]
  return Plan(
    len(starts), step, (_chunk(words, turns, step, channels, 0),)
  )


def _lanes(operands: int) -> int:
  return max(_LEAST, 1 << (operands - 1).bit_length())


def _chunk(words, firsts, size, channels, start) -> Chunk:
  """The chunk that reads `size` operands from each of `firsts`."""
  stops = [min(f + size, f // channels * channels + channels) for f in firsts]
  pieces = [
    [word for word in words if word.start < stop and word.stop > first]
    for first, stop in zip(firsts, stops, strict=True)
  ]
  most = max(map(len, pieces))
  lane = np.arange(_lanes(size))
  missing = words[-1].stop
  operand = np.full((len(pieces), most, lane.size), missing)
  # A piece that is missing adds nothing, and so may end a word.
  ends = np.ones((len(pieces), most), bool)
  odd = np.zeros((len(pieces), most), np.int32)
  for turn, (first, stop) in enumerate(zip(firsts, stops, strict=True)):
    for i, word in enumerate(pieces[turn]):
      index = first + lane
      inside = (index >= word.start) & (index < min(word.stop, stop))
      operand[turn, i] = np.where(inside, index, missing)
      ends[turn, i] = word.stop <= stop
      odd[turn, i] = (word.stop - word.start) % 2
    # Nothing may end between the parts of a word.
    for i in range(len(pieces[turn]), most):
      ends[turn, i] = ends[turn, i - 1]
  return Chunk(start, operand, ends, odd)
