import numpy as np
import pytest

from bnn_jax import features
from bnn_jax.frontend import fixed_point
from bnn_jax.frontend import stream
from bnn_jax.frontend import tables


@pytest.mark.parametrize('sizes', [(1, 479, 1, 159, 0, 160), (4000,), (37,)])
def test_frames_are_those_of_the_whole(sizes):
  made = tables.make_tables(
    features.FrontEnd(), features.Quantization(-13.5, -4, 8)
  )
  random = np.random.default_rng(0)
  samples = random.integers(-9000, 9000, 4000).astype(np.int16)
  (whole,) = fixed_point.compute(samples[None], made)
  pushed, rest, i = stream.Stream(made), samples, 0
  pieces = []
  while len(rest):
    size = sizes[i % len(sizes)]
    pieces.append(pushed.push(rest[:size]))
    rest, i = rest[size:], i + 1
  found = np.concatenate(pieces)
  assert found.dtype == np.uint8
  assert np.array_equal(found, whole)
