import shutil

from experiments import data_identity


def identity(source='folder', **keys):
  data = {'source': source, 'data_dir': '', 'test_dir': '', 'manual_dir': ''}
  data_identity._content.cache_clear()
  return data_identity.identity(data | keys)


def test_it_is_what_a_folder_holds(speech, tmp_path):
  whole = identity(data_dir=str(speech))
  copy = tmp_path / 'elsewhere'
  shutil.copytree(speech, copy)
  assert identity(data_dir=str(copy)) == whole
  assert str(speech) not in str(whole)
  next(copy.glob('yes/*.wav')).rename(copy / 'yes' / 'other_nohash_0.wav')
  renamed = identity(data_dir=str(copy))
  assert renamed != whole
  (copy / 'validation_list.txt').write_text('yes/other_nohash_0.wav\n')
  assert identity(data_dir=str(copy)) not in (whole, renamed)
  assert identity(data_dir=str(speech), test_dir=str(copy)) != whole


def test_other_options_stay():
  assert identity(protocol='bifsmn')['protocol'] == 'bifsmn'


def test_a_folder_that_is_missing_keeps_its_name(tmp_path):
  path = str(tmp_path / 'no')
  assert identity(data_dir=path)['data_dir'] == path


def test_prepared_data_are_known_by_their_sizes(prepared):
  folder = prepared(['1', '2'])
  found = identity('tfds', data_dir=folder, manual_dir='/b')
  assert found['data_dir'] == \
    "{'train': 3, 'validation': 10102, 'test': 4890}"
  assert identity('tfds', data_dir='/no')['data_dir'] == ''


def test_places_of_the_synthetic_corpus_do_not_count():
  assert identity('synthetic', data_dir='/a') == identity('synthetic')
