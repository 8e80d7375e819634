"""The last ones take the extra `tfds`: experiments/check_tfds.sh runs them."""

import importlib.util
import json

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import folder
from bnn_jax.data import tfds
from bnn_jax.data import tfds_prepare
from bnn_jax.data import wav
from tests.data import tfds_archives

SPEAKERS = {
  'training': '004ae714', 'validation': '026290a7', 'testing': '0ea0e2f4',
}
# Clips of every speaker.
COUNTS = {'yes': 3, 'no': 2, 'bed': 4, 'cat': 2}
needs_tensorflow = pytest.mark.skipif(
  importlib.util.find_spec('tensorflow') is None, reason='no tensorflow'
)


@pytest.fixture
def info(tmp_path):
  def write(version, file_format='array_record'):
    path = tmp_path / 'speech_commands' / version / 'dataset_info.json'
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({'fileFormat': file_format}))
    return path.parent

  return write


def test_the_newest_version_is_found(tmp_path, info):
  info('0.0.9')
  newest = info('0.0.10')
  info('incomplete.1.0.0')
  assert tfds_prepare.prepared(tmp_path) == newest


def test_the_default_folder(tmp_path, info, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  (tmp_path / 'tensorflow_datasets').symlink_to(tmp_path)
  info('0.0.3')
  assert tfds_prepare.prepared('') == (
    tmp_path / 'tensorflow_datasets/speech_commands/0.0.3'
  )


def test_another_format_is_refused(tmp_path, info):
  info('0.0.3', 'tfrecord')
  with pytest.raises(errors.UserError, match='as tfrecord, which only'):
    tfds_prepare.prepared(tmp_path)


def test_missing_archives_are_named(tmp_path):
  (tmp_path / tfds_prepare.ARCHIVES[0]).touch()
  with pytest.raises(errors.UserError, match=tfds_prepare.ARCHIVES[1]):
    tfds_prepare.prepared(tmp_path / 'data', tmp_path)


def test_the_extra_is_named_where_it_is_not_installed(tmp_path, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.UserError, match=r'takes tensorflow and pydub and '
                     r".* once; install 'bnn_jax\[tfds\]'"):
    tfds_prepare.prepared(tmp_path)


def add(root, name, samples=16000, level=2**15):
  path = root / name
  path.parent.mkdir(parents=True, exist_ok=True)
  random = np.random.default_rng([*name.encode()])
  wav.write(path, random.integers(-level, level, samples).astype(np.int16))


@pytest.fixture(scope='module')
def packed(tmp_path_factory):
  """The folders of the corpus and of its test archive, and a data folder."""
  root = tmp_path_factory.mktemp('tfds')
  full, test, data = (root / name for name in ('full', 'test', 'data'))
  names = {
    split: [f'{word}/{speaker}_nohash_{n}.wav'
            for word, count in COUNTS.items() for n in range(count)]
    for split, speaker in SPEAKERS.items()
  }
  for name in sum(names.values(), []):
    add(full, name, 12000 if name.endswith('1.wav') else 16000)
  for split in ('validation', 'testing'):
    (full / f'{split}_list.txt').write_text('\n'.join(names[split]) + '\n')
  for noise in ('running_tap', 'pink_noise'):
    add(full, f'_background_noise_/{noise}.wav', 40000, 3000)
  for word in ('yes', 'no', '_silence_', '_unknown_'):
    add(test, f'{word}/{SPEAKERS["testing"]}_nohash_0.wav')
  tfds_archives.pack_downloads(data, full, test)
  return full, test, data


def clips(source):
  """(audio, label) of all but silence, as a set."""
  found = (source[index] for index in range(len(source)))
  return {(clip.audio.tobytes(), clip.label) for clip in found if clip.label}


@needs_tensorflow
def test_the_official_builder_on_small_archives(packed):
  full, test, data = packed
  for split in ('training', 'validation'):
    found = tfds.TfdsSource(data, split)
    expected = folder.FolderSource(full, split)
    assert len(found) == len(expected) == 5 + 3 + 3
    everything = folder.FolderSource(full, split, protocol='bifsmn')
    assert clips(found) < clips(everything)
    commands = {clip for clip in clips(everything) if clip[1] > 1}
    assert {clip for clip in clips(found) if clip[1] > 1} == commands
    # Seconds of 40,000 samples that begin every half a second.
    assert [len(noise) for noise in found.background] == 3 * [16000]
  found = tfds.TfdsSource(data, 'testing')
  expected = folder.FolderSource(full, 'testing', test_dir=test)
  assert clips(found) == clips(expected)
  assert len(found) == len(expected) == 4


@needs_tensorflow
def test_archives_of_another_checksum_are_refused(packed, tmp_path):
  full, test, _ = packed
  for name, root in zip(tfds_prepare.ARCHIVES, (full, test), strict=True):
    tfds_archives.pack(root, tmp_path / 'manual' / name)
  with pytest.raises(errors.UserError, match='NonMatchingChecksumError'):
    tfds_prepare.prepared(tmp_path / 'data', tmp_path / 'manual')
