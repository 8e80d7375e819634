"""The integer tables of the front end, made once, in float64."""

import math

import numpy as np

from bnn_jax import errors
from bnn_jax import features
from bnn_jax.frontend import fixed_point

_FFT_SIZES = (32, 2048)
# The largest floor: with the largest mel sum, 2^62.6, it stays below 2^64.
_FLOOR_BITS = 61


def make_tables(
  front_end: features.FrontEnd, quantization: features.Quantization
) -> fixed_point.Tables:
  """Makes the integers that stand for a front end and its quantization.

  Args:
    front_end: the settings of the float front end.
    quantization: the constants that make q of its features.

  Returns:
    The tables, as docs/frontend.md defines them.

  Raises:
    UserError: the front end is not 'log_mel', or a setting leaves the range
      of the integers.
  """
  if front_end.kind != 'log_mel':
    raise errors.UserError(
      f"kind={front_end.kind!r} has no fixed-point form: choose 'log_mel'."
    )
  size = front_end.fft_size
  if not _FFT_SIZES[0] <= size <= _FFT_SIZES[1]:
    raise errors.UserError(
      f'window_ms={front_end.window_ms} needs an FFT of {size} points, not '
      '32 to 2048: change the window or the sample rate.'
    )
  stages = _stages(size // 2)
  octaves = _octaves(size // 2, 1 + len(stages))
  floor = _floor(front_end.log_floor, octaves)
  starts, rise = _mel(features.mel_matrix(front_end)[: size // 2])
  slope = round(math.log(2) * 2**fixed_point.LN2_BITS)
  return fixed_point.Tables(
    hop=front_end.hop_samples,
    window=_weights(_hann(front_end.window_samples)),
    stages=stages,
    split=_factors(np.arange(1, size // 4 + 1), size),
    mel_starts=starts,
    mel_rise=rise,
    log2=_log2_table(),
    floor=floor,
    most_shift=min(14, (_FLOOR_BITS - floor.bit_length()) // 2),
    slope=slope,
    offset=_offset(quantization.lo, octaves, slope),
    shift=_shift(quantization.exponent),
    largest=quantization.largest,
  )


def _weights(values: np.ndarray) -> np.ndarray:
  scaled = np.floor(values * 2**fixed_point.WEIGHT_BITS + 0.5)
  return scaled.astype(np.int32)


def _hann(length: int) -> np.ndarray:
  return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def _factors(index: np.ndarray, size: int) -> np.ndarray:
  """exp(-2 pi i index / size) as its two parts, int32 `[2, ...]`."""
  angle = 2 * np.pi * (index % size) / size
  return _weights(np.stack([np.cos(angle), -np.sin(angle)]))


def _stages(half: int) -> tuple[np.ndarray, ...]:
  """The factors of every stage but the first, which has none."""
  stages = []
  length = 4
  while length < half:
    radix = min(4, half // length)
    index = np.outer(np.arange(1, radix), np.arange(length))
    stages.append(_factors(index, radix * length))
    length *= radix
  return tuple(stages)


def _octaves(half: int, stages: int) -> int:
  """log2 of the integer mel power of a frame with mel power 1, not shifted.

  An amplitude of 1 enters the transform as 2^29, loses two bits a stage and
  two more as the transform is split, which doubles it.
  """
  amplitude = 29 - 2 * stages - 1
  return 2 * amplitude - fixed_point.POWER_SHIFT + fixed_point.MEL_BITS


def _floor(log_floor: float, octaves: int) -> int:
  floor = round(math.ldexp(log_floor, octaves))
  if not 256 <= floor < 2**_FLOOR_BITS:
    raise errors.UserError(
      f'log_floor={log_floor} leaves the range of the integers: choose one '
      f'from {2.0 ** (8 - octaves):.1e} to {2.0 ** (60 - octaves):.1e}.'
    )
  return floor


def _mel(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Turns triangles into segments, on each of which one rises and one falls.

  Args:
    matrix: float64 `[M, F]`, two neighbours of which sum to 1 where both are
      positive.

  Returns:
    `mel_starts` and `mel_rise` of the tables.
  """
  rise = np.zeros(len(matrix), np.int32)
  segment = np.full(len(matrix), -1)
  peak = matrix[:, 0].argmax()
  for k, row in enumerate(matrix):
    filters = np.flatnonzero(row)
    if not filters.size:
      continue
    alone = filters.size == 1
    if alone and (filters[0] > 0 or k > peak):
      segment[k], weight = filters[0] + 1, 1.0 - row[filters[0]]
    else:
      segment[k], weight = filters[-1], row[filters[-1]]
    rise[k] = math.floor(weight * 2**fixed_point.MEL_BITS + 0.5)
  used = np.flatnonzero(segment >= 0)
  starts = used[0] + np.searchsorted(
    segment[used], np.arange(matrix.shape[1] + 2)
  )
  return starts.astype(np.int32), rise


def _log2_table() -> np.ndarray:
  segments = 2**fixed_point.SEGMENT_BITS
  values = np.log2(1 + np.arange(segments + 1) / segments)
  return np.floor(values * 2**fixed_point.LOG2_BITS + 0.5).astype(np.int64)


def _offset(lo: float, octaves: int, slope: int) -> int:
  scale = fixed_point.LOG2_BITS + fixed_point.LN2_BITS
  if not abs(lo) < 2**12:
    raise errors.UserError(
      f'lo={lo} is not a logarithm that the integers hold: fit the '
      'quantization to log-mel features.'
    )
  return round(math.ldexp(lo, scale)) + (
    octaves * slope << fixed_point.LOG2_BITS
  )


def _shift(exponent: int) -> int:
  shift = fixed_point.LOG2_BITS + fixed_point.LN2_BITS + exponent
  if not 0 <= shift <= 62:
    raise errors.UserError(
      f'exponent={exponent} is not in [-48, 14]: fit the quantization to '
      'log-mel features.'
    )
  return shift
