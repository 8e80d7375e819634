import math

import numpy as np
import pytest

from bnn_jax.nn import constants


def norm(log2_gamma, beta, mean, rstd, variant='fused', fraction=4):
  shift, bias = constants.shift_batch_norm_constants(
    np.array([log2_gamma]), np.array([beta]), np.array([mean]),
    np.array([rstd]), fraction, variant,
  )
  assert shift.dtype == bias.dtype == np.int32
  return int(shift[0]), int(bias[0])


@pytest.mark.parametrize('v, exponent', [
  (1.0, 0), (2.0, 1), (0.5, -1), (1.4142, 0), (1.4143, 1), (0.7071, -1),
  (0.7072, 0), (3.0, 2), (2.0**-40, -40),
])
def test_nearest_exponent(v, exponent):
  assert int(constants.nearest_exponent(np.array(v))) == exponent


def test_shift_and_bias():
  # v = 1/4: s = -2 + 4, b = floor(16 * 0.5 - 3 * 4 + 1/2).
  assert norm(0.0, 0.5, 3.0, 0.25) == (2, -4)
  # Halves are rounded up: 16 * 1/32 = 1/2, and -1/2 becomes 0.
  assert norm(0.0, 1 / 32, 0.0, 1.0) == (4, 1)
  assert norm(0.0, -1 / 32, 0.0, 1.0) == (4, 0)


@pytest.mark.parametrize('log2_gamma, rstd', [
  (-np.inf, 1.0), (0.0, 0.0), (np.nan, 1.0), (0.0, np.inf), (0.0, np.nan),
  (2000.0, 1.0), (-2000.0, 1.0),
])
@pytest.mark.parametrize('variant', ['fused', 'two_ap2'])
def test_scale_of_zero_or_none(log2_gamma, rstd, variant):
  assert norm(log2_gamma, 0.5, 256.0, rstd, variant) == (-8, 7)


def test_shift_is_clipped():
  assert norm(20.0, 0.0, 0.0, 1.0)[0] == 7
  assert norm(-20.0, 0.0, 0.0, 1.0)[0] == -8
  assert norm(3.0, 0.0, 0.0, 1.0)[0] == 7
  assert norm(-12.0, 0.0, 0.0, 1.0)[0] == -8


def test_bias_is_clipped():
  assert norm(0.0, 5000.0, 0.0, 1.0)[1] == 2**15 - 1
  assert norm(0.0, -5000.0, 0.0, 1.0)[1] == -(2**15)


def test_two_ap2_rounds_each_factor():
  # log2 0.4 + 0.4: each rounds to 0, their sum to 1.
  factor = 2**0.4
  assert norm(0.4, 0.0, 0.0, factor, 'fused')[0] == 5
  assert norm(0.4, 0.0, 0.0, factor, 'two_ap2')[0] == 4
  assert norm(0.6, 0.0, 0.0, 2**0.6, 'fused')[0] == 5
  assert norm(0.6, 0.0, 0.0, 2**0.6, 'two_ap2')[0] == 6


@pytest.mark.parametrize('theta, threshold', [
  (0.0, 0), (1 / 16, 1), (0.01, 1), (-0.01, 0), (8.0, 128), (9.0, 128),
  (-8.0, -128), (-9.0, -128),
])
def test_rsign_threshold(theta, threshold):
  assert constants.rsign_threshold(np.array([theta]), 8, 4)[0] == threshold


@pytest.mark.parametrize('log2_slope, k', [
  (0.0, 0), (-2.0, 2), (1.0, 0), (-7.0, 7), (-9.0, 7), (-math.inf, 7),
  # Halves take the longer shift.
  (-1.5, 2), (-1.49, 1), (-0.5, 1), (-0.49, 0), (math.inf, 0),
])
def test_prelu_constants(log2_slope, k):
  found = constants.prelu_constants(
    np.array([log2_slope]), np.array([0.5]), np.array([-9.0]), 8, 4
  )
  assert [int(v[0]) for v in found] == [k, 8, -128]


def test_stream_integer():
  values = np.array([0.03125, -0.03125, 7.99, -8.5, 1.0])
  assert constants.stream_integer(values, 8, 4).tolist() == [
    1, 0, 127, -128, 16,
  ]


def test_classifier_bias():
  assert constants.classifier_bias(np.array([0.5, -0.5, 1e9, -1e9])).tolist() \
    == [1, 0, 2**23 - 1, -(2**23)]
