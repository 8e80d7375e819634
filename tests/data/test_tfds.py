import hashlib
import json

from array_record.python import array_record_module
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import labels
from bnn_jax.data import sources
from bnn_jax.data import tfds
from bnn_jax.data import tfds_clips

# As the file label.labels.txt of the data set has them.
LABELS = (
  'down', 'go', 'left', 'no', 'off', 'on', 'right', 'stop', 'up', 'yes',
  '_silence_', '_unknown_',
)
# Examples of a split, in an order that mixes the folders.
TRAIN = (
  '_unknown_', 'yes', '_silence_', 'yes', '_unknown_', 'no', 'yes',
  '_unknown_', '_unknown_', 'no', '_silence_', '_unknown_',
)
# Of these a yes, a no and a silence.
DEV = ('train/1', 'train/2', 'train/5')
TEST = ('_silence_', 'no', '_unknown_', 'go', '_unknown_')


def audio(split, index):
  """Whole range and both signs; the second example is short, the third long."""
  random = np.random.default_rng([index, *split.encode()])
  samples = {1: 9000, 2: 16500}.get(index, 16000)
  return random.integers(-(2**15), 2**15, samples).astype(np.int16)


def one_second(samples):
  return np.pad(samples, (0, 16000))[:16000]


def write(folder, split, words, shards):
  """Writes a split as tensorflow-datasets does, in as many files."""
  from tensorflow_datasets.proto import tf_example_pb2

  examples = []
  for index, word in enumerate(words):
    example = tf_example_pb2.Example()
    feature = example.features.feature
    feature['audio'].int64_list.value.extend(audio(split, index).tolist())
    feature['label'].int64_list.value.append(LABELS.index(word))
    examples.append(example.SerializeToString())
  lengths = []
  for number, part in enumerate(np.array_split(np.arange(len(words)), shards)):
    path = folder / (
      f'speech_commands-{split}.array_record-{number:05d}-of-{shards:05d}'
    )
    writer = array_record_module.ArrayRecordWriter(str(path), 'group_size:1')
    for index in part:
      writer.write(examples[index])
    writer.close()
    lengths.append(str(len(part)))
  return {'name': split, 'shardLengths': lengths}


@pytest.fixture
def root(tmp_path):
  folder = tmp_path / 'speech_commands' / '0.0.3'
  folder.mkdir(parents=True)
  (folder / 'label.labels.txt').write_text('\n'.join(LABELS))
  info = {
    'name': 'speech_commands', 'fileFormat': 'array_record',
    'splits': [
      write(folder, 'train', TRAIN, 3),
      write(folder, 'validation', TRAIN[:6], 1),
      write(folder, 'test', TEST, 2),
    ],
  }
  (folder / 'dataset_info.json').write_text(json.dumps(info))
  return tmp_path


def everything(split):
  return [split[index] for index in range(len(split))]


def test_training_is_balanced(root):
  split = tfds.TfdsSource(root, 'training')
  # 3 and 2 clips of the commands: 2.5, so 3 unknown and 3 silent ones.
  unknown = [n for n, word in enumerate(TRAIN) if word == '_unknown_']
  digests = {
    n: hashlib.sha1(one_second(audio('train', n)).tobytes()).hexdigest()
    for n in unknown
  }
  kept = sorted(unknown, key=digests.get)[:3]
  spoken = sorted(
    kept + [n for n, word in enumerate(TRAIN) if word in ('yes', 'no')]
  )
  clips = everything(split)
  assert [clip.name for clip in clips] == [
    *(f'train/{n}' for n in spoken),
    *(f'_silence_/training-{n}' for n in range(3)),
  ]
  names = split.class_names
  assert names == labels.class_names(12)
  for n, clip in zip(spoken, clips[:-3], strict=True):
    word = TRAIN[n].strip('_')
    assert names[clip.label] == word
    assert np.array_equal(clip.audio, one_second(audio('train', n)))
    assert clip.audio.dtype == np.int16
  assert [names[clip.label] for clip in clips[-3:]] == 3 * ['silence']


def test_silence_is_scaled_noise_of_the_split(root):
  split = tfds.TfdsSource(root, 'training')
  recordings = [one_second(audio('train', n)) for n in (2, 10)]
  assert len(split.background) == 2
  for found, expected in zip(split.background, recordings, strict=True):
    assert np.array_equal(found, expected)
  for clip in everything(split)[-3:]:
    scales = [clip.audio.max() / noise.max() for noise in recordings]
    assert any(
      np.array_equal(clip.audio, np.rint(noise * scale).astype(np.int16))
      or np.abs(clip.audio - noise * scale).max() < 1
      for noise, scale in zip(recordings, scales, strict=True)
    )
  assert np.array_equal(split[len(split) - 1].audio, clip.audio)


def test_dev_and_fit_are_parts_of_training(root, monkeypatch):
  monkeypatch.setattr(labels, 'is_dev', lambda name: name in DEV)
  dev, fit = (tfds.TfdsSource(root, split) for split in ('dev', 'fit'))
  spoken = {
    clip.name for clip in everything(tfds.TfdsSource(root, 'training'))
    if clip.name.startswith('train/')
  }
  # A clip of a command each; and what of the kept unknown words has a number.
  assert [clip.name for clip in everything(dev)] == [
    *(name for name in DEV if name in spoken), '_silence_/dev-0',
  ]
  assert {clip.name for clip in everything(fit)} == spoken - set(DEV) | {
    '_silence_/fit-0', '_silence_/fit-1',
  }
  (heard,), (other,) = dev.background, fit.background
  assert np.array_equal(heard, one_second(audio('train', 2)))
  assert np.array_equal(other, one_second(audio('train', 10)))


def test_a_tenth_of_training_is_dev():
  numbers = [f'train/{n}' for n in range(36_000)]
  assert sum(map(labels.is_dev, numbers)) == pytest.approx(3600, rel=0.05)


def test_testing_is_the_whole_archive(root):
  split = tfds.TfdsSource(root, 'testing')
  clips = everything(split)
  assert [clip.name for clip in clips] == [f'test/{n}' for n in range(5)]
  assert [split.class_names[clip.label] for clip in clips] == [
    word.strip('_') for word in TEST
  ]
  # What validation hears, and training does not.
  (noise,) = split.background
  assert np.array_equal(noise, one_second(audio('validation', 2)))


def test_the_second_time_reads_the_array_alone(root):
  before = everything(tfds.TfdsSource(root, 'training'))
  for file in (root / 'speech_commands/0.0.3').glob('*array_record*'):
    file.unlink()
  after = everything(tfds.TfdsSource(root, 'training'))
  for one, other in zip(before, after, strict=True):
    assert one[1:] == other[1:] and np.array_equal(one.audio, other.audio)
  with pytest.raises(errors.UserError, match='test.array_record-00000-of-0000'):
    tfds.TfdsSource(root, 'testing')
  names = [file.name for file in (root / 'speech_commands/0.0.3').iterdir()]
  assert sorted(names) == [
    'bnn_jax-training.npy', 'dataset_info.json', 'label.labels.txt',
  ]


def test_what_does_not_exist_is_refused(root):
  with pytest.raises(errors.UserError, match='12 classes, not 35'):
    tfds.TfdsSource(root, 'training', classes=35)
  with pytest.raises(errors.UserError, match="no split 'unseen'"):
    tfds.TfdsSource(root, 'unseen')
  split = tfds.TfdsSource(root, 'testing')
  with pytest.raises(IndexError, match='clip 5 of 5'):
    split[5]
  with pytest.raises(IndexError):
    split[-1]


def test_a_folder_that_cannot_be_written(root, monkeypatch):
  def full(*unused):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(tfds_clips.os, 'replace', full)
  with pytest.raises(errors.UserError, match='No space left.*free 2 GB'):
    tfds.TfdsSource(root, 'training')
  assert not list((root / 'speech_commands/0.0.3').glob('bnn_jax*'))


def test_sources_open_it(root):
  split = sources.open_split(
    'tfds', 'validation', classes=12, data_dir=str(root), synthetic_speakers=7
  )
  assert split[0].name.startswith('validation/')
