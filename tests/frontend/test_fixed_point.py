import math
import subprocess
import sys

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax import features
from bnn_jax.frontend import fixed_point
from bnn_jax.frontend import tables
from tests.frontend import signals

FRONT_END = features.FrontEnd()
QUANTIZATION = features.Quantization(float(np.float32(-13.9)), -4)
TABLES = tables.make_tables(FRONT_END, QUANTIZATION)

FRONT_ENDS = [
  features.FrontEnd(sample_rate=8000, upper_hz=3800.0, mel_bins=20),
  features.FrontEnd(window_ms=32.0, hop_ms=20.0),
  features.FrontEnd(window_ms=60.0, mel_bins=64),
  features.FrontEnd(window_ms=100.0, hop_ms=50.0, log_floor=1e-9),
  features.FrontEnd(window_ms=2.0, mel_bins=6),
  features.FrontEnd(window_ms=4.0, mel_bins=8, lower_hz=0.0),
  features.FrontEnd(window_ms=12.0625, mel_bins=1, upper_hz=8000.0),
  features.FrontEnd(log_floor=1.0),
]


def _float_q(samples, front_end=FRONT_END, quantization=QUANTIZATION):
  waveform = samples.astype(np.float32) / 32768
  return features.quantize(
    features.extract(waveform, front_end), quantization
  ).astype(int)


def _scalar_log2(value, table):
  exponent = value.bit_length() - 1
  mantissa = value << 63 >> exponent
  segment = (mantissa >> 55) - 256
  fraction = mantissa >> 40 & 0x7FFF
  low, high = int(table[segment]), int(table[segment + 1])
  return exponent * 2**24 + low + ((high - low) * fraction >> 15)


def _scalar_transform(values, stages, length):
  """The stages on Python integers, one operand at a time."""
  x = [(int(r), int(i)) for r, i in values]
  joined = 1
  for stage in (None, *stages):
    radix = 4 if stage is None else stage.shape[1] + 1
    groups = length // (radix * joined)
    y = [(0, 0)] * length
    for c in range(groups):
      for k in range(joined):
        operands = []
        for j in range(radix):
          r, i = x[(c + j * groups) * joined + k]
          if j == 0 or stage is None:
            operands.append((r >> 2, i >> 2))
          else:
            cosine, sine = (int(w) for w in stage[:, j - 1, k])
            operands.append((
              r * cosine - i * sine >> 32, r * sine + i * cosine >> 32
            ))
        for t in range(radix):
          real = imag = 0
          for j, (r, i) in enumerate(operands):
            for _ in range(j * t * 4 // radix % 4):
              r, i = i, -r
            real, imag = real + r, imag + i
          y[(c * radix + t) * joined + k] = (real, imag)
    x, joined = y, joined * radix
  return x


def test_q_is_that_of_the_float_front_end_but_for_a_few_ties():
  samples = signals.speech_like(12)
  difference = np.abs(fixed_point.compute(samples, TABLES) - _float_q(samples))
  assert difference.max() == 1
  assert (difference == 0).mean() > 0.9995


def test_the_example_of_the_documentation():
  made = tables.make_tables(FRONT_END, features.Quantization(-13.5, -4))
  a = np.arange(480)
  frame = (37 * a**2 % 4001 - 2000).astype(np.int16)[None]
  assert frame[0, :5].tolist() == [-2000, -1963, -1852, -1667, -1408]
  shift = fixed_point.frame_shift(frame, made.most_shift)
  assert shift.tolist() == [[4]]
  power = fixed_point.spectrum(frame, shift, made)
  assert power[0, [1, 2, 128, 255]].tolist() == [
    11421646744, 135416759914, 489003752094, 91933553786
  ]
  mel = fixed_point.mel_power(power, made)
  assert mel[0, [0, 39]].tolist() == [9366858636745559, 155263133821134545]
  total = mel + np.uint64(made.floor << 8)
  logs = fixed_point.log2(total, made.log2)
  assert logs[0, [0, 39]].tolist() == [890140199, 958104721]
  q = fixed_point.compute(frame, made)[0, 0]
  assert q[[0, 1, 2, 3, 4, 39]].tolist() == [194, 209, 203, 195, 184, 239]


def test_silence_has_the_q_of_the_float_front_end():
  silence = np.zeros((1, 16000), np.int16)
  q = fixed_point.compute(silence, TABLES)
  assert (q == math.floor((math.log(1e-6) + 13.9) * 16)).all()
  assert (q == _float_q(silence)).all()


def test_silence_is_zero_where_it_sets_lo():
  lo = float(np.float32(np.log(np.float32(1e-6))))
  quiet = tables.make_tables(FRONT_END, features.Quantization(lo, -3))
  assert not fixed_point.compute(np.zeros((1, 480), np.int16), quiet).any()


@pytest.mark.parametrize('front_end', FRONT_ENDS)
def test_other_settings_agree_with_the_float_front_end(front_end):
  made = tables.make_tables(front_end, QUANTIZATION)
  samples = signals.speech_like(5, samples=4000)
  q = fixed_point.compute(samples, made)
  wanted = _float_q(samples, front_end)
  assert q.shape == wanted.shape
  assert np.abs(q - wanted).max() <= 1
  assert (q == wanted).mean() > 0.995


@pytest.mark.parametrize('bits', [1, 4, 8])
def test_q_fills_its_bits_and_no_more(bits):
  quantization = features.Quantization(-13.0, 3 - bits, bits)
  made = tables.make_tables(FRONT_END, quantization)
  samples = signals.speech_like(3)
  q = fixed_point.compute(samples, made)
  assert q.max() == 2**bits - 1 and q.min() == 0
  wanted = _float_q(samples, FRONT_END, quantization)
  assert (q == wanted).mean() > 0.995


@pytest.mark.parametrize('window_ms', [2.0, 4.0, 8.0, 16.0])
def test_stages_are_those_of_scalar_integers(window_ms):
  front_end = features.FrontEnd(window_ms=window_ms, mel_bins=5)
  made = tables.make_tables(front_end, QUANTIZATION)
  rng = np.random.default_rng(0)
  values = rng.integers(-(2**29), 2**29, (made.half, 2))
  real, imag = fixed_point.transform(
    values[None, :, 0], values[None, :, 1], made.stages
  )
  wanted = _scalar_transform(values, made.stages, made.half)
  assert list(zip(real[0].tolist(), imag[0].tolist(), strict=True)) == wanted


@pytest.mark.parametrize('window_ms', [30.0, 60.0, 128.0])
def test_power_is_that_of_the_exact_transform(window_ms):
  front_end = features.FrontEnd(window_ms=window_ms)
  made = tables.make_tables(front_end, QUANTIZATION)
  rng = np.random.default_rng(0)
  frame = rng.integers(-(2**15), 2**15, (1, len(made.window))).astype(np.int16)
  power = fixed_point.spectrum(frame, np.zeros((1, 1), np.int64), made)[0]
  windowed = frame[0] * (made.window / 2**30)
  exact = np.abs(np.fft.rfft(windowed, 2 * made.half)[:-1]) ** 2
  stages = 1 + len(made.stages)
  exact *= 4.0 ** (29 - 15 - 2 * stages - 1) / 2**8
  error = np.abs(power - exact)[1:]
  # An amplitude is wrong by a few units, before the shift of the power by 8.
  assert (error <= 1 + 2 * 16 * np.sqrt(exact[1:] / 2**8)).all()


def test_no_register_leaves_32_bits_at_full_scale(monkeypatch):
  seen = []
  join = fixed_point._join_four

  def watched(real, imag):
    result = join(real, imag)
    seen.append(max(np.abs(part).max() for part in (real, imag, *result)))
    return result

  monkeypatch.setattr(fixed_point, '_join_four', watched)
  fixed_point.compute(signals.extremes(), TABLES)
  assert max(seen) < 2**30


@given(st.integers(1, 2**64 - 1))
def test_log2_is_that_of_scalar_integers(value):
  got = fixed_point.log2(np.array([value], np.uint64), TABLES.log2)[0]
  assert got == _scalar_log2(value, TABLES.log2)
  assert abs(got / 2**24 - math.log2(value)) < 3e-6


def test_log2_of_powers_of_two_is_exact():
  powers = np.uint64(1) << np.arange(64, dtype=np.uint64)
  got = fixed_point.log2(powers, TABLES.log2)
  assert got.tolist() == [n << 24 for n in range(64)]


@given(st.integers(-(2**15), 2**15 - 1), st.integers(0, 14))
def test_a_frame_is_shifted_as_far_as_16_bits_allow(sample, most):
  frame = np.array([[0, sample, 0]], np.int16)
  shift = int(fixed_point.frame_shift(frame, most)[0, 0])
  assert 0 <= shift <= most
  assert -(2**15) <= sample << shift < 2**15
  assert shift == most or not -(2**15) <= sample << (shift + 1) < 2**15


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 15))
def test_a_frame_alone_is_the_frame_within_its_clip(seed, bits):
  rng = np.random.default_rng(seed)
  clip = rng.integers(-(2**bits), 2**bits, (1, 1100)).astype(np.int16)
  q = fixed_point.compute(clip, TABLES)
  assert q.shape == (1, 4, 40)
  for t in range(4):
    frame = clip[:, 160 * t : 160 * t + 480]
    assert (fixed_point.compute(frame, TABLES)[0, 0] == q[0, t]).all()


def test_an_empty_batch_has_no_q():
  empty = np.zeros((0, 16000), np.int16)
  assert fixed_point.compute(empty, TABLES).shape == (0, 98, 40)


@pytest.mark.parametrize(
  'samples, message',
  [
    (np.zeros((1, 480), np.float32), 'float32'),
    (np.zeros(480, np.int16), 'shape'),
    (np.zeros((1, 479), np.int16), '479 samples'),
  ],
)
def test_other_samples_are_refused(samples, message):
  with pytest.raises(errors.UserError, match=message):
    fixed_point.compute(samples, TABLES)


def test_the_computation_needs_numpy_alone():
  code = (
    "import sys; sys.modules['jax'] = None\n"
    'from bnn_jax.frontend import fixed_point'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
