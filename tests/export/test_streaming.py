import itertools

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.export import exporter
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import specs
from bnn_jax.export import streaming
from bnn_jax.export import windows
from tests import tiny
from tests.export import networks
from tests.export import planes

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


def test_nothing_follows_the_end():
  clip = streaming.Clip(networks.network())
  clip.push(networks.clips(1)[0])
  clip.flush()
  with pytest.raises(errors.UserError, match='the clip has ended'):
    clip.flush()
  with pytest.raises(errors.UserError, match='the clip has ended'):
    clip.push(networks.clips(1)[0][:0])


@pytest.mark.parametrize('padding', ['same', 'valid'])
def test_a_stream_is_the_training_graph(padding):
  """From a trained network's variables to its stream."""
  model = tiny.network(padding=padding)
  state = tiny.state(model)
  exported = exporter.export(
    model, state.variables(), **tiny.SHAPE, input_bits=8, lo=0.0, exponent=0,
    front_end={}, class_names=tuple('abcde'), provenance={},
  )
  frames = tiny.SHAPE['frames']
  random = np.random.default_rng(0)
  q = random.integers(0, 256, (8, 8 * frames, 8)).astype(np.uint8)
  hop = 4 if padding == 'valid' else frames
  clips = np.stack([
    one[start : start + frames]
    for one in q for start in range(0, len(one) - frames + 1, hop)
  ])
  expected = model.apply(state.variables(), clips, train=False)
  assert len(np.unique(expected, axis=0)) > len(clips) // 2
  found = [streamed(exported, clip, (2,)) for clip in clips[:20]]
  assert np.array_equal(found, expected[:20])
  if padding == 'valid':
    streams = [windows.Sliding(exported) for _ in q]
    assert streams[0].hop == hop
    count = len(clips) // len(q)
    found = [s.push(one)[:count] for s, one in zip(streams, q, strict=True)]
    assert np.array_equal(np.concatenate(found), expected)


def test_a_network_that_needs_whole_clips_is_refused():
  model = planes.network()
  for make in (streaming.Clip, windows.windows, windows.Sliding):
    with pytest.raises(
      errors.UserError, match=r'layer encode \(thermometer\) needs whole clips'
    ):
      make(model)
  silent = networks.changed(model, 'encode', silence=None)
  silent = networks.changed(silent, 'image', shape=(9, 6, 3))
  with pytest.raises(
    errors.UserError, match=r'layer image \(reshape\) needs whole clips'
  ):
    streaming.Clip(silent)
