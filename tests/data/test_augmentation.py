import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import augmentation as augmentation_lib


def _draw(seed=0, batch_size=2000, recordings=3, **settings):
  return augmentation_lib.draw(
    augmentation_lib.Augmentation(**settings),
    np.random.default_rng(seed),
    batch_size=batch_size,
    recordings=recordings,
  )


EVERYTHING = {'resample': 0.1, 'attenuation_db': 12.0}


def _shifted(audio, shift):
  out = np.full(len(audio), np.nan, np.float32)
  augmentation_lib.time_shift(np.asarray(audio, np.int16), shift, out=out)
  return (out * 32768).tolist()


@pytest.mark.parametrize(
  'shift, want',
  [
    (0, [1, 2, 3, -32768]),
    (1, [0, 1, 2, 3]),
    (-1, [2, 3, -32768, 0]),
    (4, [0, 0, 0, 0]),
    (-4, [0, 0, 0, 0]),
  ],
)
def test_time_shift_literal(shift, want):
  assert _shifted([1, 2, 3, -32768], shift) == want


def test_mix_literal():
  audio = np.array([0.0, 0.5, -0.5, -1.0, 0.999], np.float32)
  noise = np.array([16384, 16384, -16384, -16384, 16384], np.int16)
  augmentation_lib.mix(audio, noise, np.float32(0.5))
  assert audio.tolist() == [0.25, 0.75, -0.75, -1.0, 1 - 2**-15]


def test_draws_have_the_stated_distribution():
  draws = _draw(batch_size=20000)
  assert draws.shift.min() == -1600
  assert draws.shift.max() == 1600
  assert abs(draws.shift.mean()) < 30
  mixed = draws.volume > 0
  assert mixed.mean() == pytest.approx(0.8, abs=0.01)
  assert draws.volume.max() <= np.float32(0.1)
  assert draws.volume[mixed].mean() == pytest.approx(0.05, abs=0.002)
  assert np.bincount(draws.recording).min() > 6000
  assert 0 <= draws.position.min() < draws.position.max() < 1


def test_speeds_are_even_about_the_clips_own():
  speed = _draw(batch_size=20000, resample=0.25).speed
  assert speed.dtype == np.float32
  assert 0.75 <= speed.min() < 0.751
  assert 1.249 < speed.max() <= 1.25
  assert speed.mean() == pytest.approx(1.0, abs=0.003)
  assert (speed < 0.875).mean() == pytest.approx(0.25, abs=0.01)


def test_attenuation_is_even_in_decibels():
  gain = _draw(batch_size=20000, attenuation_db=20.0).gain
  assert gain.dtype == np.float32
  decibels = -20 * np.log10(gain.astype(np.float64))
  assert 0 <= decibels.min() < 0.01
  assert 19.99 < decibels.max() <= 20.00001
  for share in (0.25, 0.5, 0.75):
    below = (decibels < 20 * share).mean()
    assert below == pytest.approx(share, abs=0.01)


def test_further_settings_leave_the_other_draws_alone():
  plain, changed = _draw(), _draw(**EVERYTHING)
  for name in ('shift', 'volume', 'recording', 'position'):
    np.testing.assert_array_equal(getattr(plain, name), getattr(changed, name))
  assert (plain.speed == 1).all() and (changed.speed != 1).any()
  assert (plain.gain == 1).all() and (changed.gain != 1).any()


def test_play_at_its_own_speed_is_the_clip():
  audio = np.array([3, -7, 32767, -32768, 5], np.int16)
  played = augmentation_lib.play(audio, 1.0)
  assert played.dtype == np.float32
  assert played.tolist() == audio.tolist()


@pytest.mark.parametrize('speed, want', [
  # About the middle, 2: reads at 1, 1.5, 2, 2.5, 3.
  (0.5, [8, 12, 16, 24, 32]),
  # Reads at -2, 0, 2, 4, 6; beyond the clip are zeros.
  (2.0, [0, 4, 16, 64, 0]),
  # Reads at -1, 0.5, 2, 3.5, 5.
  (1.5, [0, 6, 16, 48, 0]),
])
def test_play_literal(speed, want):
  audio = np.array([4, 8, 16, 32, 64], np.int16)
  assert augmentation_lib.play(audio, speed).tolist() == want


def test_an_even_clip_is_played_about_the_middle_of_two_samples():
  audio = np.array([0, 8, 16, 24], np.int16)
  # About 1.5: reads at 0.75, 1.25, 1.75, 2.25.
  assert augmentation_lib.play(audio, 0.5).tolist() == [6, 10, 14, 18]


def test_draws_follow_from_the_seed():
  first, again, other = (_draw(seed, **EVERYTHING) for seed in (4, 4, 5))
  for a, b, c in zip(first, again, other, strict=True):
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_parts_switch_off():
  assert not _draw(time_shift_ms=0.0).shift.any()
  assert not _draw(background_frequency=0.0).volume.any()
  assert not _draw(background_volume=0.0).volume.any()
  assert not _draw(recordings=0).volume.any()
  assert (_draw(background_frequency=1.0).volume > 0).all()


def test_augment_is_shift_plus_noise_at_its_place():
  clips = [np.full(4, 8192, np.int16), np.full(4, 4096, np.int16)]
  background = [np.zeros(4, np.int16), np.arange(8, dtype=np.int16) * 1024]
  draws = augmentation_lib.Draws(
    shift=np.array([1, -2]),
    volume=np.array([0.5, 0.0], np.float32),
    recording=np.array([1, 1]),
    position=np.array([0.999, 0.5]),
    speed=np.ones(2, np.float32),
    gain=np.ones(2, np.float32),
  )
  got = augmentation_lib.augment(clips, background, draws)
  assert got.dtype == np.float32
  assert (got * 32768).tolist() == [
    [2048, 8192 + 2560, 8192 + 3072, 8192 + 3584],
    [4096, 4096, 0, 0],
  ]


def test_a_clip_is_played_then_shifted_then_quieter_then_mixed():
  clips = [np.array([400, 800, 1600, 3200, 6400], np.int16)]
  background = [np.full(5, 2048, np.int16)]
  draws = augmentation_lib.Draws(
    shift=np.array([1]), volume=np.array([0.5], np.float32),
    recording=np.array([0]), position=np.array([0.0]),
    speed=np.array([0.5], np.float32), gain=np.array([0.25], np.float32),
  )
  got = augmentation_lib.augment(clips, background, draws)
  quiet = [0, 200, 300, 400, 600]
  assert (got * 32768).tolist() == [[1024 + value for value in quiet]]


def test_noise_of_one_clip_fits_any_position():
  draws = _draw(batch_size=50, recordings=1, background_frequency=1.0)
  clips = [np.zeros(16000, np.int16)] * 50
  noise = np.full(16000, 32767, np.int16)
  got = augmentation_lib.augment(clips, [noise], draws)
  want = np.broadcast_to(draws.volume[:, None] * (32767 / 32768), got.shape)
  np.testing.assert_allclose(got, want, rtol=1e-6)


def test_silence_is_treated_like_speech():
  draws = _draw(batch_size=100, background_frequency=1.0, recordings=1)
  noise = np.random.default_rng(0).integers(-999, 999, 20000, dtype=np.int16)
  got = augmentation_lib.augment(
    [np.zeros(16000, np.int16)] * 100, [noise], draws
  )
  assert got.any(axis=1).all()


@pytest.mark.parametrize(
  'setting',
  [
    {'time_shift_ms': math.inf},
    {'time_shift_ms': -1.0},
    {'attenuation_db': -1.0},
    {'attenuation_db': math.nan},
    {'resample': 1.0},
    {'resample': -0.1},
    {'resample': math.nan},
    {'background_frequency': 1.5},
    {'background_frequency': math.nan},
    {'background_volume': -0.1},
    {'time_masks_number': -1},
    {'time_mask_max_size': 2.5},
    {'frequency_masks_number': -1},
    {'frequency_mask_max_size': -1},
  ],
)
def test_bad_settings_are_named(setting):
  with pytest.raises(errors.UserError, match=next(iter(setting))):
    augmentation_lib.Augmentation(**setting)


def _features(batch=64):
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.standard_normal((batch, 98, 40)), jnp.float32)


def _hidden(seed=0, **settings):
  features = _features()
  out = augmentation_lib.spec_augment(
    features, jax.random.key(seed), augmentation_lib.Augmentation(**settings)
  )
  return np.asarray(out != features), np.asarray(out), features


def _longest_run(row):
  padded = np.concatenate([[0], row.astype(int), [0]])
  edges = np.flatnonzero(np.diff(padded))
  return max((edges[1::2] - edges[::2]).tolist(), default=0)


def test_masks_hold_the_mean_of_the_clip():
  hidden, out, features = _hidden()
  mean = np.broadcast_to(features.mean(axis=(1, 2), keepdims=True), out.shape)
  np.testing.assert_array_equal(out[hidden], mean[hidden])
  assert hidden.any()


def test_masks_are_whole_frames_and_bins_of_the_stated_sizes():
  hidden, _, _ = _hidden()
  frames, bins = hidden.all(axis=2), hidden.all(axis=1)
  np.testing.assert_array_equal(
    hidden, frames[:, :, None] | bins[:, None, :]
  )
  assert frames.sum(axis=1).max() <= 20
  assert bins.sum(axis=1).max() <= 10
  assert frames.any(axis=0).sum() > 90
  assert bins.any(axis=0).sum() > 36


def test_one_mask_reaches_its_largest_size_and_no_more():
  hidden, _, _ = _hidden(
    time_masks_number=1, time_mask_max_size=3, frequency_masks_number=0
  )
  runs = [_longest_run(row) for row in hidden.all(axis=2)]
  assert set(runs) == {0, 1, 2, 3}


def test_a_mask_longer_than_the_clip_is_cut():
  hidden, _, _ = _hidden(time_mask_max_size=1000, frequency_masks_number=0)
  assert hidden.shape == (64, 98, 40)


def test_no_masks_change_nothing():
  hidden, _, _ = _hidden(time_masks_number=0, frequency_masks_number=0)
  assert not hidden.any()


def test_spec_augment_is_jitted_and_follows_from_the_key():
  features = _features(8)
  jitted = jax.jit(functools.partial(
    augmentation_lib.spec_augment, augmentation=augmentation_lib.Augmentation()
  ))
  first = jitted(features, jax.random.key(0))
  np.testing.assert_array_equal(first, jitted(features, jax.random.key(0)))
  assert (first != jitted(features, jax.random.key(1))).any()
