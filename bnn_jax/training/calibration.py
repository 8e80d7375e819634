"""Searches for the integers that bring a narrow network to its exact one.

Each function looks at what one layer of the narrow network computes and what
the same network computes with registers that never overflow, for the same
clips, and gives integers for each channel. A channel keeps its present ones
where no others are better. All is computed on integers, so that a search gives
the same wherever it runs.

Shape letters: n samples (positions of clips), C channels, N classes.
"""

import numpy as np

from bnn_jax.nn import constants
from bnn_jax.nn import integer

# Biases tried on either side of the best one so far.
_NEIGHBOURS = 4
# Elements of the largest table that a search for preloads makes.
_TABLE = 2**22


def preload(
  sums: np.ndarray, before: np.ndarray, *, bits: int, overflow_mode: str
) -> np.ndarray:
  """Where registers should start.

  The best start p has the least squared error of R(a + p) - p against a. Of a
  register that saturates the rule is taken once, at the end of the sum.

  Args:
    sums: exact ones from the start 0, in units of the register, int `[n, C]`.
    before: the present starts `[C]`, inside the range.
    bits: P of the register.
    overflow_mode: its rule R, 'wrap' or 'saturate'.

  Returns:
    int32 `[C]`; of equally good starts the nearest to the present one.
  """
  low = int(sums.min())
  counts = _counts(sums, low).astype(np.float64)
  values = low + np.arange(counts.shape[1])
  starts = np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1))
  rows = max(1, _TABLE // len(values))
  costs = [
    _overflow_error(values + some[:, None], bits, overflow_mode) @ counts.T
    for some in np.array_split(starts, -(-len(starts) // rows))
  ]
  return _best(np.concatenate(costs), starts, before)


def _overflow_error(
  total: np.ndarray, bits: int, overflow_mode: str
) -> np.ndarray:
  """(R(v) - v)^2, float64, whose sums are exact below 2^53."""
  half = 2 ** (bits - 1)
  if overflow_mode == 'wrap':
    error = ((total + half) >> bits) << bits
  else:
    error = total - np.clip(total, -half, half - 1)
  return np.square(error).astype(np.float64)


def moved_bias(
  bias: np.ndarray, shift: np.ndarray, change: np.ndarray
) -> np.ndarray:
  """The bias of a normalization that takes a change of its sums out again.

  Args:
    bias: b `[C]`.
    shift: s `[C]`.
    change: what is added to each sum `[C]`.

  Returns:
    int32 `[C]`: b - floor(change * 2^s + 1/2), clipped to its width.
  """
  right = np.maximum(-shift, 0)
  scaled = (change << np.maximum(shift, 0)) + ((1 << right) >> 1)
  moved = np.asarray(bias) - (scaled >> right)
  return np.clip(moved, constants.BIAS_MIN, constants.BIAS_MAX).astype(np.int32)


def normalization(
  sums: np.ndarray,
  wanted: np.ndarray,
  shift: np.ndarray,
  bias: np.ndarray,
  *,
  bits: int,
) -> tuple[np.ndarray, np.ndarray]:
  """Shift and bias of the normalization behind a register.

  They make the mean squared error of sat_R(shift(a, s) + b) against the wanted
  output small. Tried are the present shift and its neighbours, each with the
  rounded mean of the difference as b, and from there and from the present b on
  what is better nearby, as the mean does not know of sat_R.

  Args:
    sums: what the register gives, int `[n, C]`.
    wanted: output of the exact network, int `[n, C]`.
    shift: the present s `[C]`.
    bias: the present b `[C]`.
    bits: R of the stream.

  Returns:
    (shift, bias), int32 `[C]` each.
  """
  found = [
    _of_channel(a, y, int(s), int(b), bits)
    for a, y, s, b in zip(sums.T, wanted.T, shift, bias, strict=True)
  ]
  shifts, biases = np.array(found, np.int32).T
  return shifts, biases


def _of_channel(
  sums: np.ndarray, wanted: np.ndarray, shift: int, bias: int, bits: int
) -> tuple[int, int]:
  """(shift, bias) of one channel, from `[n]` sums and wanted outputs."""
  values, places = np.unique(sums, return_inverse=True)
  values = values.astype(np.int64)
  counts = np.bincount(places)
  # Sums of integers far below 2^53, and so exact.
  totals = np.bincount(places, wanted).astype(np.int64)

  def costs_of(s: int, b: np.ndarray) -> np.ndarray:
    """Squared errors of biases, less what is the same for all constants."""
    y = _shifted(values, s)[:, None] + b
    y = np.clip(y, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return counts @ np.square(y) - 2 * totals @ y

  def descended(s: int, start: int) -> tuple[int, int, int, int]:
    cost, b = _descend(lambda b: costs_of(s, b), start)
    return cost, 1 + abs(s - shift), s, b

  # Of equally good ones the present, or else those of the nearest shift.
  best = min(
    (int(costs_of(shift, np.array([bias]))[0]), 0, shift, bias),
    descended(shift, bias),
  )
  for s in (shift, shift - 1, shift + 1):
    if integer.SHIFT_MIN <= s <= integer.SHIFT_MAX:
      difference = int(totals.sum() - counts @ _shifted(values, s))
      best = min(best, descended(s, _rounded_mean(difference, len(sums))))
  return best[2:]


def _shifted(values: np.ndarray, s: int) -> np.ndarray:
  """shift(a, s) of integers."""
  return values << s if s >= 0 else values >> -s


def _descend(costs_of, start: int) -> tuple[int, int]:
  """(cost, bias) that no bias nearby is better than."""
  middle = int(np.clip(start, constants.BIAS_MIN, constants.BIAS_MAX))
  while True:
    near = np.arange(middle - _NEIGHBOURS, middle + _NEIGHBOURS + 1)
    near = near[(constants.BIAS_MIN <= near) & (near <= constants.BIAS_MAX)]
    costs = costs_of(near)
    if costs.min() == costs[near == middle]:
      return int(costs.min()), middle
    middle = int(near[costs.argmin()])


def threshold(
  values: np.ndarray, wanted: np.ndarray, before: np.ndarray
) -> np.ndarray:
  """Thresholds of signs.

  Args:
    values: integers of the stream that are compared, `[n, C]`.
    wanted: bits of the exact network, bool `[n, C]`.
    before: the present thresholds `[C]`.

  Returns:
    int32 `[C]`, with which the fewest bits differ; of equally good ones the
    nearest to the present one.
  """
  low = int(values.min())
  size = int(values.max()) - low + 1
  # One row for each threshold from the least value to beyond the largest.
  below = np.zeros((2, size + 1, values.shape[1]), np.int64)
  for counts, bit in zip(below, (True, False), strict=True):
    chosen = _counts(values, low, wanted == bit)
    counts[1:] = np.cumsum(chosen, axis=1).T
  costs = below[0] + (below[1, -1] - below[1])
  # Beyond either end a threshold acts as at the end.
  acting = np.clip(before, low, low + size)
  found = _best(costs, low + np.arange(size + 1), acting)
  return np.where(found == acting, before, found).astype(np.int32)


def classifier_bias(
  logits: np.ndarray, wanted: np.ndarray, before: np.ndarray
) -> np.ndarray:
  """Biases that give integer logits the mean of the exact network's.

  Args:
    logits: of the narrow network, int `[n, N]`.
    wanted: of the exact one `[n, N]`.
    before: the present biases `[N]`.

  Returns:
    int32 `[N]`.
  """
  difference = wanted.astype(np.int64).sum(0) - logits.astype(np.int64).sum(0)
  return constants.classifier_bias(
    before + _rounded_mean(difference, len(logits))
  )


def _rounded_mean(total, count: int):
  """floor(total / count + 1/2) of integers."""
  return (2 * total + count) // (2 * count)


def _counts(
  values: np.ndarray, low: int, chosen: np.ndarray | None = None
) -> np.ndarray:
  """How often each integer from `low` on occurs in each channel, `[C, size]`.

  With `chosen`, bool `[n, C]`, these values alone count.
  """
  channels = values.shape[1]
  size = int(values.max()) - low + 1
  cells = values.astype(np.int64) - low + size * np.arange(channels)
  if chosen is not None:
    cells = cells[chosen]
  counts = np.bincount(cells.ravel(), minlength=channels * size)
  return counts.reshape(channels, size)


def _best(
  costs: np.ndarray, candidates: np.ndarray, before: np.ndarray
) -> np.ndarray:
  """The candidate of least cost `[M, C]`, of several the nearest to `before`.

  Of two as near it is the lower one.
  """
  distance = np.abs(candidates[:, None] - before).astype(np.float64)
  distance[costs > costs.min(0)] = np.inf
  return candidates[distance.argmin(0)].astype(np.int32)
