import itertools

import jax
import numpy as np
import pytest

from bnn_jax.data import augmentation as augmentation_lib
from bnn_jax.data import on_device
from bnn_jax.data import pipeline
from bnn_jax.data import source as source_lib
from tests import tiny

SCALE = 32768
MOST = augmentation_lib.Augmentation(
  resample=0.1, attenuation_db=12.0, background_frequency=0.7,
  background_volume=0.9,
)


class Noisy(tiny.Split):
  """Loud enough with its noise to be clipped here and there."""

  def __init__(self, clips):
    super().__init__(clips)
    random = np.random.default_rng(0)
    self.background = tuple(
      random.integers(-32768, 32768, size).astype(np.int16)
      for size in (20000, source_lib.CLIP_SAMPLES, 17001)
    )


def changed(audio, background=(0, 0, 0, 0, 0), **changes):
  """What becomes of one clip, in steps of int16."""
  decided = {
    'clip': 0, 'offset': 0, 'shift': 0, 'volume': 0.0, 'speed': 1.0,
    'gain': 1.0,
  } | changes
  kinds = np.int32, np.int32, np.int32, np.float32, np.float32, np.float32
  order = on_device.Order(*(
    np.array([value], kind)
    for value, kind in zip(decided.values(), kinds, strict=True)
  ))
  clips = on_device.Clips(
    np.array([audio], np.int16), np.array([3], np.int32),
    np.array(background, np.int16),
  )
  batch = jax.jit(on_device.batch)(clips, order)
  assert batch['label'].tolist() == [3]
  return (SCALE * batch['audio'][0]).tolist()


@pytest.mark.parametrize('changes, want', [
  ({}, [4, 8, 16, 32, -32768]),
  ({'shift': 1}, [0, 4, 8, 16, 32]),
  ({'shift': -2}, [16, 32, -32768, 0, 0]),
  ({'shift': 5}, [0, 0, 0, 0, 0]),
  ({'shift': -5}, [0, 0, 0, 0, 0]),
  ({'gain': 0.25}, [1, 2, 4, 8, -8192]),
])
def test_shift_and_gain_literal(changes, want):
  assert changed([4, 8, 16, 32, -32768], **changes) == want


@pytest.mark.parametrize('changes, want', [
  ({'speed': 0.5}, [8, 12, 16, 24, 32]),
  ({'speed': 2.0}, [0, 4, 16, 64, 0]),
  ({'speed': 1.5}, [0, 6, 16, 48, 0]),
  # Played first, and then shifted.
  ({'speed': 0.5, 'shift': 2, 'gain': 0.5}, [0, 0, 4, 6, 8]),
  ({'speed': 2.0, 'shift': -1}, [4, 16, 64, 0, 0]),
])
def test_speed_literal(changes, want):
  assert changed([4, 8, 16, 32, 64], **changes) == want


def test_noise_literal():
  noise = [0, 512, 1024, 2048, 4096, 8192, 16384]
  zeros = [0] * 5
  assert changed(zeros, noise, volume=0.5, offset=2) == [
    512, 1024, 2048, 4096, 8192
  ]
  # The clip alone is made quieter and shifted.
  assert changed(
    [1024] * 5, noise, volume=0.5, offset=1, gain=0.25, shift=3
  ) == [256, 512, 1024, 2304, 4352]


def test_sums_with_noise_are_clipped():
  loud = [32767, -32768, 32767, -32768, 0]
  noise = [32767, -32768, -32768, 32767, 7]
  assert changed(loud, noise, volume=1.0) == [32767, -32768, -1, -1, 7]


def tolerance(audio, resample):
  """Bound of the rounding in float32 against float64.

  A place is some `way` from a whole sample, held to half of its last bit, and
  the line there is no steeper than the steepest step of the clip.
  """
  way = max(resample * audio.shape[-1] / 2, 1)
  half_bit = 2.0 ** (np.ceil(np.log2(way)) - 25)
  steepest = np.abs(np.diff(audio.astype(np.float64))).max() / SCALE
  # Further roundings are of numbers in [-2, 2].
  return half_bit * steepest + 2.0**-21


def test_a_batch_equals_that_of_the_host():
  split = Noisy(12)
  clips = on_device.load(split)
  for resample in (0.0, 0.1, 0.4):
    draws = augmentation_lib.draw(
      augmentation_lib.Augmentation(
        resample=resample, attenuation_db=9.0, time_shift_ms=300.0,
        background_volume=1.0, background_frequency=0.6,
      ),
      np.random.default_rng(1), batch_size=12, recordings=3,
    )
    want = augmentation_lib.augment(list(clips.audio), split.background, draws)
    sizes = np.array([len(noise) for noise in split.background])
    inside = (draws.position * (sizes[draws.recording] - 15999)).astype(int)
    order = on_device.Order(
      np.arange(12), (np.cumsum(sizes) - sizes)[draws.recording] + inside,
      draws.shift, draws.volume, draws.speed, draws.gain,
    )
    got = np.asarray(jax.jit(on_device.batch)(clips, order)['audio'])
    # Without another speed, but for the roundings of products and sums.
    most = tolerance(clips.audio, resample) if resample else 2.0**-21
    np.testing.assert_allclose(got, want, rtol=0, atol=most)
    assert (want == 1 - 2**-15).any() and (want == -1).any()
    assert got.min() == -1 and got.max() == want.max()


@pytest.mark.parametrize('make', [Noisy, tiny.Split])
def test_orders_are_the_batches_of_the_iterator(make):
  split = make(23)
  settings = {'batch_size': 5, 'seed': 3, 'augmentation': MOST}
  clips = on_device.load(split)
  iterator = pipeline.train_iterator(split, **settings, threads=0)
  most = tolerance(clips.audio, MOST.resample)
  read = jax.jit(on_device.batch)
  seen = []
  # More than an epoch.
  for order in itertools.islice(on_device.orders(split, **settings), 6):
    want, got = next(iterator), read(clips, order)
    assert got['label'].dtype == np.int32
    np.testing.assert_array_equal(got['label'], want['label'])
    np.testing.assert_allclose(got['audio'], want['audio'], rtol=0, atol=most)
    seen.append(order)
  clip = np.concatenate([order.clip for order in seen])
  assert len(set(clip[:20])) == 20
  volume = np.concatenate([order.volume for order in seen])
  assert (volume > 0).any() == bool(split.background)
  assert {value.dtype.name for value in seen[0]} == {'int32', 'float32'}


def test_a_split_in_memory():
  clips = on_device.load(Noisy(7))
  assert clips.audio.shape == (7, 16000)
  assert clips.labels.tolist() == [0, 1, 2, 3, 4, 0, 1]
  assert clips.background.size == 20000 + 16000 + 17001
  assert {array.dtype.name for array in clips} == {'int16', 'int32'}
  silent = on_device.load(tiny.Split(2)).background
  assert silent.shape == (16000,) and not silent.any()
