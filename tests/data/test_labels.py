import hashlib

import pytest

from bnn_jax import errors
from bnn_jax.data import labels


def test_there_are_35_sorted_words_and_ten_of_them_are_commands():
  assert len(set(labels.WORDS)) == 35
  assert list(labels.WORDS) == sorted(labels.WORDS)
  assert len(set(labels.COMMANDS) & set(labels.WORDS)) == 10


def test_class_names():
  assert ' '.join(labels.class_names(12)) == (
    'silence unknown yes no up down left right on off stop go'
  )
  assert labels.class_names(35) == labels.WORDS


def test_another_number_of_classes_is_refused():
  with pytest.raises(errors.UserError, match='10 classes.*to 12 or 35'):
    labels.class_names(10)


@pytest.mark.parametrize(
  ('folder', 'classes', 'expected'),
  [
    ('_silence_', 12, 0),
    ('_unknown_', 12, 1),
    ('backward', 12, 1),
    ('zero', 12, 1),
    ('yes', 12, 2),
    ('go', 12, 11),
    ('backward', 35, 0),
    ('yes', 35, 33),
    ('zero', 35, 34),
  ],
)
def test_label(folder, classes, expected):
  assert labels.label(folder, classes) == expected


# Entries of the archive's own lists, and clips that neither list names.
@pytest.mark.parametrize(
  ('name', 'split'),
  [
    ('bed/026290a7_nohash_0.wav', 'validation'),
    ('bed/060cd039_nohash_0.wav', 'validation'),
    ('backward/0d82fd99_nohash_0.wav', 'validation'),
    ('bed/0ea0e2f4_nohash_0.wav', 'testing'),
    ('bed/0ea0e2f4_nohash_1.wav', 'testing'),
    ('bed/105a0eea_nohash_0.wav', 'testing'),
    ('yes/004ae714_nohash_0.wav', 'training'),
    ('yes/00f0204f_nohash_0.wav', 'training'),
  ],
)
def test_which_split_is_the_official_one(name, split):
  assert labels.which_split(name) == split


def test_which_split_depends_on_the_speaker_and_the_percentages_alone():
  name = 'bed/026290a7_nohash_0.wav'
  assert labels.which_split('026290a7_nohash_9.wav') == 'validation'
  assert labels.which_split(name, 0, 0) == 'training'
  assert labels.which_split(name, 100, 0) == 'validation'
  assert labels.which_split(name, 0, 100) == 'testing'


def test_which_split_against_the_formula_of_the_archive():
  counts = dict.fromkeys(('training', 'validation', 'testing'), 0)
  for speaker in range(2000):
    digest = int(hashlib.sha1(f'{speaker:08x}'.encode()).hexdigest(), 16)
    percent = (digest % 2**27) * (100.0 / (2**27 - 1))
    expected = 'training'
    if percent < 20:
      expected = 'validation' if percent < 10 else 'testing'
    assert labels.which_split(f'go/{speaker:08x}_nohash_3.wav') == expected
    counts[expected] += 1
  assert min(counts.values()) > 150


@pytest.mark.parametrize(
  ('words', 'expected'),
  [
    ([], 0),
    (['bed'], 0),
    (['yes', 'yes', 'yes', 'bed'], 3),
    (['yes', 'yes', 'no'], 2),  # 1.5
    (['yes', 'yes', 'yes', 'yes', 'no'], 3),  # 2.5
    (['yes', 'yes', 'no', 'up'], 1),
  ],
)
def test_mean_command_count(words, expected):
  assert labels.mean_command_count(words) == expected


def test_select_unknown_takes_the_lowest_hashes_whatever_the_order():
  names = [f'bed/{n}_nohash_0.wav' for n in range(9)]
  digests = {hashlib.sha1(n.encode()).hexdigest(): n for n in names}
  lowest = [digests[d] for d in sorted(digests)[:4]]
  assert labels.select_unknown(names, 4) == sorted(lowest)
  assert labels.select_unknown(names[::-1], 4) == sorted(lowest)
  assert labels.select_unknown(names, 20) == names
  assert labels.select_unknown(names, 0) == []


def test_speaker():
  assert labels.speaker('yes/0a7c2a8d_nohash_0.wav') == '0a7c2a8d'
  assert labels.speaker('0a7c2a8d_nohash_12.wav') == '0a7c2a8d'
  assert labels.speaker('_silence_/dev-3') != labels.speaker('_silence_/dev-4')


def test_dev_is_a_tenth_by_the_speaker_alone():
  names = [f'{speaker:08x}' for speaker in range(5000)]
  for name in names[:200]:
    digest = hashlib.sha1(f'{name}dev'.encode()).hexdigest()
    expected = int(digest, 16) % 10 == 0
    assert labels.is_dev(f'yes/{name}_nohash_0.wav') == expected
    assert labels.is_dev(f'{name}_nohash_7.wav') == expected
  share = sum(map(labels.is_dev, names)) / len(names)
  assert 0.085 < share < 0.115
