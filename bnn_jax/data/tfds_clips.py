"""The clips of a prepared split as one file that maps into memory.

tensorflow-datasets stores a clip as a message of 16,000 integers of up to ten
bytes, which takes half a millisecond to read, longer than a small network may
take to train on it. What the official protocol keeps of a split is therefore
written once as an array, beside the data set. An example has no name, so that
the SHA-1 of its samples chooses the unknown words (as
`labels.select_unknown`).
"""

from collections.abc import Sequence
import hashlib
import json
import os
import pathlib
import uuid

from grain import sources
import numpy as np

from bnn_jax import errors
from bnn_jax.data import labels
from bnn_jax.data import source as source_lib

# The names that tensorflow-datasets has for our splits.
SPLITS = {'training': 'train', 'validation': 'validation', 'testing': 'test'}
# A clip, its number in the split and its label; NOISE marks a recording of
# background noise.
DTYPE = np.dtype([
  ('index', np.int32),
  ('label', np.int32),
  ('audio', np.int16, source_lib.CLIP_SAMPLES),
])
NOISE = -1


def ensure(folder: pathlib.Path, split: str) -> np.ndarray:
  """Opens the clips of a split, writing them at first.

  Args:
    folder: the prepared data set.
    split: a key of `SPLITS`.

  Returns:
    Records of `DTYPE`, mapped read-only: what the protocol keeps, in the order
    of the data set, and of the other splits than 'testing' all recordings of
    noise.

  Raises:
    UserError: the data set is incomplete or something else, or the folder
      cannot be written.
  """
  path = folder / f'bnn_jax-{split}.npy'
  try:
    if not path.is_file():
      _write(folder, split, path)
    return np.load(path, mmap_mode='r')
  except OSError as error:
    raise errors.UserError(
      f'{path} cannot be made ({error.strerror or error}); make {folder}'
      ' writable and free 2 GB there, or copy the data set to such a folder.'
    ) from error


def _write(folder: pathlib.Path, split: str, path: pathlib.Path) -> None:
  records = _Records(folder, SPLITS[split])
  kept = _kept(records, balanced=split != 'testing')
  # A name of its own for each of several processes.
  temporary = path.with_name(f'{path.name}.{uuid.uuid4().hex}')
  try:
    rows = np.lib.format.open_memmap(temporary, 'w+', DTYPE, (len(kept),))
    for row, (index, label) in enumerate(kept):
      rows[row] = index, label, records[index][0]
    rows.flush()
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def _kept(records: '_Records', balanced: bool) -> list[tuple[int, int]]:
  """(index, label) of what is kept, in order."""
  chosen, unknown, words = [], {}, []
  for index in range(len(records)):
    audio, word = records[index]
    if balanced and word == labels.UNKNOWN_FOLDER:
      # Equal recordings are told apart by their numbers.
      digest = hashlib.sha1(audio.tobytes()).hexdigest()
      unknown[f'{digest}-{index}'] = index
    elif balanced and word == labels.SILENCE_FOLDER:
      chosen.append((index, NOISE))
    else:
      chosen.append((index, labels.label(word, 12)))
      words.append(word)
  lowest = sorted(unknown)[: labels.mean_command_count(words)]
  label = labels.label(labels.UNKNOWN_FOLDER, 12)
  return sorted(chosen + [(unknown[name], label) for name in lowest])


class _Records:
  """The examples of a split, each int16 samples of a second and its folder."""

  def __init__(self, folder: pathlib.Path, split: str):
    # Loads half of tensorflow-datasets, but no TensorFlow.
    from tensorflow_datasets.proto import tf_example_pb2

    self._parse = tf_example_pb2.Example.FromString
    self._names = (folder / 'label.labels.txt').read_text().split()
    self._reader = sources.ArrayRecordDataSource(_files(folder, split))

  def __len__(self) -> int:
    return len(self._reader)

  def __getitem__(self, index: int) -> tuple[np.ndarray, str]:
    features = self._parse(self._reader[index]).features.feature
    samples = np.array(features['audio'].int64_list.value, np.int16)
    audio = np.zeros(source_lib.CLIP_SAMPLES, np.int16)
    samples = samples[: source_lib.CLIP_SAMPLES]
    audio[: len(samples)] = samples
    return audio, self._names[features['label'].int64_list.value[0]]


def _files(folder: pathlib.Path, split: str) -> Sequence[str]:
  """The split's files; all of them, or an error."""
  info = json.loads((folder / 'dataset_info.json').read_text())
  shards = {s['name']: len(s['shardLengths']) for s in info['splits']}
  files = [
    folder / f'{info["name"]}-{split}.{info["fileFormat"]}-{shard:05d}-of-'
    f'{shards[split]:05d}'
    for shard in range(shards[split])
  ]
  for file in files:
    if not file.is_file():
      raise errors.UserError(
        f'{file} is missing; remove {folder}, to prepare the data set again.'
      )
  return [str(file) for file in files]
