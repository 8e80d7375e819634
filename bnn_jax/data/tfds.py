"""A split of 'speech_commands' of tensorflow-datasets: V0.02, 12 classes.

Read without TensorFlow; `bnn_jax.data.tfds_prepare` needs it once.
"""

from collections.abc import Sequence
import os

import numpy as np

from bnn_jax import errors
from bnn_jax.data import labels
from bnn_jax.data import layout
from bnn_jax.data import silence
from bnn_jax.data import source
from bnn_jax.data import tfds_clips
from bnn_jax.data import tfds_prepare


class TfdsSource:
  """Implements `source.Source` for one split, by the official protocol.

  Training and validation keep as many unknown words as the mean count of the
  commands, and have as many silence clips, cut from the noise as
  tensorflow-datasets divides it: validation hears one recording of its own.
  Testing is the canonical archive, all of it. An example has no speaker, so
  that 'dev' is a tenth of the examples of training, by their numbers, and its
  speakers are those of 'fit', the others.
  """

  def __init__(
    self,
    data_dir: str | os.PathLike[str],
    split: str,
    *,
    classes: int = 12,
    manual_dir: str | os.PathLike[str] = '',
  ):
    """Opens a split; the first time of all, this prepares the data set.

    Args:
      data_dir: the folder of tensorflow-datasets' data sets; '' is its own
        default.
      split: 'training', 'fit', 'dev', 'validation' or 'testing'.
      classes: 12.
      manual_dir: a folder that holds the official archives; '' downloads.

    Raises:
      UserError: another split or labelling, or the data cannot be prepared.
    """
    if classes != 12:
      raise errors.UserError(
        f'tensorflow-datasets has 12 classes, not {classes}; set data.classes'
        ' to 12, or unpack the archive and set data.source to folder.'
      )
    splits = *tfds_clips.SPLITS, *layout.TRAINING_PARTS
    if split not in splits:
      raise errors.UserError(
        f"tensorflow-datasets has no split '{split}'; choose one of"
        f' {", ".join(splits)}.'
      )
    folder = tfds_prepare.prepared(data_dir, manual_dir)
    self.class_names = labels.class_names(classes)
    self.notes: tuple[str, ...] = ()
    self._split = split
    self._stored = 'training' if split in layout.TRAINING_PARTS else split
    self._rows = tfds_clips.ensure(folder, self._stored)
    is_noise = self._rows['label'] == tfds_clips.NOISE
    is_of_split = self._is_of_split()
    # Their places, for the rows themselves stay on the disk.
    self._places = np.flatnonzero(is_of_split & ~is_noise)
    heard, is_heard = self._rows, is_of_split & is_noise
    if split == 'testing':
      # Whoever tests in noise hears what training has not.
      heard = tfds_clips.ensure(folder, 'validation')
      is_heard = heard['label'] == tfds_clips.NOISE
    self.background: Sequence[np.ndarray] = tuple(
      heard['audio'][np.flatnonzero(is_heard)]
    )
    self._silences = 0
    if split != 'testing':
      spoken = self._rows['label'][self._places]
      words = [self.class_names[label] for label in spoken]
      self._silences = labels.mean_command_count(words)

  def __len__(self) -> int:
    return len(self._places) + self._silences

  def __getitem__(self, index: int) -> source.Clip:
    """Returns one clip; the same one at every access.

    Raises:
      IndexError: `index` is outside `[0, len(self))`.
    """
    if not 0 <= index < len(self):
      raise IndexError(f'clip {index} of {len(self)}')
    if index >= len(self._places):
      number = index - len(self._places)
      return silence.clip(self.background, self._split, number)
    clip = self._rows[self._places[index]]
    name = self._name(clip['index'])
    return source.Clip(np.array(clip['audio']), int(clip['label']), name)

  def _name(self, number: int) -> str:
    return f'{tfds_clips.SPLITS[self._stored]}/{number}'

  def _is_of_split(self) -> np.ndarray:
    """Which rows are, bool `[n]`."""
    if self._stored == self._split:
      return np.ones(len(self._rows), bool)
    is_dev = [labels.is_dev(self._name(n)) for n in self._rows['index']]
    return np.array(is_dev) == layout.TRAINING_PARTS[self._split]
