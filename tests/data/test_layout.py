import re

import pytest

from bnn_jax import errors
from bnn_jax.data import labels
from bnn_jax.data import layout

NAMES = [
  'bed/0ea0e2f4_nohash_0.wav',
  'yes/004ae714_nohash_0.wav',
  'yes/004ae714_nohash_1.wav',
  'yes/026290a7_nohash_0.wav',
]


@pytest.fixture
def root(tmp_path):
  for name in NAMES:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
  return tmp_path


def write_list(root, split, *names):
  (root / f'{split}_list.txt').write_text(''.join(f'{n}\r\n' for n in names))


def partition(root, *further):
  splits = ('training', 'validation', 'testing', *further)
  return {split: layout.split_names(root, split) for split in splits}


def test_without_lists_the_hash_splits(root):
  assert partition(root) == {
    'training': NAMES[1:3],
    'validation': NAMES[3:],
    'testing': NAMES[:1],
  }


def test_lists_override_the_hash(root):
  write_list(root, 'validation', NAMES[2])
  write_list(root, 'testing', '', NAMES[1], NAMES[0])
  assert partition(root) == {
    'training': NAMES[3:],
    'validation': [NAMES[2]],
    'testing': NAMES[:2],
  }


def test_a_further_list_is_a_further_split_beside_the_hash(root):
  write_list(root, 'unseen', NAMES[2], NAMES[3])
  assert partition(root, 'unseen') == {
    'training': [NAMES[1]],
    'validation': [],
    'testing': [NAMES[0]],
    'unseen': NAMES[2:],
  }


def test_a_further_list_is_a_further_split_beside_lists(root):
  write_list(root, 'validation', NAMES[0])
  write_list(root, 'testing', NAMES[1])
  write_list(root, 'unseen', NAMES[2])
  write_list(root, '.hidden', NAMES[3])
  sizes = [len(names) for names in partition(root, 'unseen').values()]
  assert sizes == [1, 1, 1, 1]
  assert layout.split_names(root, 'training') == [NAMES[3]]


def speakers(names):
  return {name.partition('/')[2].partition('_nohash_')[0] for name in names}


@pytest.mark.parametrize('listed', [False, True])
def test_fit_and_dev_part_the_speakers_of_training(root, listed):
  for i in range(1000):
    for n in range(2):
      (root / f'yes/{i:08x}_nohash_{n}.wav').touch()
  if listed:
    write_list(root, 'validation', NAMES[3])
    write_list(root, 'testing', NAMES[0])
  found = partition(root, 'fit', 'dev')
  fit, dev, training = found['fit'], found['dev'], found['training']
  assert sorted(fit + dev) == training
  assert not speakers(fit) & speakers(dev)
  share = len(speakers(dev)) / len(speakers(training))
  assert share == pytest.approx(0.1, abs=0.03)
  assert all(map(labels.is_dev, dev))
  assert fit == sorted(fit) and dev == sorted(dev)
  for held_out in ('validation', 'testing'):
    assert not set(found[held_out]) & set(fit + dev)


def test_listed_clips_are_named_unless_their_word_has_no_folder(root):
  write_list(root, 'unseen', 'yes/gone.wav', 'no/gone.wav')
  assert layout.split_names(root, 'unseen') == ['yes/gone.wav']


def test_only_folders_of_words_and_visible_files_matter(root):
  for name in ('LICENSE', '.DS_Store', 'yes/.DS_Store'):
    (root / name).touch()
  for name in ('_background_noise_', '.cache'):
    (root / name).mkdir()
  assert layout.split_names(root, 'training') == NAMES[1:3]


def test_an_unknown_split_is_refused(root):
  write_list(root, 'unseen', NAMES[0])
  with pytest.raises(
    errors.UserError,
    match="no split 'train'; .* testing, fit, dev, unseen",
  ):
    layout.split_names(root, 'train')


@pytest.mark.parametrize(
  ('lists', 'message'),
  [
    ({'validation': NAMES[:1]}, 'only one of validation_list.txt and'),
    ({'testing': NAMES[:1]}, 'only one of validation_list.txt and'),
    ({'training': NAMES[:1]}, 'training_list.txt has no meaning'),
    ({'fit': NAMES[:1]}, 'fit_list.txt has no meaning'),
    ({'dev': NAMES[:1]}, 'dev_list.txt has no meaning'),
    (
      {'more': NAMES[:2], 'unseen': NAMES[1:]},
      'yes/004ae714_nohash_0.wav is in more_list.txt and in unseen_list.txt',
    ),
    ({'unseen': ['yes\\a.wav']}, r"unseen_list.txt names 'yes\a.wav', which"),
    ({'unseen': ['../yes/a.wav']}, 'which is not <word>/<file>.wav'),
    ({'unseen': ['yes/']}, 'which is not <word>/<file>.wav'),
    ({'unseen': ['_background_noise_/a.wav']}, 'correct the line or remove'),
  ],
)
def test_lists_that_make_no_sense_are_refused(root, lists, message):
  for split, names in lists.items():
    write_list(root, split, *names)
  with pytest.raises(errors.UserError, match=re.escape(message)):
    layout.split_names(root, 'training')


def test_a_folder_of_another_word_is_refused(root):
  (root / 'maybe').mkdir()
  with pytest.raises(errors.UserError, match='maybe is not one of the 35'):
    layout.split_names(root, 'training')


def test_an_empty_folder_is_refused(tmp_path):
  (tmp_path / '_background_noise_').mkdir()
  with pytest.raises(errors.UserError, match='holds no folder of a word'):
    layout.split_names(tmp_path, 'training')


def test_existing(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  assert layout.existing('~', 'data.data_dir') == tmp_path
  with pytest.raises(errors.UserError, match='data.data_dir is empty'):
    layout.existing('', 'data.data_dir')
  (tmp_path / 'file').touch()
  for name in ('file', 'missing'):
    with pytest.raises(errors.UserError, match=f'{name} .* is not a folder'):
      layout.existing(tmp_path / name, 'data.data_dir')


def test_canonical_names(root):
  (root / '_unknown_').mkdir()
  (root / '_unknown_/a.wav').touch()
  with pytest.raises(errors.UserError, match='bed does not belong to a test'):
    layout.canonical_names(root, 12)
  (root / NAMES[0]).unlink()
  (root / 'bed').rmdir()
  assert layout.canonical_names(root, 12) == ['_unknown_/a.wav', *NAMES[1:]]
  with pytest.raises(errors.UserError, match='12 classes, not 35'):
    layout.canonical_names(root, 35)
