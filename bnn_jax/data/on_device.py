"""A data set in the memory of an accelerator, and its augmentation there.

The host draws which clips make a batch and what is done to them, as it does
for `pipeline.train_iterator`; the device reads, changes and mixes. Both follow
the same definition and differ in the rounding of float32 alone.

Shape letters: n clips, B batch, S samples.
"""

from collections.abc import Iterator
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax.data import augmentation as augmentation_lib
from bnn_jax.data import pipeline
from bnn_jax.data import source as source_lib

_SCALE = np.float32(2.0**-15)
_LARGEST = np.float32(1.0 - 2.0**-15)


class Clips(NamedTuple):
  """All clips of a split.

  Attributes:
    audio: int16 `[n, S]`.
    labels: int32 `[n]`.
    background: int16 `[samples]`, all recordings of noise in a row; as many
      zeros as a clip where there is none.
  """

  audio: jax.Array | np.ndarray
  labels: jax.Array | np.ndarray
  background: jax.Array | np.ndarray


class Order(NamedTuple):
  """Which clips make a batch and what is done to them, each `[B]`.

  Attributes:
    clip: int32, its index.
    offset: int32, where the noise begins in `Clips.background`.
    shift: int32, samples of delay.
    volume: float32, scale of the noise.
    speed: float32, of the clip.
    gain: float32, scale of the clip.
  """

  clip: np.ndarray
  offset: np.ndarray
  shift: np.ndarray
  volume: np.ndarray
  speed: np.ndarray
  gain: np.ndarray


def load(source: source_lib.Source) -> Clips:
  """Reads a split into memory, for `jax.device_put`."""
  clips = [source[i] for i in range(len(source))]
  silent = [np.zeros(source_lib.CLIP_SAMPLES, np.int16)]
  return Clips(
    np.stack([clip.audio for clip in clips]),
    np.array([clip.label for clip in clips], np.int32),
    np.concatenate(list(source.background) or silent),
  )


def orders(
  source: source_lib.Source,
  *,
  batch_size: int,
  seed: int,
  augmentation: augmentation_lib.Augmentation,
) -> Iterator[Order]:
  """The batches of `pipeline.train_iterator` of the same arguments."""
  sizes = np.array([len(noise) for noise in source.background] or [0])
  starts = np.cumsum(sizes) - sizes
  for indices, draws in pipeline.draws(
    source, batch_size=batch_size, seed=seed, augmentation=augmentation
  ):
    room = sizes[draws.recording] - source_lib.CLIP_SAMPLES + 1
    inside = (draws.position * room).astype(np.int64)
    offset = np.where(draws.volume > 0, starts[draws.recording] + inside, 0)
    yield Order(
      indices.astype(np.int32), offset.astype(np.int32),
      draws.shift.astype(np.int32), draws.volume, draws.speed, draws.gain,
    )


def batch(clips: Clips, order: Order) -> dict[str, jax.Array]:
  """Makes the batch {'audio': float32 `[B, S]`, 'label': int32 `[B]`}."""
  change = jax.vmap(functools.partial(_change, clips.background))
  audio = change(clips.audio[order.clip], *order[1:])
  return {'audio': audio, 'label': clips.labels[order.clip]}


def _change(background, clip, offset, shift, volume, speed, gain):
  """One clip, as `augmentation.augment` changes it."""
  middle = (clip.size - 1) / 2
  time = jnp.arange(clip.size) - shift
  # The way from the sample at this time, as it needs fewer bits than a place.
  way = (time - middle) * (speed - 1)
  whole = jnp.floor(way)
  part = way - whole
  before = time + whole.astype(jnp.int32)
  inside = (time >= 0) & (time < clip.size)
  inside &= (before >= 0) & (before + (part > 0) < clip.size)
  low, high = (
    clip[jnp.clip(before + step, 0, clip.size - 1)].astype(jnp.float32)
    for step in (0, 1)
  )
  audio = jnp.where(inside, low + part * (high - low), 0.0) * _SCALE * gain
  noise = jax.lax.dynamic_slice(background, (offset,), clip.shape)
  audio += noise * (volume * _SCALE)
  mixed = jnp.clip(audio, -1.0, _LARGEST)
  return jnp.where(volume > 0, mixed, audio)
