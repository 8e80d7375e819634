import pickle

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import folder
from bnn_jax.data import labels
from bnn_jax.data import source
from bnn_jax.data import wav

# By the official hash all clips of these speakers are in one split.
SPEAKERS = {
  'training': '004ae714',
  'validation': '026290a7',
  'testing': '0ea0e2f4',
}
NOISE_SAMPLES = 200_000


def add(root, name, audio=None, samples=100):
  path = root / name
  path.parent.mkdir(parents=True, exist_ok=True)
  if audio is None:
    audio = np.full(samples, len(name), np.int16)
  wav.write(path, audio)


@pytest.fixture
def root(tmp_path):
  """Training: yes 3, no 2, cat 5, bed 1 clips; validation, testing: yes 1."""
  for word, count in {'yes': 3, 'no': 2, 'cat': 5, 'bed': 1}.items():
    for n in range(count):
      add(tmp_path, f'{word}/{SPEAKERS["training"]}_nohash_{n}.wav')
  for split in ('validation', 'testing'):
    add(tmp_path, f'yes/{SPEAKERS[split]}_nohash_0.wav')
  return tmp_path


@pytest.fixture
def noisy(root):
  """Two noise files; each tenth of the first counts up, but for its tenth."""
  ramp = np.arange(NOISE_SAMPLES) * 10 // NOISE_SAMPLES * 1000 + 1000
  add(root, '_background_noise_/a.wav', ramp.astype(np.int16))
  add(root, '_background_noise_/b.wav', -ramp.astype(np.int16))
  (root / '_background_noise_/README.md').touch()
  return root


def everything(split):
  return [split[index] for index in range(len(split))]


def names(split):
  return [clip.name for clip in everything(split)]


def test_35_classes_give_every_clip_once_in_sorted_order(root):
  split = folder.FolderSource(root, 'training', classes=35)
  speaker = SPEAKERS['training']
  assert split.class_names == labels.WORDS
  assert names(split) == [
    f'{word}/{speaker}_nohash_{n}.wav'
    for word, count in (('bed', 1), ('cat', 5), ('no', 2), ('yes', 3))
    for n in range(count)
  ]
  for clip in everything(split):
    word = clip.name.partition('/')[0]
    assert split.class_names[clip.label] == word


def test_12_classes_limit_unknown_and_add_silence(noisy):
  split = folder.FolderSource(noisy, 'training')
  clips = everything(split)
  # The mean of 3 and 2 is 2.5, so 3 clips each of unknown and silence.
  assert np.bincount([clip.label for clip in clips]).tolist() == [3, 3, 3, 2]
  speaker = SPEAKERS['training']
  others = [f'bed/{speaker}_nohash_0.wav'] + [
    f'cat/{speaker}_nohash_{n}.wav' for n in range(5)
  ]
  kept = [clip.name for clip in clips if clip.label == 1]
  assert kept == labels.select_unknown(others, 3)
  spoken = names(split)[:-3]
  assert spoken == sorted(spoken)
  assert names(split)[-3:] == [f'_silence_/training-{n}' for n in range(3)]
  assert len(set(names(split))) == len(split)


def test_audio_is_one_second_padded_or_cut(root):
  long = np.arange(20_000, dtype=np.int16)
  add(root, 'go/004ae714_nohash_0.wav', long)
  split = folder.FolderSource(root, 'training', classes=35)
  by_name = {clip.name: clip.audio for clip in everything(split)}
  assert all(a.shape == (16000,) for a in by_name.values())
  assert all(a.dtype == np.int16 for a in by_name.values())
  cut = by_name['go/004ae714_nohash_0.wav']
  assert np.array_equal(cut, long[:16000])
  padded = by_name['no/004ae714_nohash_1.wav']
  assert np.array_equal(padded[:100], np.full(100, 24))
  assert not padded[100:].any()


@pytest.mark.parametrize(
  ('name', 'levels'),
  [
    ('training', range(1000, 9000, 1000)),
    ('validation', [9000]),
    ('testing', [10000]),
    ('unseen', [10000]),
  ],
)
def test_each_split_hears_its_own_part_of_the_noise(noisy, name, levels):
  (noisy / 'unseen_list.txt').write_text('no/004ae714_nohash_0.wav\n')
  split = folder.FolderSource(noisy, name)
  first, second = split.background
  assert len(first) == NOISE_SAMPLES // 10 * len(levels)
  assert np.unique(first).tolist() == list(levels)
  assert np.array_equal(second, -first)
  for clip in everything(split):
    if clip.label == 0:
      assert 0 < np.abs(clip.audio).max() <= max(levels)


def test_silence_is_a_scaled_cut_of_the_noise_drawn_from_the_index(noisy):
  for n in range(40):
    add(noisy, f'yes/004ae714_nohash_{n}.wav')
  random = np.random.default_rng(0)
  noise = random.integers(-9999, 9999, NOISE_SAMPLES).astype(np.int16)
  for name in ('a', 'b'):
    add(noisy, f'_background_noise_/{name}.wav', noise)
  split = folder.FolderSource(noisy, 'training')
  (part, _) = split.background
  silences = [clip.audio for clip in everything(split) if clip.label == 0]
  gains = []
  for audio in silences:
    # The cut is where the correlation with the noise is largest.
    lags = np.correlate(part.astype(float), audio[:2000].astype(float))
    cut = part[lags.argmax() : lags.argmax() + 16000].astype(float)
    gain = audio @ cut / (cut @ cut)
    assert np.abs(audio - gain * cut).max() < 0.6
    gains.append(gain)
  assert len(gains) == 21
  assert 0.0 <= min(gains) < 0.2 < 0.8 < max(gains) <= 1.0


def test_silence_does_not_depend_on_the_other_clips(noisy):
  before = folder.FolderSource(noisy, 'training')
  silence = before[len(before) - 3]
  add(noisy, 'up/004ae714_nohash_0.wav')
  add(noisy, 'up/004ae714_nohash_1.wav')
  after = folder.FolderSource(noisy, 'training')
  index = names(after).index(silence.name)
  assert np.array_equal(after[index].audio, silence.audio)


def test_each_split_draws_its_own_silence_from_the_shortest_noise(root):
  flat = np.full(10 * source.CLIP_SAMPLES, 10_000, np.int16)
  add(root, '_background_noise_/a.wav', flat)
  levels = {}
  for split, speaker in SPEAKERS.items():
    for n in range(20):
      add(root, f'yes/{speaker}_nohash_{n}.wav')
      add(root, f'no/{speaker}_nohash_{n}.wav')
    opened = folder.FolderSource(root, split)
    silences = [clip.audio for clip in everything(opened) if clip.label == 0]
    # A part of one second leaves one cut; only the level is drawn.
    assert [np.ptp(audio) for audio in silences] == [0] * 20
    assert {audio.shape for audio in silences} == {(16000,)}
    levels[split] = [int(audio[0]) for audio in silences]
  drawn = [level for split in levels.values() for level in split]
  assert len(set(drawn)) > 50


def test_silence_without_noise_is_zeros_and_a_note_says_so(root):
  split = folder.FolderSource(root, 'training')
  assert split.background == ()
  assert not split[len(split) - 1].audio.any()
  assert split.notes[-1] == (
    f'The 3 silence clips of the training split in {root} are zeros, as there'
    ' is no background noise.'
  )


def test_noise_that_cannot_be_used_is_left_out_by_name(noisy):
  noise = noisy / '_background_noise_'
  add(noisy, '_background_noise_/b.wav', samples=159_990)
  (noise / 'c.wav').write_bytes(b'')
  training = folder.FolderSource(noisy, 'training')
  assert [len(part) for part in training.background] == [160_000, 127_992]
  assert training.notes[0] == (
    f'The background noise {noise}/c.wav is left out: empty file.'
  )
  testing = folder.FolderSource(noisy, 'testing')
  assert [len(part) for part in testing.background] == [20_000]
  assert testing.notes[0] == (
    f'The background noise {noise}/b.wav is left out: its part for testing is'
    ' shorter than one clip.'
  )


def test_indexing_is_pure_and_survives_pickling(noisy):
  split = folder.FolderSource(noisy, 'training')
  copy = pickle.loads(pickle.dumps(split))
  first = everything(split)
  again = [split[i] for i in reversed(range(len(split)))][::-1]
  for a, b, c in zip(first, again, everything(copy), strict=True):
    assert a[1:] == b[1:] == c[1:]
    assert np.array_equal(a.audio, b.audio)
    assert np.array_equal(a.audio, c.audio)


@pytest.mark.parametrize('index', [-1, 11])
def test_an_index_out_of_range(root, index):
  with pytest.raises(IndexError, match=f'clip {index} of 11'):
    folder.FolderSource(root, 'training', classes=35)[index]


def test_missing_words_are_a_note(root):
  note = folder.FolderSource(root, 'training', classes=35).notes[0]
  missing = [w for w in labels.WORDS if w not in ('bed', 'cat', 'no', 'yes')]
  assert note == (
    f'There are no clips of {", ".join(missing)} in the training split in'
    f' {root}.'
  )
  for word in missing:
    add(root, f'{word}/004ae714_nohash_0.wav')
  assert folder.FolderSource(root, 'training', classes=35).notes == ()


def test_a_word_without_its_folder_is_not_a_fault_of_the_lists(root):
  clip = f'{SPEAKERS["testing"]}_nohash_0.wav'
  (root / 'validation_list.txt').touch()
  (root / 'testing_list.txt').write_text(f'yes/{clip}\nwow/{clip}\n')
  split = folder.FolderSource(root, 'testing', classes=35)
  assert names(split) == [f'yes/{clip}']


def test_no_command_is_an_error_for_12_classes_only(root):
  (root / 'unseen_list.txt').write_text('cat/004ae714_nohash_0.wav\n')
  assert len(folder.FolderSource(root, 'unseen', classes=35)) == 1
  with pytest.raises(errors.UserError, match='no clip of the ten commands in'):
    folder.FolderSource(root, 'unseen')


def test_an_empty_split_is_an_error(root):
  (root / 'unseen_list.txt').touch()
  with pytest.raises(errors.UserError, match='no clip of any word in the uns'):
    folder.FolderSource(root, 'unseen', classes=35)


def test_bad_files_within_the_share_are_left_out_and_named(root):
  bad = {
    'bed/b.wav': 'empty file',
    'cat/a.flac': 'not a WAV file',
    'yes/e.wav': 'does not exist',
    'yes/f.wav': 'does not exist',
  }
  (root / 'bed/b.wav').write_bytes(b'')
  (root / 'cat/a.flac').write_bytes(b'fLaC')
  clips = [p.relative_to(root).as_posix() for p in root.glob('*/*')]
  (root / 'unseen_list.txt').write_text('\n'.join({*clips, *bad}))
  split = folder.FolderSource(root, 'unseen', classes=35, max_bad_share=0.25)
  assert len(split) == 13
  assert not set(bad) & set(names(split))
  assert split.notes[0] == (
    f'4 of the 17 clips of the unseen split in {root} cannot be used and are'
    ' left out: bed/b.wav: empty file; cat/a.flac: not a WAV file; yes/e.wav:'
    ' does not exist; and others.'
  )


def test_bad_files_in_excess_of_the_share_are_an_error(root):
  content = (root / 'yes/004ae714_nohash_0.wav').read_bytes()
  (root / 'yes/004ae714_nohash_0.wav').write_bytes(content[:-2])
  # 1 of 11 clips: a share of exactly the limit is allowed.
  folder.FolderSource(root, 'training', classes=35, max_bad_share=1 / 11)
  folder.FolderSource(root, 'testing', classes=35)
  with pytest.raises(errors.UserError) as caught:
    folder.FolderSource(root, 'training', classes=35)
  assert str(caught.value) == (
    f'1 of the 11 clips of the training split in {root} cannot be used (9.09%,'
    ' and data.max_bad_share allows 1.00%), the first is'
    ' yes/004ae714_nohash_0.wav: truncated (198 of 200 bytes of audio); repair'
    ' or remove these files, or raise data.max_bad_share.'
  )


@pytest.mark.parametrize('share', [-0.1, 5.0])
def test_a_share_that_is_none_is_refused(root, share):
  with pytest.raises(errors.UserError, match=f'max_bad_share is {share}'):
    folder.FolderSource(root, 'training', max_bad_share=share)


@pytest.mark.parametrize('damage', ['remove', 'cut'])
def test_a_file_that_turns_bad_later_is_named(root, damage):
  split = folder.FolderSource(root, 'testing', classes=35)
  path = root / split[0].name
  path.unlink() if damage == 'remove' else path.write_bytes(b'RIFF')
  with pytest.raises(errors.UserError, match=path.name):
    split[0]


@pytest.fixture
def archive(tmp_path):
  root = tmp_path / 'archive'
  for n in range(4):
    add(root, f'_silence_/{n}.wav')
    add(root, f'_unknown_/{n}.wav')
    add(root, f'go/{n}.wav')
  add(root, 'yes/0.wav')
  return root


def test_a_test_archive_replaces_testing_as_it_is(tmp_path, archive):
  data = tmp_path / 'data'
  noise = np.ones(NOISE_SAMPLES, np.int16)
  add(data, '_background_noise_/a.wav', noise)
  add(data, 'yes/004ae714_nohash_0.wav')
  split = folder.FolderSource(data, 'testing', test_dir=archive)
  clips = everything(split)
  counts = np.bincount([clip.label for clip in clips], minlength=12)
  assert counts.tolist() == [4, 4, 1] + [0] * 8 + [4]
  assert clips[0].name == '_silence_/0.wav'
  assert len(split.background) == 1
  assert split.notes == (
    'There are no clips of no, up, down, left, right, on, off, stop in the'
    f' testing split in {archive}.',
  )
  training = folder.FolderSource(data, 'training', test_dir=archive)
  assert len(training) == 2  # One command, one silence.


def test_a_test_archive_that_is_none(root, archive):
  with pytest.raises(errors.UserError, match='data.test_dir.* not a folder'):
    folder.FolderSource(root, 'testing', test_dir=root / 'missing')
  with pytest.raises(errors.UserError, match='12 classes, not 35'):
    folder.FolderSource(root, 'testing', test_dir=archive, classes=35)


def test_it_is_a_source(root):
  split: source.Source = folder.FolderSource(root, 'training')
  assert isinstance(split[0], source.Clip)
  assert all(isinstance(note, str) for note in split.notes)
