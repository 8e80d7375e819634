"""Sections 6, 7 and 8 of the contract in plain Python integers.

The constants are float64, evaluated left to right; everything else is `int`.
As in `oracle`, a rule that a wrong machine could break is a function.
"""

import math
from typing import Any

from tests.contract import oracle

# Section 6: shift-based batch normalization.


def shift(a: int, s: int) -> int:
  """Shifts: a * 2^s, rounded towards minus infinity (`>>` is arithmetic)."""
  return a << s if s >= 0 else a >> -s


def saturate(v: int, bits: int) -> int:
  return oracle.clip(v, oracle.minimum(bits), oracle.maximum(bits))


def shift_batch_norm(a: int, s: int, b: int, bits: int) -> int:
  return saturate(shift(a, s) + b, bits)


def ap2_exponent(v: float) -> int:
  """E of the power of two nearest to v > 0 in the logarithm."""
  m, e = math.frexp(v)
  return e if m >= math.sqrt(0.5) else e - 1


def shift_batch_norm_constants(
    log2_gamma: float, beta: float, mean: float, rstd: float,
    fraction_bits: int,
) -> tuple[int, int]:
  """The integers (s, b) of one channel, in float64, left to right."""
  v = 2.0**log2_gamma * rstd
  if v == 0 or not math.isfinite(v):
    s = -8
  else:
    s = oracle.clip(ap2_exponent(v) + fraction_bits, -8, 7)
  real = math.ldexp(beta, fraction_bits) - math.ldexp(mean, s)
  return s, oracle.clip(math.floor(real + 0.5), -(2**15), 2**15 - 1)


# Section 7: activations.


def rsign(r: int, theta: int) -> int:
  return 1 if r >= theta else -1


def rsign_threshold(theta: float, bits: int, fraction_bits: int) -> int:
  """One more value than the stream has: 2^(R-1) means always -1."""
  scaled = math.ceil(math.ldexp(theta, fraction_bits))
  return oracle.clip(scaled, oracle.minimum(bits), oracle.maximum(bits) + 1)


def shift_prelu(y: int, k: int, g: int, h: int, bits: int) -> int:
  z = y - g
  return saturate((z if z >= 0 else z >> k) + h, bits)


def prelu_constants(
    log2_slope: float, before: float, after: float, bits: int,
    fraction_bits: int,
) -> tuple[int, int, int]:
  """The integers (k, g, h)."""
  k = oracle.clip(math.floor(-log2_slope + 0.5), 0, 7)

  def rounded(real: float) -> int:
    scaled = math.floor(math.ldexp(real, fraction_bits) + 0.5)
    return saturate(scaled, bits)

  return k, rounded(before), rounded(after)


# Section 8: input.


def quantize(x: float, low: float, exponent: int, bits: int = 8) -> int:
  return oracle.clip(math.floor(math.ldexp(x - low, -exponent)), 0, 2**bits - 1)


def thermometer(q: Any, thresholds: Any, two_d: bool) -> Any:
  """Takes q [T, F], thresholds [F, H] ascending -> [T, F * H] or [T, F, H]."""
  bits = [
      [
          [oracle.sign(int(frame[f]) - int(theta)) for theta in thresholds[f]]
          for f in range(len(frame))
      ]
      for frame in q
  ]
  if two_d:
    return bits
  return [[bit for column in frame for bit in column] for frame in bits]
