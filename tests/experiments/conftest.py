"""A tiny ablation on a tiny data set."""

import json
import pathlib

import numpy as np
import pytest

from bnn_jax.data import wav

# Of whom the two last are of the split 'dev'.
TRAINING = (0, 1, 2, 3, 4, 5, 0x10, 0x15)
HELD_OUT = {'validation': (6,), 'testing': (7,)}
WORDS = ('yes', 'no', 'bed')
FILE = '''
TINY = {
  'training.batch_size': 6, 'training.log_steps': 1,
  'front_end.mel_bins': 8, 'front_end.hop_ms': 40.0,
  'model.thermometer_levels': 3, 'model.shape': '8k3s4p2-8x1',
}

def sweep(add):
  add('default', 'smoke', TINY)
  add('strong', 'smoke', TINY | {'penalty.weight': 9.0})
  add('wide', 'smoke,accumulator_bits=12', TINY)
'''


@pytest.fixture
def ablation(tmp_path) -> pathlib.Path:
  path = tmp_path / 'ablation_tiny.py'
  path.write_text(FILE)
  return path


@pytest.fixture(scope='session')
def speech(tmp_path_factory) -> pathlib.Path:
  """Tones of a pitch by the word: 18 clips in 'fit' and 6 in 'dev'."""
  folder = tmp_path_factory.mktemp('speech')
  random = np.random.default_rng(0)
  time = np.arange(8000) / 16000
  lists: dict[str, list[str]] = {split: [] for split in HELD_OUT}
  for i, word in enumerate(WORDS):
    (folder / word).mkdir()
    for number in (*TRAINING, *sum(HELD_OUT.values(), ())):
      tone = 3000 * np.sin(2 * np.pi * (300 + 400 * i) * time)
      audio = tone + random.normal(0, 300, len(tone))
      name = f'{word}/{number:08x}_nohash_0.wav'
      wav.write(folder / name, audio.astype(np.int16))
      for split, numbers in HELD_OUT.items():
        lists[split] += [name] * (number in numbers)
  for split, names in lists.items():
    (folder / f'{split}_list.txt').write_text('\n'.join(names) + '\n')
  return folder


@pytest.fixture
def prepared(tmp_path):
  """Makes a folder as of tensorflow-datasets, with the sizes of shards."""
  def make(train):
    folder = tmp_path / 'speech_commands' / '0.0.3'
    folder.mkdir(parents=True)
    lengths = {'train': train, 'validation': ['10102'], 'test': ['4890']}
    (folder / 'dataset_info.json').write_text(json.dumps({
      'fileFormat': 'array_record',
      'splits': [
        {'name': name, 'shardLengths': shards}
        for name, shards in lengths.items()
      ],
    }))
    return str(tmp_path)
  return make
