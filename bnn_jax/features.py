"""From a waveform to the integers that the first layer reads.

Shape letters: B batch, S samples, T frames, F mel bins or coefficients.
"""

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax import errors

# A CPU program whose temporaries exceed 32 MiB gets fresh pages from the
# system on every call, which doubles its time: hence pieces of frames.
_CPU_FRAMES = 14
# Quantiles of a mel bin between which its thermometer's thresholds lie.
_LEVEL_RANGE = (0.01, 0.995)


@dataclasses.dataclass(frozen=True)
class FrontEnd:
  """The settings of the front end, hashable, so static under `jax.jit`.

  Attributes:
    kind: 'log_mel', or 'mfcc' for its orthonormal DCT-II.
    sample_rate: in Hz.
    window_ms: length of one frame in milliseconds.
    hop_ms: distance between the starts of two frames in milliseconds.
    mel_bins: number of triangular filters.
    coefficients: number of cosine coefficients kept ('mfcc' only).
    lower_hz: lower edge of the lowest triangle.
    upper_hz: upper edge of the highest triangle.
    log_floor: added to the mel power before the logarithm.

  Raises:
    UserError: a setting is out of range, or a triangle holds no frequency.
  """

  kind: Literal['log_mel', 'mfcc'] = 'log_mel'
  sample_rate: int = 16000
  window_ms: float = 30.0
  hop_ms: float = 10.0
  mel_bins: int = 40
  coefficients: int = 40
  lower_hz: float = 20.0
  upper_hz: float = 7600.0
  log_floor: float = 1e-6

  def __post_init__(self) -> None:
    if self.kind not in ('log_mel', 'mfcc'):
      raise errors.UserError(
        f"kind={self.kind!r} is unknown: choose 'log_mel' or 'mfcc'."
      )
    for name in ('sample_rate', 'mel_bins', 'coefficients'):
      _check_whole(name, getattr(self, name))
    for name in ('window_ms', 'hop_ms', 'log_floor'):
      _check_positive(name, getattr(self, name))
    for name in ('window_ms', 'hop_ms'):
      if self._samples(getattr(self, name)) < 1:
        raise errors.UserError(
          f'{name}={getattr(self, name)} is less than one sample: raise it.'
        )
    if self.coefficients > self.mel_bins and self.kind == 'mfcc':
      raise errors.UserError(
        f'coefficients={self.coefficients} exceeds mel_bins={self.mel_bins}: '
        'lower it.'
      )
    if not 0 <= self.lower_hz < self.upper_hz <= self.sample_rate / 2:
      raise errors.UserError(
        f'lower_hz={self.lower_hz} and upper_hz={self.upper_hz} must ascend '
        f'between 0 and {self.sample_rate / 2}, half the sample rate.'
      )
    if not mel_matrix(self).any(axis=0).all():
      raise errors.UserError(
        f'mel_bins={self.mel_bins} leaves a filter without a frequency: '
        'use fewer bins, a longer window or a wider band.'
      )

  @property
  def window_samples(self) -> int:
    """Length of one frame in samples."""
    return self._samples(self.window_ms)

  @property
  def hop_samples(self) -> int:
    """Distance between the starts of two frames in samples."""
    return self._samples(self.hop_ms)

  @property
  def fft_size(self) -> int:
    """The smallest power of two that holds one frame."""
    return 1 << (self.window_samples - 1).bit_length()

  @property
  def bins(self) -> int:
    """F, the number of features of a frame."""
    return self.coefficients if self.kind == 'mfcc' else self.mel_bins

  def frames(self, samples: int) -> int:
    """T, the number of whole frames in `samples` samples.

    Raises:
      UserError: the clip is shorter than one frame.
    """
    if samples < self.window_samples:
      raise errors.UserError(
        f'A clip of {samples} samples is shorter than the window of '
        f'{self.window_samples}: lower window_ms.'
      )
    return 1 + (samples - self.window_samples) // self.hop_samples

  def _samples(self, milliseconds: float) -> int:
    return round(self.sample_rate * milliseconds / 1000)


def extract(waveform: jax.Array, front_end: FrontEnd) -> jax.Array:
  """Computes the features of whole clips.

  Periodic Hann window, power spectrum of the frame padded with zeros to a
  power of two, mel triangles, natural logarithm; 'mfcc' adds the orthonormal
  DCT-II. Frames are not centred: frame t begins at sample t * hop.

  Args:
    waveform: float32 `[B, S]` in [-1, 1).
    front_end: the settings.

  Returns:
    float32 `[B, T, F]`.

  Raises:
    UserError: a clip is shorter than one frame.
  """
  starts = np.arange(front_end.frames(waveform.shape[1]))[:, None]
  index = starts * front_end.hop_samples + np.arange(front_end.window_samples)
  window = hann_window(front_end.window_samples)

  def by_frames(waveform: jax.Array) -> jax.Array:
    def frame(index: jax.Array) -> jax.Array:
      power = fft_power(waveform[:, index] * window, front_end.fft_size)
      return _project(power, front_end)

    frames = jax.lax.map(frame, jnp.asarray(index), batch_size=_CPU_FRAMES)
    return jnp.swapaxes(frames, 0, 1)

  def at_once(waveform: jax.Array) -> jax.Array:
    power_of = fft_power if jax.device_count() == 1 else matmul_power
    power = power_of(waveform[:, index] * window, front_end.fft_size)
    return _project(power, front_end)

  return jax.lax.platform_dependent(
    jnp.asarray(waveform), cpu=by_frames, default=at_once
  )


def fft_power(frames: jax.Array, size: int) -> jax.Array:
  """The power spectrum `[..., size / 2 + 1]` of `[..., W]`, W <= size.

  Three times as fast as `matmul_power` on a CPU, and quicker on a GPU, but XLA
  gathers a batch that is sharded over devices before an FFT.
  """
  spectrum = jnp.fft.rfft(frames, n=size)
  return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


def matmul_power(frames: jax.Array, size: int) -> jax.Array:
  """What `fft_power` computes, as two products that stay sharded."""
  phase = np.outer(np.arange(frames.shape[-1]), np.arange(size // 2 + 1))
  angle = 2 * np.pi * (phase % size) / size
  real = _matmul(frames, np.cos(angle).astype(np.float32))
  imag = _matmul(frames, np.sin(angle).astype(np.float32))
  return jnp.square(real) + jnp.square(imag)


def hann_window(length: int) -> np.ndarray:
  """The periodic Hann window, float32 `[length]`."""
  angle = 2 * np.pi * np.arange(length) / length
  return (0.5 - 0.5 * np.cos(angle)).astype(np.float32)


def mel_matrix(front_end: FrontEnd) -> np.ndarray:
  """Triangles of height 1, linear in mel; the constant term counts nowhere.

  The HTK scale, mel = 1127 ln(1 + f / 700), as `tf.signal` has it.

  Returns:
    float64 `[fft_size / 2 + 1, mel_bins]`.
  """
  spectrum_hz = np.fft.rfftfreq(front_end.fft_size, 1 / front_end.sample_rate)
  edges = np.linspace(
    _hz_to_mel(front_end.lower_hz),
    _hz_to_mel(front_end.upper_hz),
    front_end.mel_bins + 2,
  )
  lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
  mel = _hz_to_mel(spectrum_hz)[:, None]
  rise = (mel - lower) / (centre - lower)
  fall = (upper - mel) / (upper - centre)
  triangles = np.maximum(0.0, np.minimum(rise, fall))
  triangles[0] = 0.0
  return triangles


def dct_matrix(front_end: FrontEnd) -> np.ndarray:
  """The orthonormal DCT-II, float32 `[mel_bins, coefficients]`."""
  n = front_end.mel_bins
  angle = (np.arange(n)[:, None] + 0.5) * np.arange(front_end.coefficients)
  matrix = np.cos(np.pi * angle / n) * math.sqrt(2 / n)
  matrix[:, 0] = math.sqrt(1 / n)
  return matrix.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Quantization:
  """How features become the unsigned integers of the first layer.

  docs/arithmetic.md, section 8: q = clip(floor((x - lo) * 2^-e), 0, 2^B - 1).

  Attributes:
    lo: the feature value of q = 0, exactly representable in float32.
    exponent: e; one step of q is 2^e.
    bits: B, from 1 to 8.

  Raises:
    UserError: a value is out of range.
  """

  lo: float
  exponent: int
  bits: int = 8

  def __post_init__(self) -> None:
    if not math.isfinite(self.lo) or float(np.float32(self.lo)) != self.lo:
      raise errors.UserError(
        f'lo={self.lo!r} is not a float32 number: round it to one.'
      )
    if not -100 <= self.exponent <= 100:
      raise errors.UserError(
        f'exponent={self.exponent} is not in [-100, 100]: fit it to features.'
      )
    _check_bits(self.bits)

  @property
  def largest(self) -> int:
    """The largest q."""
    return 2**self.bits - 1


def quantize(features: jax.Array, quantization: Quantization) -> jax.Array:
  """Quantizes features as docs/arithmetic.md, section 8, states.

  Args:
    features: float32 `[B, T, F]`.
    quantization: the constants.

  Returns:
    uint8 `[B, T, F]`.
  """
  return quantize_by(
    features, quantization.lo, quantization.exponent, quantization.bits
  )


def quantize_by(
  features: jax.Array,
  lo: jax.Array | float,
  exponent: jax.Array | int,
  bits: int,
) -> jax.Array:
  """What `quantize` computes, for constants that are arrays.

  Args:
    features: float32 `[B, T, F]`.
    lo: the feature value of q = 0, float32.
    exponent: e; one step of q is 2^e.
    bits: B, from 1 to 8.

  Returns:
    uint8 `[B, T, F]`.
  """
  # The power is written into the float's bits, since exp2 rounds somewhere.
  field = (127 - jnp.asarray(exponent, jnp.int32)) << 23
  steps = jax.lax.bitcast_convert_type(field, jnp.float32)
  q = jnp.floor((features - jnp.asarray(lo, jnp.float32)) * steps)
  return jnp.clip(q, 0, 2**bits - 1).astype(jnp.uint8)


def fit_quantization(features: np.ndarray, bits: int = 8) -> Quantization:
  """Chooses the constants from the features of some training clips.

  Args:
    features: float32, any shape; 0.1 % of the values may fall below `lo` and
      0.1 % above the largest q.
    bits: B, from 1 to 8.

  Returns:
    `lo` at the 0.1 % quantile and the smallest exponent for which the 99.9 %
    quantile still fits.

  Raises:
    UserError: the features are empty, not finite, or all alike.
  """
  _check_bits(bits)
  features = np.asarray(features, np.float32)
  if not features.size or not np.isfinite(features).all():
    raise errors.UserError(
      'The features to fit the quantization to are empty or not finite: '
      'give the features of some training clips.'
    )
  lo, hi = np.quantile(features, [0.001, 0.999]).astype(np.float32)
  if not lo < hi:
    raise errors.UserError(
      'The features to fit the quantization to are all alike: '
      'give the features of clips with sound.'
    )
  # frexp's mantissa is below 1, so hi - lo < 2^(bits + exponent), strictly.
  _, range_exponent = np.frexp(hi - lo)
  return Quantization(float(lo), int(range_exponent) - bits, bits)


def thermometer_levels(
  q: np.ndarray, levels: int, bits: int = 8
) -> np.ndarray:
  """Chooses the thresholds of a thermometer code, one row per bin.

  Threshold i of n lies i / (n + 1) of the way from the bin's 1 % quantile to
  its 99.5 % quantile: even steps of loudness, which a quiet speaker passes,
  too. (Even shares of the values would spend most thresholds on the noise
  floor.) Where these collide, later ones are raised, so that each row ascends
  strictly within [1, 2^bits - 1]. Used as q >= threshold.

  Args:
    q: unsigned integers `[n, T, F]` of some training clips.
    levels: thresholds per bin, at most 2^bits - 1.
    bits: of q.

  Returns:
    int32 `[F, levels]`, ascending.

  Raises:
    UserError: `levels` is out of range, or q is empty or exceeds its bits.
  """
  _check_bits(bits)
  _check_whole('levels', levels)
  largest = 2**bits - 1
  if levels > largest:
    raise errors.UserError(
      f'levels={levels} exceeds the {largest} thresholds that {bits} bits '
      'allow: lower it.'
    )
  if not q.size or q.min() < 0 or q.max() > largest:
    raise errors.UserError(
      f'q must hold integers in [0, {largest}]: quantize some clips first.'
    )
  low, high = np.quantile(q.reshape(-1, q.shape[-1]), _LEVEL_RANGE, axis=0)
  ranks = np.arange(levels)
  shares = (ranks + 1) / (levels + 1)
  even = np.floor(low[:, None] + np.outer(high - low, shares) + 0.5)
  ascending = np.maximum.accumulate(even - ranks, axis=1)
  rows = np.clip(ascending, 1, largest - levels + 1) + ranks
  return rows.astype(np.int32)


def _project(power: jax.Array, front_end: FrontEnd) -> jax.Array:
  mel = _matmul(power, mel_matrix(front_end).astype(np.float32))
  log_mel = jnp.log(mel + front_end.log_floor)
  if front_end.kind == 'log_mel':
    return log_mel
  return _matmul(log_mel, dct_matrix(front_end))


def _matmul(x: jax.Array, matrix: np.ndarray) -> jax.Array:
  # The default precision is TF32 on recent GPUs and bfloat16 on TPUs.
  return jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)


def _hz_to_mel(hz):
  return 1127.0 * np.log1p(np.asarray(hz) / 700.0)


def _check_whole(name: str, value: int) -> None:
  if not isinstance(value, int) or value < 1:
    raise errors.UserError(
      f'{name}={value} is not a positive whole number: set it to one.'
    )


def _check_positive(name: str, value: float) -> None:
  if not (math.isfinite(value) and value > 0):
    raise errors.UserError(
      f'{name}={value} is not a positive number: set it to one.'
    )


def _check_bits(bits: int) -> None:
  if bits not in range(1, 9):
    raise errors.UserError(f'bits={bits} is not in 1..8: choose one of those.')
