"""What is done to training clips: on waveforms, and SpecAugment on features.

A waveform is played at another speed, shifted in time, made quieter and mixed
with background noise, in this order.

Names and defaults are those of kws_streaming (Rybakov et al., 2020,
https://arxiv.org/abs/2005.06720) where it has them, but for `resample`, which
is 0.15 there, and for the masks, which it has off; the masks are Park et al.,
2019, https://arxiv.org/abs/1904.08779. Clips of silence are treated like any
other.

Shape letters: B batch, S samples, T frames, F mel bins.
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax import errors
from bnn_jax.data import source as source_lib

_SCALE = np.float32(2.0**-15)
_LARGEST = np.float32(1.0 - 2.0**-15)


@dataclasses.dataclass(frozen=True)
class Augmentation:
  """The settings; zeros switch a part off.

  Attributes:
    resample: a clip is played quicker or slower by up to this share, which
      moves its pitch too.
    time_shift_ms: a clip moves by up to this, either way, in milliseconds.
    attenuation_db: a clip is made quieter by up to this, evenly in decibels.
    background_frequency: probability that noise is added to a clip.
    background_volume: the noise is scaled by up to this.
    time_masks_number: masks along time for each clip.
    time_mask_max_size: most frames of one mask.
    frequency_masks_number: masks along frequency for each clip.
    frequency_mask_max_size: most bins of one mask.

  Raises:
    UserError: a setting is out of range.
  """

  resample: float = 0.0
  time_shift_ms: float = 100.0
  attenuation_db: float = 0.0
  background_frequency: float = 0.8
  background_volume: float = 0.1
  time_masks_number: int = 2
  time_mask_max_size: int = 10
  frequency_masks_number: int = 2
  frequency_mask_max_size: int = 5

  def __post_init__(self) -> None:
    for name in ('time_shift_ms', 'attenuation_db', 'background_volume'):
      value = getattr(self, name)
      if not (math.isfinite(value) and value >= 0):
        raise errors.UserError(
          f'{name}={value} is not a number of at least 0: set it to one.'
        )
    if not 0 <= self.resample < 1:
      raise errors.UserError(
        f'resample={self.resample} is no share of the speed: set it from 0 to '
        'below 1.'
      )
    if not 0 <= self.background_frequency <= 1:
      raise errors.UserError(
        f'background_frequency={self.background_frequency} is not a '
        'probability: set it between 0 and 1.'
      )
    for name in (
      'time_masks_number',
      'time_mask_max_size',
      'frequency_masks_number',
      'frequency_mask_max_size',
    ):
      value = getattr(self, name)
      if not isinstance(value, int) or value < 0:
        raise errors.UserError(
          f'{name}={value} is not a whole number of at least 0: set it to one.'
        )


NONE = Augmentation(
  time_shift_ms=0.0,
  background_frequency=0.0,
  background_volume=0.0,
  time_masks_number=0,
  frequency_masks_number=0,
)


class Draws(NamedTuple):
  """What chance decided for the waveforms of one batch.

  Attributes:
    shift: int64 `[B]`, samples by which a clip is delayed (or advanced, < 0).
    volume: float32 `[B]`, the scale of the noise, 0 where there is none.
    recording: int64 `[B]`, which recording the noise is cut from.
    position: float64 `[B]` in [0, 1), where in the recording.
    speed: float32 `[B]`, of the clip, 1 being its own.
    gain: float32 `[B]` in (0, 1], the scale of the clip.
  """

  shift: np.ndarray
  volume: np.ndarray
  recording: np.ndarray
  position: np.ndarray
  speed: np.ndarray
  gain: np.ndarray


def draw(
  augmentation: Augmentation,
  rng: np.random.Generator,
  *,
  batch_size: int,
  recordings: int,
) -> Draws:
  """Draws for a whole batch at once, which costs as much as for one clip.

  Args:
    augmentation: the settings.
    rng: advanced by seven draws of `[B]`.
    batch_size: B.
    recordings: number of background recordings; 0 means no noise.
  """
  most = round(augmentation.time_shift_ms * source_lib.SAMPLE_RATE / 1000)
  most = min(most, source_lib.CLIP_SAMPLES)
  shift = rng.integers(-most, most, size=batch_size, endpoint=True)
  chance, volume, position = rng.random((3, batch_size))
  mixed = (chance < augmentation.background_frequency) & (recordings > 0)
  recording = rng.integers(max(recordings, 1), size=batch_size)
  speed, quiet = rng.random((2, batch_size))
  decibels = augmentation.attenuation_db * quiet
  return Draws(
    shift=shift,
    volume=(mixed * volume * augmentation.background_volume).astype(np.float32),
    recording=recording,
    position=position,
    speed=(1 + augmentation.resample * (2 * speed - 1)).astype(np.float32),
    gain=(10 ** (-decibels / 20)).astype(np.float32),
  )


def augment(
  clips: Sequence[np.ndarray],
  background: Sequence[np.ndarray],
  draws: Draws,
) -> np.ndarray:
  """Changes the clips and adds noise to them.

  Args:
    clips: B of int16 `[S]`.
    background: int16 recordings of at least S samples.
    draws: as `draw` gives them for B clips and these recordings.

  Returns:
    float32 `[B, S]` in [-1, 1); sums beyond are clipped.
  """
  out = np.empty((len(clips), clips[0].size), np.float32)
  for row, clip, shift, volume, recording, position, speed, gain in zip(
    out, clips, *draws, strict=True
  ):
    time_shift(clip if speed == 1 else play(clip, speed), shift, out=row)
    if gain < 1:
      row *= gain
    if volume:
      noise = background[recording]
      offset = int(position * (noise.size - row.size + 1))
      mix(row, noise[offset : offset + row.size], volume)
  return out


def play(audio: np.ndarray, speed: float) -> np.ndarray:
  """Plays audio `[S]` at another speed about its middle, float32 `[S]`.

  Samples between two are interpolated on a line; zeros are around the clip.
  """
  middle = (audio.size - 1) / 2
  samples = np.arange(audio.size)
  at = middle + (samples - middle) * speed
  return np.interp(at, samples, audio, 0.0, 0.0).astype(np.float32)


def time_shift(audio: np.ndarray, shift: int, *, out: np.ndarray) -> None:
  """Writes audio `[S]`, delayed by `shift` samples, as float32 into `out`.

  What leaves at one end is lost; zeros enter at the other.
  """
  size = audio.size
  start, end = max(shift, 0), min(size + shift, size)
  np.multiply(audio[start - shift : end - shift], _SCALE, out=out[start:end])
  out[:start] = 0.0
  out[end:] = 0.0


def mix(audio: np.ndarray, noise: np.ndarray, volume: np.float32) -> None:
  """Adds int16 noise `[S]` to float32 audio `[S]` in place, in [-1, 1)."""
  audio += noise * np.float32(volume * _SCALE)
  np.maximum(audio, np.float32(-1.0), out=audio)
  np.minimum(audio, _LARGEST, out=audio)


def spec_augment(
  features: jax.Array, key: jax.Array, augmentation: Augmentation
) -> jax.Array:
  """Replaces spans of frames and of bins by the mean of their clip.

  The size of a mask is uniform from 0 to its largest, inclusive; its place is
  uniform among those where it lies wholly inside.

  Args:
    features: float32 `[B, T, F]`.
    key: a key of `jax.random`.
    augmentation: static under `jax.jit`.

  Returns:
    float32 `[B, T, F]`.
  """
  time_key, frequency_key = jax.random.split(key)
  batch, frames, bins = features.shape
  hidden_frames = _masks(
    time_key,
    (batch, augmentation.time_masks_number),
    length=frames,
    max_size=augmentation.time_mask_max_size,
  )
  hidden_bins = _masks(
    frequency_key,
    (batch, augmentation.frequency_masks_number),
    length=bins,
    max_size=augmentation.frequency_mask_max_size,
  )
  hidden = hidden_frames[:, :, None] | hidden_bins[:, None, :]
  mean = features.mean(axis=(1, 2), keepdims=True)
  return jnp.where(hidden, mean, features)


def _masks(
  key: jax.Array, shape: tuple[int, int], *, length: int, max_size: int
) -> jax.Array:
  """The union of `shape[1]` random spans, bool `[B, length]`."""
  size_key, start_key = jax.random.split(key)
  size = jax.random.randint(size_key, shape, 0, min(max_size, length) + 1)
  start = jax.random.randint(start_key, shape, 0, length - size + 1)
  place = jnp.arange(length) - start[..., None]
  return ((place >= 0) & (place < size[..., None])).any(axis=1)
