import pathlib

import pytest

from bnn_jax import errors
from experiments import compare_data


def describe(source, folder='', test_dir=''):
  return compare_data.describe({
    'source': source, 'data_dir': str(folder), 'test_dir': test_dir,
    'manual_dir': '',
  })


def test_synthetic():
  assert describe('synthetic') == ('synthetic corpus', '', False)


@pytest.mark.parametrize('train, expected', [
  (['80000', '5511'], ('Speech Commands V2, test archive', 'V2', True)),
  (['85510'], ('Speech Commands subset (100,502 clips)', '', False)),
])
def test_the_official_set_has_every_example(prepared, train, expected):
  assert describe('tfds', prepared(train)) == expected


def test_a_part_is_called_one(speech):
  # Ten speakers of three words.
  assert describe('folder', speech) \
    == ('Speech Commands subset (30 clips)', '', False)


@pytest.mark.parametrize('clips, title, version', [
  (105_829, 'Speech Commands V2', 'V2'), (64_721, 'Speech Commands V1', 'V1'),
  (26_366, 'Speech Commands subset (26k clips)', ''),
  (105_828, 'Speech Commands subset (106k clips)', ''),
])
@pytest.mark.parametrize('tests', [3_081, 4_890, 4_889])
def test_what_is_whole_has_every_clip(
  monkeypatch, tmp_path, clips, title, version, tests
):
  counts = {('yes', '*.wav'): clips, ('t', '*/*.wav'): tests}
  monkeypatch.setattr(
    pathlib.Path, 'glob',
    lambda folder, pattern: range(counts.get((folder.name, pattern), 0)),
  )
  test_dir = tmp_path / 't'
  test_dir.mkdir()
  assert describe('folder', tmp_path) == (title, version, False)
  found = describe('folder', tmp_path, test_dir)
  if (version, tests) in (('V1', 3_081), ('V2', 4_890)):
    assert found == (f'{title}, test archive', version, True)
  else:
    own = f'{title}, {tests:,} test clips of its own'
    assert found == (own, version, False)


def test_folders_have_to_exist(tmp_path):
  with pytest.raises(errors.UserError, match='no .data.data_dir. is not a'):
    describe('folder', tmp_path / 'no')
  with pytest.raises(errors.UserError, match='no .data.test_dir. is not a'):
    describe('folder', tmp_path, tmp_path / 'no')
