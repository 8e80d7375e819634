import errno
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import labels
from bnn_jax.data import synthetic
from bnn_jax.data import wav

_SPEAKERS = 3
_CALL = (
  'import os, sys\n'
  'from bnn_jax.data import synthetic\n'
  'corpus = synthetic.ensure_corpus('
  f'sys.argv[1], seed=0, speakers={_SPEAKERS}, workers=int(sys.argv[2]))\n'
  'print(os.stat(corpus).st_ino)\n'
)
_LISTS = ('validation', 'testing', 'unseen')


def _corpus(cache, seed=0, workers=1):
  return synthetic.ensure_corpus(
    str(cache), seed=seed, speakers=_SPEAKERS, workers=workers
  )


def _contents(folder):
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file()
  }


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
  return _corpus(tmp_path_factory.mktemp('cache'))


def _listed(corpus, split):
  return (corpus / f'{split}_list.txt').read_text().splitlines()


def _speakers(names):
  return {name.partition('/')[2].partition('_nohash_')[0] for name in names}


def test_layout(corpus):
  folders = {path.name for path in corpus.iterdir() if path.is_dir()}
  assert folders == {*labels.WORDS, '_background_noise_'}
  clips = [*corpus.glob('[a-z]*/*.wav')]
  assert len(clips) == (_SPEAKERS + 2) * 55
  assert {path.stat().st_size for path in clips} == {44 + 2 * 16000}
  noises = sorted((corpus / '_background_noise_').iterdir())
  assert len(noises) == 6
  assert {len(wav.read(path)) for path in noises} == {60 * 16000}
  hidden = [path for path in corpus.rglob('.*')]
  assert not hidden


def test_splits_hold_every_word_and_share_no_speaker(corpus):
  names = {split: set(_listed(corpus, split)) for split in _LISTS}
  everything = {
    f'{path.parent.name}/{path.name}' for path in corpus.glob('[a-z]*/*.wav')
  }
  names['training'] = everything.difference(*names.values())
  for split, clips in names.items():
    assert clips <= everything
    assert {name.partition('/')[0] for name in clips} == set(labels.WORDS)
    if split != 'unseen':
      assert {labels.which_split(name) for name in clips} == {split}
  people = [_speakers(clips) for clips in names.values()]
  assert len(set().union(*people)) == sum(map(len, people)) == _SPEAKERS + 2


@pytest.mark.parametrize('speakers', [3, 24, 300])
def test_cast_fills_every_split(speakers):
  people = synthetic.cast(seed=0, speakers=speakers)
  unseen = [person for person in people if person.unseen]
  seen = [person for person in people if not person.unseen]
  assert len(seen) == speakers
  assert len(unseen) == {3: 2, 24: 3, 300: 40}[speakers]
  splits = [labels.which_split(f'{p.name}_nohash_0.wav') for p in seen]
  held_out = {3: 1, 24: 3, 300: 30}[speakers]
  assert splits.count('validation') == splits.count('testing') == held_out
  assert len({person.name for person in people}) == len(people)
  assert {len(person.name) for person in people} == {8}


def test_same_bytes_whatever_the_workers(corpus, tmp_path):
  np.testing.assert_array_equal(jax.numpy.arange(2) + 1, [1, 2])
  assert _contents(_corpus(tmp_path, workers=2)) == _contents(corpus)


def test_another_seed_gives_other_bytes(corpus, tmp_path):
  first, other = _contents(corpus), _contents(_corpus(tmp_path, seed=1))
  assert not set(first.values()) & set(other.values())


def test_it_is_made_once(corpus, monkeypatch):
  monkeypatch.setattr(synthetic, '_make', None)
  assert _corpus(corpus.parent) == corpus
  assert corpus.name == f'synthetic-v{synthetic.VERSION}-seed0-{_SPEAKERS}'


def _start(cache, workers=1, command=('-c', _CALL)):
  return subprocess.Popen(
    [sys.executable, *command, str(cache), str(workers)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _finish(process):
  try:
    return process.communicate(timeout=60)
  finally:
    process.kill()


def test_two_processes_at_once_share_one_corpus(corpus, tmp_path):
  both = [_start(tmp_path), _start(tmp_path)]
  answers = [_finish(process)[0] for process in both]
  assert [process.returncode for process in both] == [0, 0]
  made = tmp_path / corpus.name
  assert answers == [f'{made.stat().st_ino}\n'] * 2
  assert _contents(made) == _contents(corpus)
  assert not [*tmp_path.glob('*partial*')]


def test_an_interrupted_call_leaves_nothing_that_is_used(corpus, tmp_path):
  process = _start(tmp_path)
  while not [*tmp_path.glob('*partial*/yes/*.wav')]:
    assert process.poll() is None
    time.sleep(0.005)
  process.send_signal(signal.SIGKILL)
  _finish(process)
  assert not (tmp_path / corpus.name).exists()
  assert [*tmp_path.glob('*partial*')]
  assert _contents(_corpus(tmp_path)) == _contents(corpus)
  assert not [*tmp_path.glob('*partial*')]


def test_a_script_without_a_guard_does_not_hang(tmp_path):
  script = tmp_path / 'script.py'
  script.write_text(_CALL)
  process = _start(tmp_path / 'cache', workers=2, command=(str(script),))
  _, stderr = _finish(process)
  assert process.returncode == 1
  assert "if __name__ == '__main__'" in stderr
  assert not [*(tmp_path / 'cache').glob('*partial*')]


def test_a_full_disk_names_the_remedy(monkeypatch, tmp_path):
  def fail(path, audio):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(wav, 'write', fail)
  with pytest.raises(errors.UserError, match='No space left.*free some space'):
    _corpus(tmp_path)
  assert [path.suffix for path in tmp_path.iterdir()] == ['.lock']


def test_a_folder_that_cannot_be_written_names_the_remedy(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.UserError, match='set data.data_dir'):
    _corpus(tmp_path / 'file' / 'cache')


@pytest.mark.parametrize(('seed', 'speakers'), [(-1, 24), (0, 2)])
def test_values_out_of_range_are_refused(tmp_path, seed, speakers):
  with pytest.raises(errors.UserError, match='set '):
    synthetic.ensure_corpus(str(tmp_path), seed=seed, speakers=speakers)
