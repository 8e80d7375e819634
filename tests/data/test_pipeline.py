import itertools
import json
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import augmentation as augmentation_lib
from bnn_jax.data import pipeline
from bnn_jax.data import source as source_lib


class _Clips:
  """Clip i holds the sample i + 1 throughout and has the label i."""

  class_names = tuple('abcdefg')
  background = (np.full(20000, 3000, np.int16), np.full(16000, -9, np.int16))
  notes = ()

  def __init__(self, count):
    self.count = count

  def __len__(self):
    return self.count

  def __getitem__(self, index):
    if not 0 <= index < self.count:
      raise IndexError(index)
    audio = np.full(source_lib.CLIP_SAMPLES, index + 1, np.int16)
    return source_lib.Clip(audio, index, f'{index}.wav')


def _iterator(count=23, **settings):
  settings = {
    'batch_size': 5,
    'seed': 3,
    'augmentation': augmentation_lib.Augmentation(),
    'threads': 0,
  } | settings
  return pipeline.train_iterator(_Clips(count), **settings)


def _labels(iterator, batches):
  return [next(iterator)['label'].tolist() for _ in range(batches)]


def _assert_same(batch, other):
  assert batch.keys() == other.keys()
  for name in batch:
    np.testing.assert_array_equal(batch[name], other[name])


def test_batches_without_augmentation_are_the_clips():
  batch = next(_iterator(augmentation=augmentation_lib.NONE))
  assert batch['audio'].dtype == np.float32
  assert batch['audio'].shape == (5, 16000)
  assert batch['label'].dtype == np.int32
  want = (batch['label'] + 1) / np.float32(32768)
  assert (batch['audio'] == want[:, None]).all()


def test_batches_are_augmented():
  batch = next(_iterator())
  assert (batch['audio'].std(axis=1) > 0).any()
  assert -1 <= batch['audio'].min()
  assert batch['audio'].max() < 1


def test_each_epoch_is_a_new_order_without_the_remainder():
  iterator = _iterator()
  epochs = [sum(_labels(iterator, 4), []) for _ in range(3)]
  for epoch in epochs:
    assert len(set(epoch)) == 20
    assert set(epoch) <= set(range(23))
  assert epochs[0] != epochs[1] != epochs[2]
  assert set(epochs[0]) != set(epochs[1]) or set(epochs[1]) != set(epochs[2])


def test_batches_follow_from_the_seed_whatever_the_threads():
  again = _iterator(threads=2)
  for batch in itertools.islice(_iterator(), 7):
    _assert_same(batch, next(again))
  again.close()
  assert _labels(_iterator(seed=4), 4) != _labels(_iterator(), 4)


def test_a_clip_is_augmented_anew_in_each_epoch():
  iterator = _iterator(count=5)
  first, second = next(iterator), next(iterator)
  rows = np.argsort(first['label']), np.argsort(second['label'])
  assert (first['audio'][rows[0]] != second['audio'][rows[1]]).any()


@pytest.mark.parametrize('threads', [0, 2])
@pytest.mark.parametrize('position', [0, 3, 4, 9])
def test_a_new_iterator_goes_on_from_a_state(threads, position):
  iterator = _iterator(threads=threads)
  for _ in range(position):
    next(iterator)
  state = json.loads(json.dumps(iterator.get_state()))
  other = _iterator(threads=2 - threads)
  next(other)
  other.set_state(state)
  for _ in range(6):
    _assert_same(next(iterator), next(other))
  iterator.close()
  other.close()


def test_processes_share_every_batch():
  whole = _iterator(batch_size=6)
  parts = [
    _iterator(batch_size=6, process_index=i, process_count=3)
    for i in range(3)
  ]
  for _ in range(5):
    pieces = [next(part) for part in parts]
    assert pieces[0]['audio'].shape == (2, 16000)
    joined = {
      name: np.concatenate([piece[name] for piece in pieces])
      for name in pieces[0]
    }
    _assert_same(next(whole), joined)


@pytest.mark.parametrize(
  'setting, word',
  [
    ({'batch_size': 24}, 'exceeds the 23 training clips'),
    ({'batch_size': 0}, 'batch_size=0'),
    ({'process_count': 2}, 'shared by 2'),
    ({'process_index': 1}, 'process_index=1'),
    ({'seed': -1}, 'seed=-1'),
    ({'threads': -1}, 'threads=-1'),
  ],
)
def test_bad_arguments_are_named(setting, word):
  with pytest.raises(errors.UserError, match=word):
    _iterator(**setting)


@pytest.mark.parametrize('count, batches', [(7, 3), (6, 2), (2, 1)])
def test_evaluation_covers_every_clip_once_in_order(count, batches):
  got = list(pipeline.evaluation_batches(_Clips(count), batch_size=3))
  assert len(got) == batches
  for batch in got:
    assert batch['audio'].shape == (3, 16000)
    assert batch['audio'].dtype == np.float32
    assert batch['mask'].dtype == bool
    assert batch['label'].dtype == batch['index'].dtype == np.int32
    assert (batch['index'][~batch['mask']] == -1).all()
    assert not batch['audio'][~batch['mask']].any()
  mask = np.concatenate([batch['mask'] for batch in got])
  label = np.concatenate([batch['label'] for batch in got])
  index = np.concatenate([batch['index'] for batch in got])
  audio = np.concatenate([batch['audio'] for batch in got])
  assert index[mask].tolist() == label[mask].tolist() == list(range(count))
  assert (audio[mask] == (index[mask, None] + 1) / np.float32(32768)).all()


def test_evaluation_refuses_at_once():
  with pytest.raises(errors.UserError, match='empty'):
    pipeline.evaluation_batches(_Clips(0), batch_size=3)
  with pytest.raises(errors.UserError, match='batch_size=0'):
    pipeline.evaluation_batches(_Clips(2), batch_size=0)


_STOPPED = '''
import signal, sys
from tests.data import test_pipeline
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
iterator = test_pipeline._iterator(threads=2)
next(iterator)
print('on', flush=True)
while True:
  next(iterator)
'''


def test_sigterm_ends_a_program_that_reads():
  process = subprocess.Popen(
    [sys.executable, '-c', _STOPPED],
    stdout=subprocess.PIPE,
    cwd=pathlib.Path(__file__).parents[2],
  )
  assert process.stdout.readline() == b'on\n'
  process.send_signal(signal.SIGTERM)
  process.communicate(timeout=20)
  assert process.returncode == 7


class _Broken(_Clips):
  def __getitem__(self, index):
    raise errors.UserError(f'Clip {index} is broken: delete it.')


@pytest.mark.parametrize('threads', [0, 2])
def test_an_error_of_the_source_reaches_the_caller(threads):
  iterator = pipeline.train_iterator(
    _Broken(9),
    batch_size=3,
    seed=0,
    augmentation=augmentation_lib.NONE,
    threads=threads,
  )
  with pytest.raises(errors.UserError, match='is broken: delete it'):
    next(iterator)
  iterator.close()
