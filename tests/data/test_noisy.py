import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import noisy
from tests import tiny


class Split(tiny.Split):
  background = (
    np.random.default_rng(0).integers(-900, 900, 40000).astype(np.int16),
    np.random.default_rng(1).integers(-90, 90, 16000).astype(np.int16),
  )


@pytest.mark.parametrize('snr_db', [20.0, 10.0, 0.0])
def test_the_ratio_is_that_of_the_powers(snr_db):
  clean, split = Split(6), noisy.NoisySource(Split(6), snr_db)
  assert len(split) == 6 and split.class_names == clean.class_names
  for i in range(6):
    clip = split[i]
    assert clip.audio.dtype == np.int16
    assert (clip.label, clip.name) == clean[i][1:]
    signal = clean[i].audio.astype(float)
    noise = clip.audio - signal
    ratio = 10 * np.log10(np.mean(signal**2) / np.mean(noise**2))
    assert abs(ratio - snr_db) < 0.02
    assert np.array_equal(split[i].audio, clip.audio)


def test_sums_are_clipped():
  audio = np.array([30000, -30000, 5], np.int16)
  noise = np.array([1, -1, 0], np.int16)
  assert noisy.mixed(audio, noise, 0.0).tolist() == [32767, -32768, 5]


def test_without_power_nothing_is_added():
  zeros, noise = np.zeros(4, np.int16), np.full(4, 100, np.int16)
  assert noisy.mixed(zeros, noise, 0.0).tolist() == [0, 0, 0, 0]
  assert noisy.mixed(noise, zeros, 0.0).tolist() == [100] * 4


def test_noise_is_needed():
  with pytest.raises(errors.UserError, match='_background_noise_'):
    noisy.NoisySource(tiny.Split(3), 0.0)
