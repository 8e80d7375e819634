"""Batches of clips for training and evaluation.

Shape letters: B batch, S samples.
"""

from collections.abc import Iterator
import functools

import grain
import numpy as np

from bnn_jax import errors
from bnn_jax.data import augmentation as augmentation_lib
from bnn_jax.data import source as source_lib

# Batches read ahead by each thread; at 100 clips one takes 6.4 MB.
_BATCHES_AHEAD = 2

Batch = dict[str, np.ndarray]


def train_iterator(
  source: source_lib.Source,
  *,
  batch_size: int,
  seed: int,
  augmentation: augmentation_lib.Augmentation,
  process_index: int = 0,
  process_count: int = 1,
  threads: int = 2,
) -> grain.DatasetIterator[Batch]:
  """Iterates for ever over batches, in a new order in each epoch.

  All follows from the arguments and the position, which `get_state` gives as a
  dictionary for JSON and `set_state` takes, also in the middle of an epoch.
  What an epoch leaves over, less than a batch, is dropped. The batches of the
  processes, one after the other, are the batch that one process would read.

  Args:
    source: the clips.
    batch_size: of all processes together.
    seed: from 0 to 2^32 - 1, the same in all processes.
    augmentation: its time shift and background noise are applied here.
    process_index: which slice of each batch to read.
    process_count: into how many slices a batch is cut.
    threads: that read ahead; 0 reads in the caller's thread.

  Returns:
    an iterator over {'audio': float32 `[B, S]` in [-1, 1), 'label': int32
    `[B]`}, B = `batch_size / process_count`; `close` ends its threads.

  Raises:
    UserError: an argument is out of range.
  """
  check_training(len(source), batch_size, seed)
  if process_count < 1 or batch_size % process_count:
    raise errors.UserError(
      f'batch_size={batch_size} cannot be shared by {process_count} processes: '
      'make it a multiple of their number.'
    )
  if not 0 <= process_index < process_count:
    raise errors.UserError(
      f'process_index={process_index} is not below process_count='
      f'{process_count}: number the processes from 0.'
    )
  if threads < 0:
    raise errors.UserError(f'threads={threads} is negative: set 0 or more.')
  local = batch_size // process_count
  read = functools.partial(
    _read,
    source=source,
    augmentation=augmentation,
    rows=slice(process_index * local, (process_index + 1) * local),
  )
  order = _order(len(source), batch_size, seed)
  options = grain.ReadOptions(
    num_threads=threads, prefetch_buffer_size=threads * _BATCHES_AHEAD
  )
  return iter(order.random_map(read).to_iter_dataset(options))


def draws(
  source: source_lib.Source,
  *,
  batch_size: int,
  seed: int,
  augmentation: augmentation_lib.Augmentation,
) -> Iterator[tuple[np.ndarray, augmentation_lib.Draws]]:
  """What `train_iterator` of the same arguments decides, batch by batch.

  Returns:
    Indices of the clips `[B]`, and what is done to them, without end.

  Raises:
    UserError: an argument is out of range.
  """
  def draw(indices, rng):
    return indices, augmentation_lib.draw(
      augmentation, rng, batch_size=len(indices),
      recordings=len(source.background),
    )

  check_training(len(source), batch_size, seed)
  order = _order(len(source), batch_size, seed).random_map(draw)
  return (order[i] for i in range(len(order)))


def check_training(clips: int, batch_size: int, seed: int) -> None:
  """Refuses, by a UserError, batches that so many clips cannot give."""
  _check_batch_size(batch_size)
  if batch_size > clips:
    raise errors.UserError(
      f'batch_size={batch_size} exceeds the {clips} training clips: lower it.'
    )
  if not 0 <= seed < 2**32:
    raise errors.UserError(f'seed={seed} is not in [0, 2^32): choose one.')


def _order(clips: int, batch_size: int, seed: int) -> grain.MapDataset:
  """Indices of all batches, `[B]` each, epoch after epoch without end."""
  # Indices are batched before clips are read: one call of Python a batch.
  order = grain.MapDataset.range(clips).seed(seed).shuffle()
  order = order.batch(batch_size, drop_remainder=True, batch_fn=np.asarray)
  return order.repeat()


def evaluation_batches(
  source: source_lib.Source, *, batch_size: int
) -> Iterator[Batch]:
  """Iterates once over the clips in order, all batches of one shape.

  Args:
    source: the clips.
    batch_size: B; the last batch is padded with zeros.

  Yields:
    {'audio': float32 `[B, S]` in [-1, 1), 'label': int32 `[B]`, 'mask': bool
    `[B]`, false for padding, 'index': int32 `[B]`, -1 for padding}.

  Raises:
    UserError: there are no clips, or `batch_size` is not positive.
  """
  _check_batch_size(batch_size)
  if not len(source):
    raise errors.UserError('The split to evaluate is empty: choose another.')
  return _evaluation_batches(source, batch_size)


def _evaluation_batches(
  source: source_lib.Source, batch_size: int
) -> Iterator[Batch]:
  for start in range(0, len(source), batch_size):
    stop = min(start + batch_size, len(source))
    batch = {
      'audio': np.zeros((batch_size, source_lib.CLIP_SAMPLES), np.float32),
      'label': np.zeros(batch_size, np.int32),
      'mask': np.arange(start, start + batch_size) < stop,
      'index': np.full(batch_size, -1, np.int32),
    }
    for row, index in enumerate(range(start, stop)):
      clip = source[index]
      augmentation_lib.time_shift(clip.audio, 0, out=batch['audio'][row])
      batch['label'][row] = clip.label
      batch['index'][row] = index
    yield batch


def _read(
  indices: np.ndarray,
  rng: np.random.Generator,
  *,
  source: source_lib.Source,
  augmentation: augmentation_lib.Augmentation,
  rows: slice,
) -> Batch:
  # Drawn for all processes, so that their number changes nothing.
  draws = augmentation_lib.draw(
    augmentation,
    rng,
    batch_size=len(indices),
    recordings=len(source.background),
  )
  clips = [source[int(index)] for index in indices[rows]]
  audio = augmentation_lib.augment(
    [clip.audio for clip in clips],
    source.background,
    augmentation_lib.Draws(*(values[rows] for values in draws)),
  )
  return {
    'audio': audio,
    'label': np.array([clip.label for clip in clips], np.int32),
  }


def _check_batch_size(batch_size: int) -> None:
  if batch_size < 1:
    raise errors.UserError(
      f'batch_size={batch_size} is not positive: set it to at least 1.'
    )
