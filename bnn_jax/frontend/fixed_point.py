"""The log-mel front end in integers, from 16-bit samples to q.

docs/frontend.md defines every number. This is its NumPy form; the C form in
`bnn_jax/frontend/c` gives the same integers.

Shape letters: B batch, S samples, T frames, W window, N FFT size, M = N / 2,
F mel bins, L length of the transforms that a stage joins.
"""

import dataclasses

import numpy as np

from bnn_jax import errors

# Positions of the binary point.
WEIGHT_BITS = 30  # Window and twiddle factors: 2^30 is 1.
MEL_BITS = 15
POWER_SHIFT = 8
LOG2_BITS = 24
LN2_BITS = 24
FRACTION_BITS = 15  # Within a segment of the table of logarithms.
SEGMENT_BITS = 8

# Frames computed at once: their int64 arrays then stay in the cache.
_FRAMES = 128


@dataclasses.dataclass(frozen=True)
class Tables:
  """The integers that the computation reads; `tables.make_tables` makes them.

  Attributes:
    hop: distance between the starts of two frames in samples.
    window: int32 `[W]`.
    stages: of each stage with twiddle factors, int32 `[2, R - 1, L]`: cosine
      and negative sine of factor j + 1 at frequency k, R the stage's radix.
    split: int32 `[2, M / 2]`, the factors at frequencies 1 to M / 2.
    mel_starts: int32 `[F + 2]`, the first frequency of segment g, and the end
      of the last segment.
    mel_rise: int32 `[M]`, the weight of frequency k in the filter that rises
      there; 2^15 minus it is the weight in the filter that falls.
    log2: int64 `[257]`, log2(1 + i / 256) times 2^24.
    floor: what stands for `log_floor` in a frame that is not shifted.
    most_shift: the largest left shift of a frame.
    slope: ln 2 times 2^24.
    offset: the value of q = 0, in steps of 2^-48.
    shift: the right shift that ends in q.
    largest: the largest q.
  """

  hop: int
  window: np.ndarray
  stages: tuple[np.ndarray, ...]
  split: np.ndarray
  mel_starts: np.ndarray
  mel_rise: np.ndarray
  log2: np.ndarray
  floor: int
  most_shift: int
  slope: int
  offset: int
  shift: int
  largest: int

  @property
  def half(self) -> int:
    """M, the length of the complex transform."""
    return len(self.mel_rise)

  @property
  def mel_bins(self) -> int:
    """F, the number of q of a frame."""
    return len(self.mel_starts) - 2


def compute(samples: np.ndarray, tables: Tables) -> np.ndarray:
  """Computes q of whole clips.

  Args:
    samples: int16 `[B, S]`.
    tables: the integers of the front end.

  Returns:
    uint8 `[B, T, F]`.

  Raises:
    UserError: the samples are not int16 `[B, S]`, or shorter than a frame.
  """
  samples = np.asarray(samples)
  if samples.dtype != np.int16 or samples.ndim != 2:
    raise errors.UserError(
      f'The samples are {samples.dtype} of shape {samples.shape}: give int16 '
      'of shape [clips, samples].'
    )
  width = len(tables.window)
  if samples.shape[1] < width:
    raise errors.UserError(
      f'A clip of {samples.shape[1]} samples is shorter than the window of '
      f'{width}: give longer clips.'
    )
  frames = np.lib.stride_tricks.sliding_window_view(samples, width, axis=1)
  frames = frames[:, :: tables.hop]
  q = np.empty(frames.shape[:2] + (tables.mel_bins,), np.uint8)
  for b in range(len(samples)):
    for t in range(0, frames.shape[1], _FRAMES):
      q[b, t : t + _FRAMES] = compute_frames(frames[b, t : t + _FRAMES], tables)
  return q


def compute_frames(frames: np.ndarray, tables: Tables) -> np.ndarray:
  """Computes q, uint8 `[T, F]`, of int16 frames `[T, W]`."""
  shift = frame_shift(frames, tables.most_shift)
  mel = mel_power(spectrum(frames, shift, tables), tables)
  total = mel + (np.uint64(tables.floor) << (2 * shift).astype(np.uint64))
  octaves = log2(total, tables.log2) - (2 * shift << LOG2_BITS)
  steps = (octaves * tables.slope - tables.offset) >> tables.shift
  return np.clip(steps, 0, tables.largest).astype(np.uint8)


def frame_shift(frames: np.ndarray, most: int) -> np.ndarray:
  """The left shift that makes a frame fill 16 bits, int64 `[T, 1]`."""
  wide = frames.astype(np.int64)
  # The complement of a negative number needs as many bits and is positive.
  magnitude = np.bitwise_or.reduce(wide ^ (wide >> 63), axis=1, keepdims=True)
  _, bits = np.frexp(magnitude.astype(np.float64))
  return np.minimum(15 - bits.astype(np.int64), most)


def spectrum(
  frames: np.ndarray, shift: np.ndarray, tables: Tables
) -> np.ndarray:
  """The power spectrum, uint64 `[T, M]`; frequency 0 is left at zero.

  Args:
    frames: int16 `[T, W]`.
    shift: `frame_shift` of the frames, int64 `[T, 1]`.
    tables: the integers of the front end.

  Returns:
    The power at frequencies 0 to M - 1.
  """
  padded = np.zeros((len(frames), 2 * tables.half), np.int64)
  shifted = frames.astype(np.int64) << (16 + shift)
  padded[:, : frames.shape[1]] = shifted * tables.window.astype(np.int64) >> 32
  real, imag = transform(padded[:, ::2], padded[:, 1::2], tables.stages)
  return _split_power(real, imag, tables.split)


def mel_power(power: np.ndarray, tables: Tables) -> np.ndarray:
  """The power in each mel filter, uint64 `[T, F]`.

  Args:
    power: uint64 `[T, M]`.
    tables: the integers of the front end.
  """
  first, last = tables.mel_starts[0], tables.mel_starts[-1]
  starts = tables.mel_starts[:-1] - first
  rising = np.zeros((len(power), last - first + 1), np.uint64)
  falling = rising.copy()
  rise = tables.mel_rise[first:last].astype(np.uint64)
  rising[:, :-1] = power[:, first:last] * rise
  falling[:, :-1] = power[:, first:last] * (np.uint64(1 << MEL_BITS) - rise)
  up = _segment_sums(rising, starts)
  down = _segment_sums(falling, starts)
  return up[:, :-1] + down[:, 1:]


def log2(values: np.ndarray, table: np.ndarray) -> np.ndarray:
  """The binary logarithm times 2^24, by linear interpolation.

  Args:
    values: uint64 of any shape, at least 1.
    table: int64 `[257]`, as `Tables.log2`.

  Returns:
    int64 of the same shape.
  """
  exponent = _bit_length(values) - 1
  mantissa = values << (63 - exponent).astype(np.uint64)
  segment = (mantissa >> np.uint64(63 - SEGMENT_BITS)).astype(np.int64)
  segment -= 1 << SEGMENT_BITS
  below = np.uint64(63 - SEGMENT_BITS - FRACTION_BITS)
  fraction = (mantissa >> below).astype(np.int64) & ((1 << FRACTION_BITS) - 1)
  rise = (table[segment + 1] - table[segment]) * fraction >> FRACTION_BITS
  return (exponent << LOG2_BITS) + table[segment] + rise


def _multiply(real, imag, cosine, sine):
  """The upper halves of the parts of a complex product, over 4."""
  cosine, sine = cosine.astype(np.int64), sine.astype(np.int64)
  return (
    real * cosine - imag * sine >> 32,
    real * sine + imag * cosine >> 32,
  )


def transform(real, imag, stages):
  """The complex transform of `[T, M]`, over 4 a stage."""
  frames, length = real.shape
  real = real.reshape(frames, 4, length // 4, 1) >> 2
  imag = imag.reshape(frames, 4, length // 4, 1) >> 2
  real, imag = _join_four(real, imag)
  for stage in stages:
    radix = stage.shape[1] + 1
    shape = (frames, radix, -1, stage.shape[2])
    real, imag = _twiddle(real.reshape(shape), imag.reshape(shape), stage)
    join = _join_four if radix == 4 else _join_two
    real, imag = join(real, imag)
  return real.reshape(frames, length), imag.reshape(frames, length)


def _twiddle(real, imag, stage):
  """Multiplies operand j of `[T, R, C, L]` by factor j; operand 0 by 1."""
  cosine, sine = stage[:, None, :, None, :]
  rest = _multiply(real[:, 1:], imag[:, 1:], cosine, sine)
  return (
    np.concatenate([real[:, :1] >> 2, rest[0]], axis=1),
    np.concatenate([imag[:, :1] >> 2, rest[1]], axis=1),
  )


def _join_four(real, imag):
  """Four-point transforms: `[T, 4, C, L]` to `[T, C, 4, L]`."""
  even_r, even_i = real[:, 0] + real[:, 2], imag[:, 0] + imag[:, 2]
  odd_r, odd_i = real[:, 0] - real[:, 2], imag[:, 0] - imag[:, 2]
  sum_r, sum_i = real[:, 1] + real[:, 3], imag[:, 1] + imag[:, 3]
  diff_r, diff_i = real[:, 1] - real[:, 3], imag[:, 1] - imag[:, 3]
  return (
    np.stack(
      [even_r + sum_r, odd_r + diff_i, even_r - sum_r, odd_r - diff_i], axis=2
    ),
    np.stack(
      [even_i + sum_i, odd_i - diff_r, even_i - sum_i, odd_i + diff_r], axis=2
    ),
  )


def _join_two(real, imag):
  """Two-point transforms: `[T, 2, C, L]` to `[T, C, 2, L]`."""
  return (
    np.stack([real[:, 0] + real[:, 1], real[:, 0] - real[:, 1]], axis=2),
    np.stack([imag[:, 0] + imag[:, 1], imag[:, 0] - imag[:, 1]], axis=2),
  )


def _split_power(real, imag, split):
  """The power of the real transform of 2 M samples, from the complex one."""
  half = real.shape[1]
  low = np.arange(1, half // 2 + 1)
  high = half - low
  sum_r, diff_r = real[:, low] + real[:, high], real[:, low] - real[:, high]
  sum_i, diff_i = imag[:, low] + imag[:, high], imag[:, low] - imag[:, high]
  # The odd samples' transform is the difference over j: (sum_i, -diff_r).
  odd_r, odd_i = _multiply(sum_i, -diff_r, *split)
  even_r, even_i = sum_r >> 2, diff_i >> 2
  power = np.zeros((len(real), half), np.uint64)
  power[:, high] = _power(even_r - odd_r, even_i - odd_i)
  power[:, low] = _power(even_r + odd_r, even_i + odd_i)
  return power


def _power(real, imag):
  return (real * real + imag * imag).astype(np.uint64) >> np.uint64(POWER_SHIFT)


def _segment_sums(values, starts):
  """Sums of the columns from each start to the next; none gives zero.

  The last column must be zero: it lets a start equal the number of columns.
  """
  sums = np.add.reduceat(values, starts, axis=1, dtype=np.uint64)
  empty = np.diff(starts, append=values.shape[1]) == 0
  return np.where(empty, np.uint64(0), sums)


def _bit_length(values: np.ndarray) -> np.ndarray:
  """The number of bits of each unsigned integer, int64."""
  bits = np.zeros(values.shape, np.int64)
  for step in (32, 16, 8, 4, 2, 1):
    above = values >> np.uint64(step) != 0
    values = np.where(above, values >> np.uint64(step), values)
    bits += np.where(above, step, 0)
  return bits + (values != 0)
