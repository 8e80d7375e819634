import numpy as np
import pytest

from bnn_jax.data import labels
from bnn_jax.data import source
from bnn_jax.data import speakers
from bnn_jax.data import wav


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
  """Returns one speaker's clips by name."""
  folder = tmp_path_factory.mktemp('speaker')
  for word in labels.WORDS:
    (folder / word).mkdir()
  person = speakers.Speaker(5, '0a7c2a8d', unseen=False)
  speakers.record(person, folder=folder, seed=3)
  found = {
    str(path.relative_to(folder)): wav.read(path) for path in folder.glob('*/*')
  }
  assert sorted(found) == sorted(speakers.clip_names(person))
  return found


def test_commands_have_more_takes():
  names = speakers.clip_names(speakers.Speaker(0, '0a7c2a8d', unseen=False))
  assert len(names) == len(set(names)) == 10 * 3 + 25
  assert names[0] == 'backward/0a7c2a8d_nohash_0.wav'
  assert [name for name in names if name.startswith('yes/')] == [
    'yes/0a7c2a8d_nohash_0.wav',
    'yes/0a7c2a8d_nohash_1.wav',
    'yes/0a7c2a8d_nohash_2.wav',
  ]


def test_clips_last_a_second_and_are_neither_silent_nor_clipped(recorded):
  for audio in recorded.values():
    assert audio.shape == (source.CLIP_SAMPLES,)
    level = np.sqrt(np.mean(np.square(audio / 32768.0)))
    assert 10 ** (-50 / 20) < level < 10 ** (-10 / 20)
    assert np.mean(np.abs(audio.astype(int)) >= 32767) < 0.001


def test_takes_and_words_differ_and_move_about(recorded):
  assert len({audio.tobytes() for audio in recorded.values()}) == 55
  centres = [_centre(audio) for audio in recorded.values()]
  assert np.std(centres) > 0.08
  assert 0.35 < np.mean(centres) < 0.65


def _centre(audio):
  energy = np.square(audio.astype(float))
  return np.sum(energy * np.linspace(0, 1, len(audio))) / np.sum(energy)


def test_unseen_voices_share_neither_accent_nor_variant():
  accents = [set(), set()]
  variants = [set(), set()]
  for unseen in (False, True):
    for number in range(400):
      person = speakers.Speaker(number, '', unseen)
      accent, _, variant = speakers.voice_name(person, 0).partition('+')
      accents[unseen].add(accent)
      variants[unseen].add(variant)
  assert accents == [
    set(speakers.SEEN_ACCENTS),
    set(speakers.UNSEEN_ACCENTS),
  ]
  assert variants == [
    set(speakers.SEEN_VARIANTS),
    set(speakers.UNSEEN_VARIANTS),
  ]
  assert accents[0].isdisjoint(accents[1])
  assert variants[0].isdisjoint(variants[1])


def test_speakers_depend_on_seed_and_number():
  def voices(seed):
    people = (speakers.Speaker(n, '', unseen=False) for n in range(30))
    return [speakers.voice_name(person, seed) for person in people]

  assert voices(0) == voices(0)
  assert voices(0) != voices(1)
  assert len(set(voices(0))) > 20


@pytest.mark.parametrize('name', speakers.BACKGROUND)
def test_background_repeats_and_is_audible(name):
  noise = speakers.background(name, samples=32000, seed=0)
  assert noise.dtype == np.int16
  assert noise.shape == (32000,)
  again = speakers.background(name, samples=32000, seed=0)
  other = speakers.background(name, samples=32000, seed=1)
  assert noise.tobytes() == again.tobytes() != other.tobytes()
  level = 20 * np.log10(np.sqrt(np.mean(np.square(noise / 32768.0))))
  assert -29 < level < -19
