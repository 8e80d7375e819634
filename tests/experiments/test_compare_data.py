import pytest

from experiments import compare_data


def describe(source, folder='', test_dir=''):
  return compare_data.describe(
    {'source': source, 'data_dir': str(folder), 'test_dir': test_dir}
  )


def test_official_and_synthetic():
  assert describe('tfds') \
    == ('Speech Commands V2, test archive', 'V2', True)
  assert describe('synthetic') == ('synthetic corpus', '', False)


def test_a_part_is_called_one(speech):
  # Ten speakers of three words.
  assert describe('folder', speech) \
    == ('Speech Commands subset (30 clips)', '', False)


@pytest.mark.parametrize('clips, title, version', [
  (105_829, 'Speech Commands V2', 'V2'), (64_721, 'Speech Commands V1', 'V1'),
  (26_366, 'Speech Commands subset (26k clips)', ''),
  (105_828, 'Speech Commands subset (106k clips)', ''),
])
def test_what_is_whole_has_every_clip(monkeypatch, clips, title, version):
  def glob(folder, pattern):
    assert pattern == '*.wav'
    return range(clips if folder.name == 'yes' else 0)

  monkeypatch.setattr(compare_data.pathlib.Path, 'glob', glob)
  assert describe('folder', 'd') == (title, version, False)
  assert describe('folder', 'd', '/t') \
    == (f'{title}, test archive', version, True)
