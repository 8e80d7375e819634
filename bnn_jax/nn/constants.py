"""Deployed constants, made once, in float64, from what training learned.

Evaluation, export and every engine take these integers as data, so that no
two of them can round differently. `docs/arithmetic.md`, sections 6 to 8.
"""

import numpy as np

from bnn_jax.nn import integer

BIAS_MIN, BIAS_MAX = -(2**15), 2**15 - 1
CLASSIFIER_BIAS_BITS = 24
PRELU_SHIFT_MAX = 7


def round_half_up(x: np.ndarray) -> np.ndarray:
  """floor(x + 1/2) in float64."""
  return np.floor(np.asarray(x, np.float64) + 0.5)


def nearest_exponent(v: np.ndarray) -> np.ndarray:
  """The E of the power of two nearest to v > 0 in logarithm.

  (m, E') = frexp(v); E = E' where m >= sqrt(1/2), else E' - 1.
  """
  mantissa, exponent = np.frexp(np.asarray(v, np.float64))
  return np.where(mantissa >= np.sqrt(0.5), exponent, exponent - 1)


def shift_batch_norm_constants(
  log2_gamma: np.ndarray,
  beta: np.ndarray,
  mean: np.ndarray,
  rstd: np.ndarray,
  fraction_bits: int,
  variant: str = 'fused',
) -> tuple[np.ndarray, np.ndarray]:
  """Shift and bias of a shift-based batch normalization.

  Args:
    log2_gamma: `[C]` log2 of the scale's magnitude.
    beta: `[C]` offset, in units of the stream's value.
    mean: `[C]` running mean of the accumulator's results.
    rstd: `[C]` their running 1 / standard deviation.
    fraction_bits: F of the stream.
    variant: 'fused' rounds gamma * rstd to one power of two; 'two_ap2' rounds
      each (Hubara et al. 2016).

  Returns:
    (shift in [-8, 7], bias of 16 bits), int32 `[C]` each.
  """
  log2_gamma, beta, mean, rstd = (
    np.asarray(v, np.float64) for v in (log2_gamma, beta, mean, rstd)
  )
  with np.errstate(over='ignore', invalid='ignore'):
    gamma = np.exp2(log2_gamma)
    v = gamma * rstd
    usable = np.isfinite(v) & (v > 0)
    if variant == 'fused':
      exponent = nearest_exponent(np.where(usable, v, 1.0))
    else:
      exponent = nearest_exponent(
        np.where(usable, gamma, 1.0)
      ) + nearest_exponent(np.where(usable, rstd, 1.0))
  shift = np.clip(
    exponent + fraction_bits, integer.SHIFT_MIN, integer.SHIFT_MAX
  )
  shift = np.where(usable, shift, integer.SHIFT_MIN)
  bias = round_half_up(
    np.ldexp(beta, fraction_bits) - np.ldexp(mean, shift.astype(int))
  )
  bias = np.clip(bias, BIAS_MIN, BIAS_MAX)
  return shift.astype(np.int32), bias.astype(np.int32)


def rsign_threshold(
  theta: np.ndarray, bits: int, fraction_bits: int
) -> np.ndarray:
  """Integer threshold `[C]`; 2^(bits - 1) means always -1."""
  t = np.ceil(np.ldexp(np.asarray(theta, np.float64), fraction_bits))
  return np.clip(t, -(2 ** (bits - 1)), 2 ** (bits - 1)).astype(np.int32)


def stream_integer(
  value: np.ndarray, bits: int, fraction_bits: int
) -> np.ndarray:
  """A real value `[C]` rounded into a stream's format."""
  v = round_half_up(np.ldexp(np.asarray(value, np.float64), fraction_bits))
  return np.clip(v, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(np.int32)


def prelu_constants(
  log2_slope: np.ndarray,
  before: np.ndarray,
  after: np.ndarray,
  bits: int,
  fraction_bits: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Shift k and the two offsets of a ShiftPReLU.

  Args:
    log2_slope: `[C]` log2 of the slope left of the kink.
    before: `[C]` offset before it, in units of the stream's value.
    after: `[C]` offset behind it, likewise.
    bits: R of the stream.
    fraction_bits: F of the stream.

  Returns:
    (k in [0, 7], g, h), int32 `[C]` each.
  """
  k = round_half_up(-np.asarray(log2_slope, np.float64))
  return (
    np.clip(k, 0, PRELU_SHIFT_MAX).astype(np.int32),
    stream_integer(before, bits, fraction_bits),
    stream_integer(after, bits, fraction_bits),
  )


def classifier_bias(bias: np.ndarray) -> np.ndarray:
  """Bias `[N]`, in units of the integer logits, as 24-bit integers."""
  limit = 2 ** (CLASSIFIER_BIAS_BITS - 1)
  return np.clip(round_half_up(bias), -limit, limit - 1).astype(np.int32)
