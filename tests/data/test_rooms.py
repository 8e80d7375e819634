import numpy as np
import pytest

from bnn_jax.data import rooms


@pytest.mark.parametrize('slope', [0.0, 1.0, 2.0])
def test_noise_has_the_slope(slope):
  noise = rooms.coloured_noise(np.random.default_rng(0), 160000, slope)
  power = np.abs(np.fft.rfft(noise)) ** 2
  # Ten spectral lines a Hz; two octaves apart.
  ratio = np.mean(power[2000:4000]) / np.mean(power[8000:16000])
  assert np.log2(ratio) / 2 == pytest.approx(slope, abs=0.05)
  assert rooms.rms(noise) == pytest.approx(1.0, abs=1e-5)


def test_hum_is_harmonic():
  seconds = 10
  sound = rooms.hum(np.random.default_rng(0), seconds * 16000)
  power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
  strongest = np.sort(power)[::-1]
  # Eight harmonics, each three lines wide under a Hann window.
  assert strongest[:32].sum() > 0.999 * power.sum()
  assert 45 <= np.argmax(power) / seconds <= 8 * 130
  assert rooms.rms(sound) == pytest.approx(1.0, abs=1e-5)


def test_swell_stays_in_its_range():
  gains = rooms.swell(np.random.default_rng(0), 160000, 2.0)
  levels = 20 * np.log10(gains)
  assert levels.shape == (160000,)
  assert -9.0 <= levels.min() < -6.0
  assert 6.0 < levels.max() <= 9.001


def test_channel_is_a_direct_sound_with_a_decaying_tail():
  rng = np.random.default_rng(0)
  for _ in range(20):
    response = np.fft.irfft(rooms.transfer(rng, 24000), 24000)
    energy = np.square(response)
    assert energy.sum() > 0
    # The delay of the tail and its length bound where energy can be; the
    # smooth response of the microphone blurs both by some milliseconds.
    assert energy[8000:16000].sum() < 0.002 * energy.sum()
    assert np.argmax(energy) < 400


def test_channels_differ_and_repeat():
  first = rooms.transfer(np.random.default_rng(0), 24000)
  assert first.dtype == np.complex64
  assert first.shape == (12001,)
  again = rooms.transfer(np.random.default_rng(0), 24000)
  other = rooms.transfer(np.random.default_rng(1), 24000)
  assert first.tobytes() == again.tobytes() != other.tobytes()


def test_levels():
  np.testing.assert_array_equal(rooms.decibels(20.0), np.float32(10))
  assert rooms.decibels(-6.0206) == pytest.approx(0.5, abs=1e-5)
  assert rooms.rms(np.array([3.0, -4.0])) == pytest.approx(12.5**0.5)
  assert rooms.rms(np.zeros(4)) == np.float32(1e-6)
  assert rooms.rms(rooms.normalized(np.array([3.0, 1.0]))) == pytest.approx(1)
