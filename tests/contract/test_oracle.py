"""The oracle against integers worked out by hand, and against NumPy."""

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from tests.contract import cases
from tests.contract import oracle

SIGNS = st.lists(st.sampled_from((-1, 1)), min_size=1, max_size=60)


def one(products, machine, preload=0):
  cut = oracle.words(1, len(products), machine.simd)
  return oracle.accumulate(products, cut, machine, preload)


@pytest.mark.parametrize(
    ('taps', 'channels', 'simd', 'expected'),
    [
        (1, 1, 64, [[0]]),
        (2, 5, 2, [[0, 1], [2, 3], [4], [5, 6], [7, 8], [9]]),
        (3, 2, 2, [[0, 1], [2, 3], [4, 5]]),
        (5, 3, 8, [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11], [12, 13, 14]]),
        (9, 1, 4, [[0, 1, 2, 3], [4, 5, 6, 7], [8]]),
        (2, 3, 5, [[0, 1, 2], [3, 4, 5]]),
        (2, 3, 1, [[0], [1], [2], [3], [4], [5]]),
    ],
)
def test_words(taps, channels, simd, expected):
  assert oracle.words(taps, channels, simd) == expected


@hypothesis.given(
    st.integers(1, 12), st.integers(1, 70), st.sampled_from(cases.SIMDS)
)
@cases.CONTRACT
def test_words_keep_every_operand_once_and_their_number(taps, size, simd):
  cut = oracle.words(taps, size, simd)
  flat = [i for word in cut for i in word]
  assert flat == list(range(taps * size))
  assert max(len(word) for word in cut) <= simd
  if size >= simd:
    assert len(cut) == taps * -(-size // simd)
  else:
    assert len(cut) == -(-taps // (simd // size))


@pytest.mark.parametrize(
    ('axis', 'expected'),
    [
        ((5, 2, 1, 1), (0, 1)),
        ((5, 3, 1, 1), (1, 1)),
        ((8, 3, 2, 1), (0, 1)),
        ((7, 3, 2, 1), (1, 1)),
        ((8, 4, 2, 1), (1, 1)),
        ((9, 3, 1, 2), (2, 2)),
        ((7, 1, 3, 1), (0, 0)),
        ((98, 10, 2, 1), (4, 4)),
    ],
)
def test_same_padding(axis, expected):
  assert oracle.same_padding(*axis) == expected


@pytest.mark.parametrize(
    ('v', 'wrapped', 'clipped'),
    [(7, 7, 7), (8, -8, 7), (-8, -8, -8), (-9, 7, -8), (24, -8, 7),
     (-25, 7, -8), (0, 0, 0)],
)
def test_four_bits(v, wrapped, clipped):
  assert oracle.wrap(v, 4) == wrapped
  assert oracle.clip(v, oracle.minimum(4), oracle.maximum(4)) == clipped


@pytest.mark.parametrize('value', [0, 0.0, -0.0, 1])
def test_zero_is_positive(value):
  assert oracle.sign(value) == 1


def test_no_overflow_on_either_edge():
  for products in ([1] * 7, [-1] * 8):
    for mode in cases.MODES:
      output = one(products, oracle.Machine(4, mode, simd=1))
      assert output == oracle.Output(
          result=sum(products), exact=sum(products), persistent=False,
          transient=False, sign_flip=False, magnitude=0, cycles=len(products),
      )


@pytest.mark.parametrize(
    ('mode', 'result', 'sign_flip'),
    [('exact', 9, False), ('wrap', -7, True), ('saturate', 7, False)],
)
def test_persistent_overflow(mode, result, sign_flip):
  assert one([1] * 9, oracle.Machine(4, mode, simd=1)) == oracle.Output(
      result=result, exact=9, persistent=True, transient=False,
      sign_flip=sign_flip, magnitude=2, cycles=9,
  )


@pytest.mark.parametrize(
    ('mode', 'result', 'sign_flip'),
    [('exact', 0, False), ('wrap', 0, False), ('saturate', -2, True)],
)
def test_transient_overflow(mode, result, sign_flip):
  products = [1] * 9 + [-1] * 9
  assert one(products, oracle.Machine(4, mode, simd=1)) == oracle.Output(
      result=result, exact=0, persistent=False, transient=True,
      sign_flip=sign_flip, magnitude=2, cycles=18,
  )


def test_a_wider_word_hides_a_transient():
  products = [1] * 9 + [-1] * 9
  output = one(products, oracle.Machine(4, 'saturate', simd=6))
  assert (output.result, output.transient, output.cycles) == (0, False, 3)


def test_saturation_depends_on_the_order():
  machine = oracle.Machine(4, 'saturate', simd=1)
  assert one([1] * 9 + [-1] * 9, machine).result == -2
  assert one([-1] * 9 + [1] * 9, machine).result == 1


def test_popcount_subtracts_half_of_each_word():
  # Words ++ | +- | -: u = 1, 0, 0; one odd word: 2 * 1 - 1 = 1.
  output = one([1, 1, 1, -1, -1], oracle.Machine(2, 'wrap', 2, 'popcount'))
  assert (output.result, output.exact, output.magnitude) == (1, 1, 0)


@pytest.mark.parametrize(
    ('mode', 'result'), [('exact', 6), ('wrap', -2), ('saturate', 2)]
)
def test_popcount_overflow(mode, result):
  output = one([1] * 6, oracle.Machine(2, mode, 2, 'popcount'))
  assert (output.result, output.exact) == (result, 6)
  assert (output.persistent, output.magnitude) == (True, 2)


def test_popcount_result_of_zero_register_with_an_odd_word_is_negative():
  # 2 * 0 - 1: the register is 0, the result and its sign are not.
  output = one([-1], oracle.Machine(4, 'exact', 1, 'popcount'))
  assert (output.result, output.sign_flip) == (-1, False)


@pytest.mark.parametrize(
    ('preload', 'products', 'wrapped', 'saturated', 'magnitude'),
    [(7, [1], -8, 7, 1), (-8, [-1], 7, -8, 1), (7, [1, -1], 7, 6, 1),
     (-8, [1], -7, -7, 0)],
)
def test_preload(preload, products, wrapped, saturated, magnitude):
  wrap = one(products, oracle.Machine(4, 'wrap', 1), preload)
  saturate = one(products, oracle.Machine(4, 'saturate', 1), preload)
  assert (wrap.result, saturate.result) == (wrapped, saturated)
  assert wrap.magnitude == saturate.magnitude == magnitude


def test_convolution_is_a_cross_correlation_padded_with_minus_one():
  x = [[[1], [-1], [-1]]]
  w = [[[1, 1]], [[-1, 1]], [[1, -1]]]
  y = oracle.results(oracle.conv(x, w, oracle.Machine(8)))
  assert y == [[[-3, 1], [1, 1], [-1, -1]]]


def test_depthwise_output_c_times_multiplier_plus_m():
  x = [[[1, -1]]]
  w = [[[1, -1, 1, -1]]]
  y = oracle.conv(x, w, oracle.Machine(8), groups=2)
  assert oracle.results(y) == [[[1, -1, -1, 1]]]


def test_taps_are_ordered_time_then_frequency_then_channel():
  # Words of 2 taps of 1 channel; saturation tells their order.
  x = [[[[1], [1]], [[-1], [-1]], [[1], [1]]]]
  ones = [[[[1]], [[1]]]] * 3
  machine = oracle.Machine(2, 'saturate', simd=2)
  y = oracle.conv(x, ones, machine, padding='VALID')
  assert oracle.results(y) == [[[[1]]]]
  last = oracle.conv(x, ones, machine, [-2], padding='VALID')
  assert oracle.results(last) == [[[[0]]]]


def numpy_exact(shape, x, w):
  """The exact convolution of an explicitly padded 2-D input by einsum."""
  options = dict(shape.geometry)
  if w.ndim == 3:
    x, w = x[:, :, None], w[:, None]
  axes = w.ndim - 2
  strides = (options.get('strides', 1),)
  dilation = (options.get('dilation', 1),)
  strides, dilation = (
      tuple(np.broadcast_to(np.ravel(v), len(shape.w) - 2)) + (1,)
      for v in (strides[0], dilation[0])
  )
  pad = options.get('padding', 'SAME')
  if pad == 'VALID':
    pad = ((0, 0),) * axes
  if pad == 'SAME':
    pad = []
    for a in range(axes):
      n = x.shape[1 + a]
      reach = (w.shape[a] - 1) * dilation[a] + 1
      total = max((-(-n // strides[a]) - 1) * strides[a] + reach - n, 0)
      pad.append((total // 2, total - total // 2))
  pad = (list(pad) + [(0, 0)])[:axes]
  x = np.pad(x, [(0, 0), *pad, (0, 0)], constant_values=-1).astype(np.int64)
  groups = options.get('groups', 1)
  parts = zip(np.split(x, groups, -1), np.split(w, groups, -1), strict=True)
  out = []
  for part, kernel in parts:
    total = 0
    for kt in range(w.shape[0]):
      for kf in range(w.shape[1]):
        rows = x.shape[1] - (w.shape[0] - 1) * dilation[0]
        columns = x.shape[2] - (w.shape[1] - 1) * dilation[1]
        t, f = kt * dilation[0], kf * dilation[1]
        window = part[:, t : t + rows, f : f + columns]
        window = window[:, :: strides[0], :: strides[1]]
        total = total + np.einsum('btfc,cn->btfn', window, kernel[kt, kf])
    out.append(total)
  y = np.concatenate(out, -1)
  return y[:, :, 0] if len(shape.w) == 3 else y


@pytest.mark.parametrize(
    'shape', [*cases.CONV_1D.values(), *cases.CONV_2D.values()], ids=str
)
def test_exact_convolution_equals_numpy(shape):
  x = cases.fill('random', shape.x, 1)
  w = cases.fill('random', shape.w, 2)
  for unit in cases.UNITS:
    machine = oracle.Machine(4, 'exact', 7, unit)
    y = oracle.results(oracle.conv(x, w, machine, **shape.geometry))
    assert y == numpy_exact(shape, x, w).tolist()


@hypothesis.given(SIGNS, cases.machines(modes=('wrap',)), st.randoms())
@cases.CONTRACT
def test_wrap_is_one_reduction_in_any_order(products, machine, random):
  expected = one(products, machine)
  machine = machine._replace(simd=1, unit='dot')
  if expected.cycles and expected.exact == sum(products):
    shuffled = list(products)
    random.shuffle(shuffled)
    again = one(shuffled, machine)
    assert again.result == oracle.wrap(sum(products), machine.bits)


@hypothesis.given(
    st.lists(st.integers(-9, 9), min_size=1, max_size=20),
    st.integers(2, 6),
    st.data(),
)
@cases.CONTRACT
def test_saturation_composes(steps, bits, data):
  low, high = oracle.minimum(bits), oracle.maximum(bits)
  maps = [(a, low, high) for a in steps]
  while len(maps) > 1:
    i = data.draw(st.integers(0, len(maps) - 2))
    (a1, l1, h1), (a2, l2, h2) = maps[i : i + 2]
    composed = (
        a1 + a2,
        oracle.clip(l1 + a2, l2, h2),
        oracle.clip(h1 + a2, l2, h2),
    )
    maps[i : i + 2] = [composed]
  (total, lowest, highest), = maps
  for start in range(low, high + 1):
    register = start
    for step in steps:
      register = oracle.clip(register + step, low, high)
    assert register == oracle.clip(start + total, lowest, highest)


@hypothesis.given(
    st.lists(st.sampled_from((-1, 1)), min_size=1, max_size=30),
    st.integers(2, 8),
    st.sampled_from((2, 4, 6, 16)),
)
@cases.CONTRACT
def test_wrapping_popcount_is_a_dot_register_of_one_more_bit(
    pairs, bits, simd
):
  products = [p for p in pairs for _ in range(2)]
  popcount = one(products, oracle.Machine(bits, 'wrap', simd, 'popcount'))
  dot = one(products, oracle.Machine(bits + 1, 'wrap', simd))
  assert popcount.result == dot.result


@hypothesis.given(SIGNS, st.sampled_from(cases.UNITS))
@cases.CONTRACT
def test_all_modes_are_equal_where_no_prefix_leaves_the_range(products, unit):
  # K <= 63 = 2^(7-1) - 1.
  for mode in cases.MODES:
    output = one(products, oracle.Machine(7, mode, 8, unit))
    assert output.result == sum(products)
    assert output.magnitude == 0
