"""How the C engine computes one convolution: its words, and its weights.

Shape letters: C_g channels of a group, G groups, K operands of one output, N_g
outputs of a group, U lanes of a unit.
"""

import dataclasses
import math
import sys

import numpy as np

from bnn_jax.export import specs

# Lanes of a unit of plain C, of a half, into which it cuts narrow words, and of
# a slice of the vectors.
UNIT, HALF, SLICE = 64, 16, 8
# Lanes of the widest narrow word, which fills one half: POPCNT would count two
# halves faster.
NARROW = HALF
# Outputs of a group below which vectors are not worth it, and outputs between
# two slices: a multiple of this.
_ALIGNED = 16
# Outputs of the widest vector, which may be read from any output on.
WIDEST = 64
_SHORT = 2**15 - 1


@dataclasses.dataclass(frozen=True)
class Plan:
  """The constants of one convolution, by the fields of `Conv` in C.

  Attributes:
    repeats: of the words below in one output.
    full_words: words of `full_lanes` lanes, at least 1.
    full_lanes: lanes of such a word.
    rest_lanes: lanes of one more word behind them, perhaps 0.
    full_bias: what a word of `full_lanes` equal lanes adds.
    rest_bias: the same for `rest_lanes`.
    scale: what an unequal lane takes away: 2, or 1 for the unit 'popcount'.
    saturates: after each word; otherwise the lowest `bits` are kept at the end.
    bits: of the register.
    start: of every register, beside its preload.
    step: a result is step * register - offset.
    offset: see `step`.
  """

  repeats: int
  full_words: int
  full_lanes: int
  rest_lanes: int
  full_bias: int
  rest_bias: int
  scale: int
  saturates: int
  bits: int
  start: int
  step: int
  offset: int

  def results(self) -> tuple[int, int]:
    """Lowest and highest result."""
    half = 2 ** (self.bits - 1)
    low, high = -half, half - 1
    return self.step * low - self.offset, self.step * high - self.offset

  def largest_sum(self, preload: int) -> int:
    """Bound of what a register holds before it saturates or is cut.

    Args:
      preload: the largest magnitude of one.
    """
    if self.saturates:
      return 2 ** (self.bits - 1) + self.scale * self.full_lanes
    return preload + self.start + self.scale * self.full_lanes


def plan(layer: specs.Conv) -> Plan:
  """Plans a convolution.

  A register that cannot overflow, or wraps, is one sum of all operands.

  Args:
    layer: the convolution.
  """
  is_popcount = layer.accumulator.unit == 'popcount'
  is_free = layer.overflow_free
  saturates = layer.accumulator.overflow_mode == 'saturate' and not is_free

  def bias(lanes):
    return lanes - lanes // 2 if is_popcount else lanes

  repeats, full_words, full_lanes, rest_lanes = 1, 1, sum(layer.words), 0
  if saturates:
    repeats, full_words, full_lanes, rest_lanes = _words(layer)
  return Plan(
    repeats=repeats,
    full_words=full_words,
    full_lanes=full_lanes,
    rest_lanes=rest_lanes,
    full_bias=bias(full_lanes) if saturates else 0,
    rest_bias=bias(rest_lanes) if saturates else 0,
    scale=1 if is_popcount else 2,
    saturates=int(saturates),
    bits=layer.safe_bits if is_free else layer.accumulator.bits,
    start=0 if saturates else sum(map(bias, layer.words)),
    step=2 if is_popcount else 1,
    offset=layer.odd_words if is_popcount else 0,
  )


def _words(layer: specs.Conv) -> tuple[int, int, int, int]:
  """Repeats, full words, their lanes, and lanes of the rest."""
  taps, channels = math.prod(layer.kernel), layer.weights.shape[-1]
  simd = layer.accumulator.simd
  if channels >= simd:
    return taps, channels // simd, simd, channels % simd
  together = simd // channels
  full, rest = divmod(taps, together)
  if not full:
    return 1, 1, rest * channels, 0
  return 1, full, together * channels, rest * channels


def is_for_vectors(layer: specs.Conv, made: Plan) -> bool:
  """Whether bytes and 16-bit integers hold all that vectors compute."""
  low, high = made.results()
  fits = -_SHORT <= low and high <= _SHORT and made.full_lanes <= _SHORT // 2
  outputs = len(layer.weights) // layer.groups
  return fits and made.bits <= 16 and outputs >= _ALIGNED


def places(
  made: Plan, lanes: int, least: int = 0, most: int = sys.maxsize
) -> np.ndarray:
  """Which operand is in each lane of each unit.

  Args:
    made: the plan.
    lanes: U; a unit holds lanes of one word.
    least: lanes of a word, of fewer of which there are no units.
    most: lanes of a word, of more of which there are no units.

  Returns:
    int64 `[units, U]`, -1 where there is none.
  """
  rows, place = [np.zeros((0, lanes), np.int64)], 0
  words = [made.full_lanes] * made.full_words + [made.rest_lanes]
  for word in words * made.repeats:
    if least <= word <= most:
      count = -(-word // lanes) * lanes
      row = np.arange(count)
      rows.append(np.where(row < word, place + row, -1).reshape(-1, lanes))
    place += word
  return np.concatenate(rows)


def units(layer: specs.Conv, made: Plan) -> np.ndarray:
  """Weights of plain C: uint64 `[G, units, N_g]`, of words not narrow."""
  return _packed(layer, places(made, UNIT, least=NARROW + 1), '<u8')


def halves(layer: specs.Conv, made: Plan) -> np.ndarray:
  """Weights of plain C: uint16 `[G, halves, N_g]`, of narrow words."""
  return _packed(layer, places(made, HALF, most=NARROW), '<u2')


def _packed(layer: specs.Conv, index: np.ndarray, kind: str) -> np.ndarray:
  rows = np.packbits(_lanes(layer, index), axis=-1, bitorder='little')
  return np.ascontiguousarray(rows).view(kind)[..., 0]


def slices(layer: specs.Conv, made: Plan) -> np.ndarray:
  """Weights of the vectors: uint8 `[G, slices, stride]`, 0 in no output."""
  rows = np.packbits(
    _lanes(layer, places(made, SLICE)), axis=-1, bitorder='little'
  )[..., 0]
  missing = stride(layer) - rows.shape[-1]
  return np.pad(rows, ((0, 0), (0, 0), (0, missing)))


def stride(layer: specs.Conv) -> int:
  """Outputs between two slices."""
  outputs = len(layer.weights) // layer.groups
  return -(-outputs // _ALIGNED) * _ALIGNED


def _lanes(layer: specs.Conv, index: np.ndarray) -> np.ndarray:
  """Bits `[G, units, N_g, U]`, 0 in lanes without an operand."""
  weights = layer.weights.reshape(layer.groups, -1, sum(layer.words))
  bits = np.where(index >= 0, weights[:, :, index], 0).astype(np.uint8)
  return np.moveaxis(bits, 1, 2)
