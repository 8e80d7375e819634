import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from bnn_jax.export import specs
from bnn_jax.nn import accumulator
from bnn_jax.nn import geometry


def conv(kernel, channels, register, preload=None):
  weights = np.zeros((2, *kernel, channels), np.uint8)
  ones = (1,) * len(kernel)
  pairs = ((0, 0),) * len(kernel)
  return specs.Conv(
    'conv', ('x',), kernel, ones, pairs, ones, 1, register, weights, preload
  )


@hypothesis.given(
  st.integers(1, 12), st.integers(1, 70), st.integers(1, 70),
  st.sampled_from(specs.UNITS),
)
@hypothesis.settings(max_examples=60, deadline=None)
def test_words_and_widths_are_those_of_the_training_graph(
  taps, channels, simd, unit
):
  cut = geometry.words(taps, channels, simd)
  lanes = tuple(word.stop - word.start for word in cut)
  assert specs.word_lanes(taps, channels, simd) == lanes
  layer = conv((taps,), channels, specs.Accumulator(4, 'wrap', simd, unit))
  shape = (taps, channels, 2)
  register = accumulator.Accumulator(4, 'wrap', simd, unit)
  assert layer.odd_words == accumulator.odd_words(shape, simd)
  assert layer.safe_bits == accumulator.safe_bits(shape, register)


@pytest.mark.parametrize('bits, preload, free', [
  (4, None, True), (3, None, False), (4, [0, 1], False), (5, [-8, 1], True),
])
def test_overflow_free(bits, preload, free):
  # Seven operands reach 7 and -7.
  preload = None if preload is None else np.array(preload)
  register = specs.Accumulator(bits, 'saturate', 1, 'dot')
  assert conv((), 7, register, preload).overflow_free == free


def test_a_register_that_never_overflows_has_the_width_that_it_needs():
  register = specs.Accumulator(3, 'exact', 1, 'dot')
  layer = conv((), 8, register)
  assert layer.register_bits == 5
  assert layer.overflow_free
