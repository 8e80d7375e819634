import pathlib

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import sources
from bnn_jax.data import synthetic
from bnn_jax.data import wav


@pytest.fixture
def root(tmp_path):
  for name in ('yes/004ae714_nohash_0.wav', 'bed/026290a7_nohash_0.wav'):
    (tmp_path / name).parent.mkdir()
    wav.write(tmp_path / name, np.ones(10, np.int16))
  return tmp_path


@pytest.fixture
def made(root, monkeypatch):
  """The calls for a synthetic corpus, each answered with a made folder."""
  calls = []

  def ensure_corpus(cache_dir, **settings):
    calls.append((cache_dir, settings))
    return root

  monkeypatch.setattr(synthetic, 'ensure_corpus', ensure_corpus)
  return calls


def open_split(name, split, data_dir, classes=12, **settings):
  return sources.open_split(
    name,
    split,
    classes=classes,
    data_dir=str(data_dir),
    synthetic_speakers=7,
    **settings,
  )


def test_folder_opens_the_folder(root, made):
  split = open_split('folder', 'training', root)
  assert [split[n].name for n in range(len(split))] == [
    'yes/004ae714_nohash_0.wav',
    '_silence_/training-0',
  ]
  assert len(open_split('folder', 'validation', root, classes=35)) == 1
  assert not made


def test_folder_passes_its_settings_on(root):
  (root / 'bed/026290a7_nohash_1.wav').touch()
  split = open_split('folder', 'validation', root, 35, max_bad_share=0.5)
  assert len(split) == 1
  with pytest.raises(errors.UserError, match='allows 1.00%'):
    open_split('folder', 'validation', root, 35)
  with pytest.raises(errors.UserError, match='data.test_dir'):
    open_split('folder', 'testing', root, test_dir=str(root / 'missing'))


def test_synthetic_makes_the_corpus_and_opens_it(root, made, tmp_path):
  split = open_split('synthetic', 'training', tmp_path / 'cache', seed=3)
  assert split[0].name == 'yes/004ae714_nohash_0.wav'
  assert made == [(str(tmp_path / 'cache'), {'seed': 3, 'speakers': 7})]


def test_synthetic_takes_no_test_archive(made, tmp_path):
  with pytest.raises(errors.UserError, match='data.test_dir=/archive has no'):
    open_split('synthetic', 'testing', tmp_path, test_dir='/archive')
  assert not made


@pytest.mark.parametrize('name, field', [
  ('tfds', 'test_dir'), ('folder', 'manual_dir'), ('synthetic', 'manual_dir'),
])
def test_a_folder_of_another_source_is_refused(root, made, name, field):
  with pytest.raises(errors.UserError, match=f'data.{field}=/archives has no'):
    open_split(name, 'training', root, **{field: '/archives'})
  assert not made


def test_every_source_says_whom_to_name():
  assert set(sources.ATTRIBUTIONS) == set(sources.NAMES)


def test_the_default_cache(root, made, monkeypatch):
  monkeypatch.setenv('HOME', '/home/someone')
  monkeypatch.setenv('XDG_CACHE_HOME', '/scratch')
  open_split('synthetic', 'training', '')
  monkeypatch.delenv('XDG_CACHE_HOME')
  open_split('synthetic', 'training', '')
  open_split('synthetic', 'training', '~/made')
  assert [cache_dir for cache_dir, _ in made] == [
    '/scratch/bnn_jax',
    '/home/someone/.cache/bnn_jax',
    '/home/someone/made',
  ]
  assert sources.default_cache_dir() == pathlib.Path(made[1][0])


def test_an_unknown_source_or_split_lists_the_valid_ones(root, made):
  with pytest.raises(errors.UserError, match="'wav'; .* folder, tfds"):
    open_split('wav', 'training', root)
  with pytest.raises(errors.UserError, match='training, validation, testing'):
    open_split('synthetic', 'train', '')


def test_no_folder_given(root):
  with pytest.raises(errors.UserError, match='data.data_dir is empty'):
    open_split('folder', 'training', '')
