import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import integer
from bnn_jax.training import calibration

MODES = ('wrap', 'saturate')
few = hypothesis.settings(max_examples=40, deadline=None)


def columns(low, high, channels=2, least=1):
  """Samples `[n, channels]` of integers."""
  row = st.lists(
    st.integers(low, high), min_size=channels, max_size=channels
  )
  return st.lists(row, min_size=least, max_size=12).map(np.array)


def register(value, bits, mode):
  """R of one Python integer."""
  half = 2 ** (bits - 1)
  if mode == 'wrap':
    return (value + half) % 2**bits - half
  return min(max(value, -half), half - 1)


@few
@hypothesis.given(
  sums=columns(-40, 40), bits=st.integers(2, 5), mode=st.sampled_from(MODES),
  before=st.lists(st.integers(-2, 1), min_size=2, max_size=2),
)
def test_preload_is_that_of_a_search_by_hand(sums, bits, mode, before):
  found = calibration.preload(
    sums, np.array(before), bits=bits, overflow_mode=mode
  )
  for channel, p in enumerate(found):
    costs = {
      start: sum(
        (register(int(a) + start, bits, mode) - start - int(a)) ** 2
        for a in sums[:, channel]
      ) for start in range(-(2 ** (bits - 1)), 2 ** (bits - 1))
    }
    best = [s for s, cost in costs.items() if cost == min(costs.values())]
    assert p == min(best, key=lambda s: (abs(s - before[channel]), s))


@pytest.mark.parametrize('mode', MODES)
def test_preload_models_the_register(mode):
  """`_overflow_error` holds for every value around the range."""
  accumulator = accumulator_lib.Accumulator(4, mode)
  values = np.arange(-50, 50, dtype=np.int32)
  held = np.asarray(accumulator.register(values))
  errors = calibration._overflow_error(values, 4, mode)
  assert np.array_equal(errors, (held - values) ** 2)


def test_preload_moves_sums_into_the_range():
  sums = np.array([[20, -3], [9, 4]])
  before = np.array([0, 5])
  found = calibration.preload(sums, before, bits=5, overflow_mode='wrap')
  # 20 - 5 = 15; the other channel is inside as it is.
  assert found.tolist() == [-5, 5]


def test_preload_in_pieces_is_the_same(monkeypatch):
  sums = np.random.default_rng(0).integers(-90, 30, (50, 3))
  arguments = sums, np.zeros(3, int)
  whole = calibration.preload(*arguments, bits=5, overflow_mode='saturate')
  monkeypatch.setattr(calibration, '_TABLE', 300)
  pieces = calibration.preload(*arguments, bits=5, overflow_mode='saturate')
  assert np.array_equal(whole, pieces)
  assert whole.any()


@pytest.mark.parametrize('shift, change, moved', [
  (0, 5, 2), (2, 5, -13), (-1, 5, 4), (-1, -5, 9), (-8, 5, 7), (-3, -4, 7),
  (7, 300, -(2**15)),
])
def test_moved_bias(shift, change, moved):
  # 7 - floor(change * 2^shift + 1/2), clipped.
  found = calibration.moved_bias(
    np.array([7]), np.array([shift]), np.array([change])
  )
  assert found.tolist() == [moved]
  assert found.dtype == np.int32


def squared_error(sums, wanted, shift, bias, bits):
  y = np.floor(np.ldexp(sums, shift)) + bias
  y = np.clip(y, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
  return int(np.square(y - wanted).sum())


@few
@hypothesis.given(
  sums=columns(-60, 60, 1), shift=st.integers(-8, 7),
  bias=st.integers(-40, 40), seed=st.integers(0, 99),
)
def test_bias_is_the_best_one_where_nothing_saturates(sums, shift, bias, seed):
  wanted = np.random.default_rng(seed).integers(-30, 30, sums.shape)
  (s, ), (b, ) = calibration.normalization(
    sums, wanted, np.array([shift]), np.array([bias]), bits=16
  )
  error = squared_error(sums, wanted, s, b, 16)
  for tried in (shift - 1, shift, shift + 1):
    if -8 <= tried <= 7:
      moved = np.floor(np.ldexp(sums, tried))
      # The error is a parabola of the bias, lowest at the mean difference.
      middle = int(np.floor(np.mean(wanted - moved)))
      for near in range(middle - 2, middle + 4):
        assert error <= squared_error(sums, wanted, tried, near, 16)


@few
@hypothesis.given(
  sums=columns(-60, 60, 1), shift=st.integers(-8, 7),
  bias=st.integers(-200, 200), seed=st.integers(0, 99),
)
# The mean of the difference is far off, where all outputs are at their limits.
@hypothesis.example(
  sums=np.array([[0], [1]]), shift=6, bias=0, seed=0,
)
def test_normalization_is_never_worse(sums, shift, bias, seed):
  wanted = np.random.default_rng(seed).integers(-8, 8, sums.shape)
  (s, ), (b, ) = calibration.normalization(
    sums, wanted, np.array([shift]), np.array([bias]), bits=4
  )
  error = squared_error(sums, wanted, s, b, 4)
  assert error <= squared_error(sums, wanted, shift, bias, 4)
  if error == squared_error(sums, wanted, shift, bias, 4):
    assert (s, b) == (shift, bias)
  for near in range(b - 3, b + 4):
    assert error <= squared_error(sums, wanted, s, near, 4)


def test_normalization_takes_a_preload_out():
  random = np.random.default_rng(1)
  sums = random.integers(-20, 20, (40, 3), np.int32)
  shift, bias = np.array([[0, 1, -2], [3, -1, 4]], np.int32)
  wanted = np.asarray(integer.shift_batch_norm(sums, shift, bias, 8))
  start = np.array([8, -4, 12], np.int32)
  # Each start is a whole number of steps behind the shift.
  shifts, biases = calibration.normalization(
    sums + start, wanted, shift, bias, bits=8
  )
  assert shifts.tolist() == shift.tolist()
  assert biases.tolist() == [3 - 8, -1 + 8, 4 - 3]


def test_shift_that_is_better():
  sums = np.arange(-30, 30)[:, None]
  wanted = sums // 4 + 5
  found = calibration.normalization(
    sums, wanted, np.array([-1]), np.array([0]), bits=8
  )
  assert [one.tolist() for one in found] == [[-2], [5]]


def test_shift_stays_within_its_limits():
  sums = np.arange(-30, 30)[:, None]
  for limit in (integer.SHIFT_MIN, integer.SHIFT_MAX):
    wanted = np.floor(np.ldexp(sums, limit)) + 1
    found = calibration.normalization(
      sums, wanted, np.array([limit]), np.array([1]), bits=16
    )
    assert [one.tolist() for one in found] == [[limit], [1]]


@few
@hypothesis.given(
  values=columns(-8, 7), seed=st.integers(0, 99),
  before=st.lists(st.integers(-8, 8), min_size=2, max_size=2),
)
def test_threshold_is_that_of_a_search_by_hand(values, seed, before):
  wanted = np.random.default_rng(seed).random(values.shape) < 0.5
  found = calibration.threshold(values, wanted, np.array(before))
  for channel, t in enumerate(found):
    wrong = {
      tried: int(np.sum((values[:, channel] >= tried) != wanted[:, channel]))
      for tried in range(-8, 9)
    }
    assert wrong[t] == min(wrong.values())
    if wrong[before[channel]] == wrong[t]:
      assert t == before[channel]


def test_threshold_of_bits_that_are_all_alike():
  values = np.array([[3, 3, -128], [127, 5, 7]])
  wanted = np.array([[False, True, True], [False, True, True]])
  found = calibration.threshold(values, wanted, np.array([0, 9, -128]))
  assert found.tolist() == [128, 3, -128]


def test_classifier_bias():
  logits = np.array([[10, -3], [11, -4]])
  wanted = np.array([[12, -5], [12, -4]])
  # Means of 1.5 and -1; halves are rounded up.
  found = calibration.classifier_bias(logits, wanted, np.array([100, 2**23]))
  assert found.tolist() == [102, 2**23 - 1]
  same = calibration.classifier_bias(logits, logits, np.array([5, -6]))
  assert same.tolist() == [5, -6]
