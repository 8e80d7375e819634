import re

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax import features
from bnn_jax.frontend import tables

FRONT_END = features.FrontEnd()
QUANTIZATION = features.Quantization(-13.5, -4)


def _make(front_end=FRONT_END, quantization=QUANTIZATION):
  return tables.make_tables(front_end, quantization)


def _dense_mel(made):
  """The weights as a matrix, in units of 2^-15."""
  matrix = np.zeros((made.half, made.mel_bins + 2), int)
  for g in range(made.mel_bins + 1):
    for k in range(made.mel_starts[g], made.mel_starts[g + 1]):
      matrix[k, g + 1] += made.mel_rise[k]
      matrix[k, g] += 2**15 - made.mel_rise[k]
  return matrix[:, 1:-1]


def test_constants_are_these():
  made = _make()
  assert made.floor == round(1e-6 * 2**47) == 140737488
  assert made.most_shift == 14
  assert made.slope == 11629080
  assert made.offset == round(-13.5 * 2**48) + 47 * 11629080 * 2**24
  assert (made.shift, made.largest, made.hop) == (44, 255, 160)


def test_weights_are_these():
  made = _make()
  assert made.window[[0, 120, 240, 360]].tolist() == [0, 2**29, 2**30, 2**29]
  assert made.window[1:].tolist() == made.window[:0:-1].tolist()
  assert [stage.shape for stage in made.stages] == [
    (2, 3, 4), (2, 3, 16), (2, 3, 64)
  ]
  # The eighth root of 1.
  assert made.stages[0][:, 0, 2].tolist() == [759250125, -759250125]
  assert made.split[:, -1].tolist() == [0, -(2**30)]
  assert made.log2[[0, 128, 256]].tolist() == [0, 9814042, 2**24]


def test_a_size_that_is_no_power_of_four_ends_with_a_stage_of_two():
  made = _make(features.FrontEnd(window_ms=60.0))
  assert [stage.shape for stage in made.stages] == [
    (2, 3, 4), (2, 3, 16), (2, 3, 64), (2, 1, 256)
  ]


@pytest.mark.parametrize(
  'front_end',
  [
    FRONT_END,
    features.FrontEnd(mel_bins=1),
    features.FrontEnd(mel_bins=2, upper_hz=8000.0),
    features.FrontEnd(lower_hz=0.0, window_ms=60.0, mel_bins=80),
    features.FrontEnd(lower_hz=300.0, upper_hz=3400.0, mel_bins=23),
  ],
)
def test_mel_weights_are_the_triangles_rounded(front_end):
  made = _make(front_end)
  wanted = features.mel_matrix(front_end)[: made.half] * 2**15
  assert np.abs(_dense_mel(made) - wanted).max() <= 0.5 + 1e-6


@pytest.mark.parametrize('log_floor', [1e-11, 1e-6, 1e-2, 1.0, 1000.0])
def test_a_shifted_floor_fits_61_bits(log_floor):
  made = _make(features.FrontEnd(log_floor=log_floor))
  assert 256 <= made.floor << 2 * made.most_shift < 2**61
  assert 0 <= made.most_shift <= 14


@pytest.mark.parametrize(
  'front_end, quantization, message',
  [
    (features.FrontEnd(kind='mfcc'), QUANTIZATION, "choose 'log_mel'"),
    (features.FrontEnd(window_ms=150.0), QUANTIZATION, '4096 points'),
    (features.FrontEnd(window_ms=1.0, mel_bins=2), QUANTIZATION, '16 points'),
    (features.FrontEnd(log_floor=1e-13), QUANTIZATION, 'log_floor=1e-13'),
    (features.FrontEnd(log_floor=1e6), QUANTIZATION, 'log_floor=1000000.0'),
    (FRONT_END, features.Quantization(4096.0, 0), 'lo=4096.0'),
    (FRONT_END, features.Quantization(0.0, -49), 'exponent=-49'),
    (FRONT_END, features.Quantization(0.0, 15), 'exponent=15'),
  ],
)
def test_settings_out_of_range_are_refused(front_end, quantization, message):
  with pytest.raises(errors.UserError, match=re.escape(message)):
    _make(front_end, quantization)
