import functools
import math

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import scipy.signal

from bnn_jax import errors
from bnn_jax import features


def _clips(count, samples=16000, seed=0):
  rng = np.random.default_rng(seed)
  time = np.arange(samples) / 16000
  tones = np.sin(2 * np.pi * rng.uniform(100, 7000, (count, 1)) * time)
  noise = rng.standard_normal((count, samples))
  audio = 0.3 * tones + 0.02 * noise
  audio[0] = 0.0
  return audio.astype(np.float32)


def _scipy_features(clips, front_end):
  """Frame by frame in float64, one triangle at a time."""
  window = scipy.signal.get_window('hann', 480, fftbins=True)
  edges = 700 * np.expm1(
    np.linspace(
      math.log1p(front_end.lower_hz / 700),
      math.log1p(front_end.upper_hz / 700),
      front_end.mel_bins + 2,
    )
  )
  log_mel = np.zeros((len(clips), 98, front_end.mel_bins))
  for b, clip in enumerate(clips.astype(np.float64)):
    for t in range(98):
      frame = clip[160 * t : 160 * t + 480] * window
      power = np.abs(scipy.fft.fft(frame, 512)) ** 2
      for f in range(front_end.mel_bins):
        total = 0.0
        for k in range(1, 257):
          hz = k * 31.25
          if edges[f] < hz < edges[f + 2]:
            total += power[k] * _triangle(hz, *edges[f : f + 3])
        log_mel[b, t, f] = math.log(total + 1e-6)
  if front_end.kind == 'log_mel':
    return log_mel
  dct = scipy.fft.dct(log_mel, type=2, norm='ortho', axis=-1)
  return dct[..., : front_end.coefficients]


def _triangle(hz, lower, centre, upper):
  mel, lower, centre, upper = np.log1p(
    np.array([hz, lower, centre, upper]) / 700
  )
  return min((mel - lower) / (centre - lower), (upper - mel) / (upper - centre))


@pytest.mark.parametrize(
  'front_end',
  [
    features.FrontEnd(),
    features.FrontEnd(kind='mfcc', coefficients=13),
  ],
  ids=['log_mel', 'mfcc'],
)
def test_extract_equals_scipy(front_end):
  clips = _clips(3)
  got = features.extract(jnp.asarray(clips), front_end)
  assert got.dtype == jnp.float32
  assert got.shape == (3, 98, front_end.bins)
  want = _scipy_features(clips, front_end)
  np.testing.assert_allclose(got, want, rtol=0, atol=5e-5)


@pytest.mark.parametrize(
  'power', [features.fft_power, features.matmul_power]
)
def test_power_equals_scipy(power):
  frames = _clips(4, samples=480)
  want = np.abs(scipy.fft.rfft(frames.astype(np.float64), 512)) ** 2
  got = power(jnp.asarray(frames), 512)
  np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


def test_silence_is_the_floor():
  got = features.extract(jnp.zeros((1, 16000)), features.FrontEnd())
  np.testing.assert_allclose(got, math.log(1e-6), rtol=1e-6)


def test_extract_is_the_same_in_any_batch_and_under_jit():
  clips = jnp.asarray(_clips(37))
  extract = jax.jit(functools.partial(
    features.extract, front_end=features.FrontEnd()
  ))
  whole = extract(clips)
  single = [extract(clips[i : i + 1])[0] for i in (0, 15, 16, 36)]
  np.testing.assert_allclose(whole[np.array([0, 15, 16, 36])], single,
                             rtol=0, atol=2e-4)


def test_frame_shift_is_a_feature_shift():
  clips = _clips(2, samples=16160)
  first = features.extract(jnp.asarray(clips[:, :16000]), features.FrontEnd())
  later = features.extract(jnp.asarray(clips[:, 160:]), features.FrontEnd())
  np.testing.assert_allclose(first[:, 1:], later[:, :-1], rtol=0, atol=2e-4)


def test_extract_has_finite_gradients():
  clips = jnp.asarray(_clips(2))
  grads = jax.grad(
    lambda x: features.extract(x, features.FrontEnd()).sum()
  )(clips)
  assert jnp.isfinite(grads).all()
  assert jnp.abs(grads[1]).max() > 0


def test_geometry():
  front_end = features.FrontEnd()
  assert front_end.window_samples == 480
  assert front_end.hop_samples == 160
  assert front_end.fft_size == 512
  assert front_end.frames(16000) == 98
  assert front_end.frames(480) == 1
  assert front_end.bins == 40
  assert features.FrontEnd(kind='mfcc', coefficients=10).bins == 10
  assert features.FrontEnd(window_ms=32.0).fft_size == 512
  with pytest.raises(errors.UserError, match='shorter than the window'):
    front_end.frames(479)


def test_hann_window_is_periodic():
  window = features.hann_window(480)
  np.testing.assert_allclose(window[:240] + window[240:], 1.0, atol=1e-6)
  assert window[0] == 0.0
  assert window[240] == 1.0


def test_mel_triangles_sum_to_one_between_the_outer_centres():
  sums = features.mel_matrix(features.FrontEnd(lower_hz=0.0)).sum(axis=1)
  np.testing.assert_allclose(sums[2:225], 1.0, atol=1e-12)
  assert sums[0] == 0.0
  assert (sums[244:] == 0.0).all()


def test_dct_is_orthonormal():
  matrix = features.dct_matrix(features.FrontEnd(kind='mfcc'))
  np.testing.assert_allclose(matrix.T @ matrix, np.eye(40), atol=1e-6)


@pytest.mark.parametrize(
  'setting, word',
  [
    ({'kind': 'mel'}, 'kind'),
    ({'mel_bins': 0}, 'mel_bins'),
    ({'mel_bins': 200}, 'without a frequency'),
    ({'window_ms': math.nan}, 'window_ms'),
    ({'hop_ms': 0.001}, 'hop_ms'),
    ({'upper_hz': 9000.0}, 'upper_hz'),
    ({'lower_hz': -1.0}, 'lower_hz'),
    ({'lower_hz': 8000.0}, 'lower_hz'),
    ({'kind': 'mfcc', 'coefficients': 41}, 'coefficients'),
    ({'log_floor': 0.0}, 'log_floor'),
    ({'sample_rate': 16000.5}, 'sample_rate'),
  ],
)
def test_bad_settings_are_named(setting, word):
  with pytest.raises(errors.UserError, match=word):
    features.FrontEnd(**setting)


def test_quantize_literal():
  quantization = features.Quantization(lo=-1.5, exponent=-2)
  x = jnp.array([[[-9.0, -1.5, -1.26, -1.25, 0.0, 62.24, 62.25, 99.0]]])
  q = features.quantize(x, quantization)
  assert q.dtype == jnp.uint8
  assert q.tolist() == [[[0, 0, 0, 1, 6, 254, 255, 255]]]
  coarse = features.Quantization(lo=-1.5, exponent=1, bits=2)
  assert features.quantize(x, coarse).tolist() == [[[0, 0, 0, 0, 0, 3, 3, 3]]]


@settings(max_examples=50, deadline=None)
@given(
  x=st.lists(st.floats(-40, 40, width=32), min_size=1, max_size=20),
  lo=st.floats(-40, 40, width=32),
  exponent=st.integers(-12, 6),
  bits=st.integers(1, 8),
)
def test_quantize_equals_numpy(x, lo, exponent, bits):
  x = np.asarray(x, np.float32)
  got = features.quantize(x, features.Quantization(lo, exponent, bits))
  want = np.floor(np.ldexp(x - np.float32(lo), -exponent))
  np.testing.assert_array_equal(got, np.clip(want, 0, 2**bits - 1))


@settings(max_examples=50, deadline=None)
@given(
  seed=st.integers(0, 1000),
  scale=st.floats(1e-3, 1e3),
  bits=st.integers(1, 8),
)
def test_fit_uses_the_smallest_exponent_that_fits(seed, scale, bits):
  x = np.random.default_rng(seed).normal(3.0, scale, 5000).astype(np.float32)
  fitted = features.fit_quantization(x, bits)
  hi = np.quantile(x, 0.999).astype(np.float32)
  spread = float(hi - np.float32(fitted.lo))
  assert np.mean(x < fitted.lo) == pytest.approx(0.001, abs=2e-4)
  assert math.floor(spread * 2.0**-fitted.exponent) <= 2**bits - 1
  assert math.floor(spread * 2.0 ** (1 - fitted.exponent)) > 2**bits - 1


def test_fit_at_an_exact_power_of_two():
  x = np.repeat(np.array([0.0, 4.0], np.float32), 1000)
  assert features.fit_quantization(x) == features.Quantization(0.0, -5)


@pytest.mark.parametrize(
  'x', [np.zeros(0), np.ones(10), np.array([0.0, np.nan])]
)
def test_fit_refuses_what_has_no_range(x):
  with pytest.raises(errors.UserError, match='features to fit'):
    features.fit_quantization(x)


@pytest.mark.parametrize(
  'values',
  [(0.1, 0, 8), (math.nan, 0, 8), (0.0, 200, 8), (0.0, 0, 9), (0.0, 0, 0)],
)
def test_quantization_refuses(values):
  with pytest.raises(errors.UserError):
    features.Quantization(*values)


def test_thermometer_levels_are_even_steps_of_loudness():
  # The 1 % quantile is 2 and the 99.5 % quantile 199, of 0, 1, ..., 200.
  q = np.arange(201, dtype=np.uint8).reshape(1, 201, 1)
  levels = features.thermometer_levels(q, 3)
  assert levels.dtype == np.int32
  assert levels.tolist() == [[51, 101, 150]]


def test_thermometer_levels_of_degenerate_bins():
  q = np.zeros((2, 4, 3), np.uint8)
  q[..., 1] = 255
  q[..., 2] = 100
  assert features.thermometer_levels(q, 3).tolist() == [
    [1, 2, 3], [253, 254, 255], [100, 101, 102]
  ]


@settings(max_examples=30, deadline=None)
@given(
  seed=st.integers(0, 1000),
  levels=st.integers(1, 15),
  spread=st.floats(0, 60),
)
def test_thermometer_levels_ascend_strictly(seed, levels, spread):
  rng = np.random.default_rng(seed)
  q = np.clip(rng.normal(8.0, spread, (3, 20, 5)), 0, 15).astype(np.uint8)
  rows = features.thermometer_levels(q, levels, bits=4)
  assert rows.shape == (5, levels)
  assert (np.diff(rows, axis=1) > 0).all()
  assert rows.min() >= 1
  assert rows.max() <= 15


def test_thermometer_levels_leave_out_the_noise_floor():
  q = np.full((1, 1000, 1), 30, np.uint8)
  q[0, 700:, 0] = np.linspace(30, 230, 300)
  levels = features.thermometer_levels(q, 4)[0]
  assert levels[0] > 60
  np.testing.assert_allclose(np.diff(levels), np.diff(levels)[0], atol=1)


@pytest.mark.parametrize(
  'q, levels, bits',
  [
    (np.zeros((1, 2, 3), np.uint8), 0, 8),
    (np.zeros((1, 2, 3), np.uint8), 4, 2),
    (np.full((1, 2, 3), 9, np.uint8), 2, 3),
    (np.zeros((0, 2, 3), np.uint8), 2, 3),
  ],
)
def test_thermometer_levels_refuse(q, levels, bits):
  with pytest.raises(errors.UserError):
    features.thermometer_levels(q, levels, bits)
