import itertools

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import specs
from bnn_jax.export import streaming
from tests.export import networks

REGISTERS = [
  specs.Accumulator(bits, mode, simd, unit)
  for bits, (mode, unit), simd in zip(
    itertools.cycle((4, 3, 6)),
    itertools.product(specs.MODES, specs.UNITS),
    itertools.cycle((5, 64, 1)),
  )
]


def whole(model, q, folder):
  """The golden model's logits of whole clips."""
  files.write(folder, model)
  return golden.logits(golden.read(folder), q)


def streamed(model, q, sizes):
  """Logits of one clip in blocks of `sizes` frames, over and over."""
  clip = streaming.Clip(model)
  rest = q
  for size in itertools.cycle(sizes):
    clip.push(rest[:size])
    rest = rest[size:]
    if not len(rest):
      return clip.flush()


@pytest.mark.parametrize('register', REGISTERS)
def test_clip_is_the_whole_clip(tmp_path, register):
  q = networks.clips(5)
  for seed in range(2):
    model = networks.network(seed, register)
    expected = whole(model, q, tmp_path / str(seed))
    assert len(np.unique(expected, axis=0)) > 1
    for sizes in ((1,), (2, 0, 3), (networks.FRAMES,)):
      found = [streamed(model, clip, sizes) for clip in q]
      assert np.array_equal(found, expected)


def test_padding_behind_the_end_counts():
  """Without its flush the last outputs would be missing."""
  model = networks.network()
  q = networks.clips(1)[0]
  frames = streaming.Frames(model)
  early = len(frames.push(q))
  late = len(frames.push(q[:0], last=True))
  assert (early, late) == (1, 2)


def test_layers_keep_what_they_need():
  frames = streaming.Frames(networks.network())
  assert frames.kept()['stem'] == 2
  for q in networks.clips(1)[0]:
    frames.push(q[None])
    # Kernel 5 with stride 2; kernel 3 with dilation 2; kernel 1 with stride 2.
    kept = frames.kept()
    assert kept['stem'] in (3, 4) and kept['wide'] <= 4
    assert kept['depth'] <= 3 and kept['point'] == 0 and kept['encode'] == 0
    assert kept['depth/add'] <= 3


@pytest.mark.parametrize('count, words', [
  (networks.FRAMES + 1, '1 frames exceed the clip of 11'),
  (networks.FRAMES - 2, '2 of 11 frames are missing'),
])
def test_length_of_a_clip(count, words):
  clip = streaming.Clip(networks.network())
  with pytest.raises(errors.UserError, match=words):
    clip.push(np.zeros((count, networks.BINS), np.uint8))
    clip.flush()


@pytest.mark.parametrize('q', [
  np.zeros((1, networks.BINS + 1), np.uint8),
  np.zeros((1, networks.BINS), np.int32),
  np.zeros(networks.BINS, np.uint8),
])
def test_other_frames_are_refused(q):
  with pytest.raises(errors.UserError, match=r'are not uint8 \[t, 6\]'):
    streaming.Clip(networks.network()).push(q)



def test_cost_of_a_frame():
  """Counted by hand."""
  found = streaming.cost(networks.network())
  # Outputs times words, by the layers' rates 1/2 and 1/4.
  words = (8 * 10 + 8 * 6 + 8 * 1) / 2 + (12 * 2 + 24 * 3) / 4
  assert found.words == words
  between = (8 + 2 * 8 + 8 + 8) / 2 + (12 + 12 + 24 + 12 + 12 + 12) / 4
  assert found.additions == words + between
