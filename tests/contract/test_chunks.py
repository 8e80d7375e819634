"""Chunks hold every operand once, in the words it belongs to."""

import hypothesis
from hypothesis import strategies as st
import numpy as np

from bnn_jax.nn import geometry
from bnn_jax.nn.kernels import chunks


@hypothesis.given(
  st.integers(1, 6), st.integers(1, 300), st.integers(1, 400)
)
@hypothesis.settings(deadline=None, max_examples=60)
def test_words_are_whole_and_in_order(taps, channels, simd):
  words = geometry.words(taps, channels, simd)
  plan = chunks.plan(words, taps, channels)
  found, word = [], []
  for turn in range(taps * plan.per_tap):
    tap, part = divmod(turn, plan.per_tap)
    for chunk in plan.chunks:
      first = tap * channels + part * plan.step + chunk.start
      for piece, ends in zip(
        chunk.operand[turn], chunk.ends[turn], strict=True
      ):
        lane = np.flatnonzero(piece < taps * channels)
        # The lane says which value is read.
        assert (piece[lane] == first + lane).all()
        word += piece[lane].tolist()
        if ends and word:
          found.append(word)
          word = []
  assert not word
  assert found == [list(range(w.start, w.stop)) for w in words]


def test_products_have_few_empty_lanes():
  words = geometry.words(5, 96, 64)
  plan = chunks.plan(words, 5, 96)
  assert [chunk.lanes for chunk in plan.chunks] == [64, 32]
