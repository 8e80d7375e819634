import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import folder
from bnn_jax.data import protocols
from bnn_jax.data import sources
from bnn_jax.data import wav

SPEAKERS = {
  'training': '004ae714', 'validation': '026290a7', 'testing': '0ea0e2f4',
}
# Clips of a split: 23 of commands, 30 of other words.
COUNTS = {'yes': 12, 'no': 11, 'bed': 25, 'cat': 5}


def words(**clips):
  return [word for word, count in clips.items() for _ in range(count)]


@pytest.mark.parametrize('protocol, unknown, silences', [
  # (12 + 11) / 2 = 11.5 is rounded up; a tenth of 23 likewise; a tenth of
  # all 53 down.
  ('official', 12, 12),
  ('hello_edge', 3, 3),
  ('tc_resnet', 3, 3),
  ('bifsmn', 30, 5),
])
def test_counts(protocol, unknown, silences):
  assert protocols.counts(protocol, words(**COUNTS)) == (unknown, silences)


# Commands of version 0.01 by the archive's lists, and what the lists of
# TC-ResNet have of unknown words and silence each.
@pytest.mark.parametrize('commands, tenth', [
  (18538, 1854), (2577, 258), (2567, 257),
])
def test_published_counts_of_version_1(commands, tenth):
  clips = words(yes=commands, bed=9000)
  assert protocols.counts('tc_resnet', clips) == (tenth, tenth)


@pytest.fixture
def root(tmp_path):
  for speaker in SPEAKERS.values():
    for word, count in COUNTS.items():
      for n in range(count):
        path = tmp_path / f'{word}/{speaker}_nohash_{n}.wav'
        path.parent.mkdir(exist_ok=True)
        wav.write(path, np.full(100, 7, np.int16))
  noise = tmp_path / '_background_noise_/hum.wav'
  noise.parent.mkdir()
  wav.write(noise, np.full(200_000, 30000, np.int16))
  return tmp_path


@pytest.mark.parametrize('split', list(SPEAKERS))
@pytest.mark.parametrize('protocol', protocols.NAMES)
def test_folder_follows_the_protocol(root, protocol, split):
  source = folder.FolderSource(root, split, protocol=protocol)
  unknown, silences = protocols.counts(protocol, words(**COUNTS))
  clips = [source[index] for index in range(len(source))]
  labels = np.bincount([clip.label for clip in clips], minlength=12)
  assert labels[:4].tolist() == [silences, unknown, 12, 11]
  silent = [clip.audio for clip in clips if clip.label == 0]
  assert any(audio.any() for audio in silent) == (protocol == 'official')
  # Training mixes it into silence, too, whatever the protocol.
  assert len(source.background) == 1
  assert source.notes[0].startswith('There are no clips of')
  assert len(source.notes) == 1


def open_split(root, protocol, name='folder', **settings):
  return sources.open_split(
    name, 'testing', data_dir=str(root), protocol=protocol,
    **{'classes': 12, 'synthetic_speakers': 7} | settings,
  )


def test_sources_pass_it_on(root):
  assert len(open_split(root, 'bifsmn')) == 53 + 5
  assert len(open_split(root, 'official', classes=35)) == 53


@pytest.mark.parametrize('protocol, settings, message', [
  ('best', {}, "'best' does not exist; choose one of official, hello_edge"),
  ('bifsmn', {'classes': 35}, 'rule for 12 classes, not 35'),
  ('tc_resnet', {'test_dir': '/archive'}, 'not on data.test_dir=/archive'),
  ('hello_edge', {'name': 'tfds'}, 'needs the whole archive'),
])
def test_where_it_says_nothing_it_is_refused(root, protocol, settings, message):
  with pytest.raises(errors.UserError, match=message):
    open_split(root, protocol, **settings)
