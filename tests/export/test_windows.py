import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import specs
from bnn_jax.export import windows
from tests.export import networks

REGISTERS = [
  specs.Accumulator(4, 'saturate', 5, 'popcount'),
  specs.Accumulator(3, 'wrap', 64, 'dot'),
  specs.Accumulator(6, 'exact', 1, 'dot'),
]


def alone(q, count, hop):
  """Windows of one stream."""
  starts = range(0, len(q) - count + 1, hop)
  return np.stack([q[start : start + count] for start in starts])


def logits(model, q, folder):
  files.write(folder, model)
  return golden.logits(golden.read(folder), q)


def pushed(stream, q):
  blocks = np.split(q, (1, 1, 2, 30, 33, 70))
  return np.concatenate([stream.push(block) for block in blocks])


@pytest.mark.parametrize('register', REGISTERS)
def test_every_window_has_the_logits_that_it_has_alone(tmp_path, register):
  model = networks.unpadded(1, register)
  (q,) = networks.clips(1, frames=120)
  stream = windows.windows(model)
  assert stream.hop == 4
  clips = alone(q, networks.WINDOW, 4)
  expected = logits(model, clips, tmp_path / 'export')
  assert len(np.unique(expected, axis=0)) > 3
  assert np.array_equal(pushed(stream, q)[: len(clips)], expected)


def test_windows_with_padding_are_computed_one_by_one(tmp_path):
  model = networks.network()
  (q,) = networks.clips(1, frames=90)
  stream = windows.windows(model)
  clips = alone(q, networks.FRAMES, stream.hop)
  expected = logits(model, clips, tmp_path / 'export')
  assert np.array_equal(pushed(stream, q), expected)


def test_padding_has_no_sliding_sum():
  with pytest.raises(errors.UserError, match='layer stem pads .*padding=valid'):
    windows.Sliding(networks.network())
