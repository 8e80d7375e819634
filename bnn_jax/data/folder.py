"""A split of Speech Commands, read from an unpacked archive."""

from collections.abc import Sequence
import os
import pathlib

import numpy as np

from bnn_jax import errors
from bnn_jax.data import labels
from bnn_jax.data import layout
from bnn_jax.data import protocols
from bnn_jax.data import silence
from bnn_jax.data import source
from bnn_jax.data import wav

_NOISE_FOLDER = '_background_noise_'
# Tenths of each noise file; a further split hears the testing part.
_NOISE_TENTHS = {
  'training': (0, 8), 'fit': (0, 7), 'dev': (7, 8), 'validation': (8, 9),
  'testing': (9, 10),
}
_SHOWN = 3


class FolderSource:
  """Implements `source.Source` for one split of a folder of WAV files.

  The order is that of the sorted names, then the silence clips. A clip is read
  from its file at each access. With 12 classes, the protocol says how many of
  the unknown words are kept (`labels.select_unknown`), and how many silence
  clips there are.
  """

  def __init__(
    self,
    data_dir: str | os.PathLike[str],
    split: str,
    *,
    classes: int = 12,
    test_dir: str | os.PathLike[str] = '',
    max_bad_share: float = 0.01,
    protocol: str = protocols.OFFICIAL,
  ):
    """Lists the clips of a split and checks the header of each.

    Args:
      data_dir: the folder that holds the folders of the words.
      split: one of the data set's, see `layout.split_names`.
      classes: 12 or 35.
      test_dir: the canonical test archive, unpacked (the ten commands,
        '_silence_' and '_unknown_'); it replaces the split 'testing'. For 12
        classes.
      max_bad_share: the largest share of unusable clips to leave out.
      protocol: of 12 classes, see `protocols`.

    Raises:
      UserError: something is missing or in excess of `max_bad_share`.
    """
    self.class_names = labels.class_names(classes)
    if not 0.0 <= max_bad_share <= 1.0:
      raise errors.UserError(
        f'data.max_bad_share is {max_bad_share}; set it to a share from 0.0'
        ' to 1.0.'
      )
    self._split = split
    self._root = layout.existing(data_dir, 'data.data_dir')
    self.background: Sequence[np.ndarray]
    self.background, notes = _background(self._root, split)
    canonical = bool(os.fspath(test_dir)) and split == 'testing'
    if canonical:
      self._root = layout.existing(test_dir, 'data.test_dir')
      names = layout.canonical_names(self._root, classes)
    else:
      names = layout.split_names(self._root, split)
    where = f'the {split} split in {self._root}'
    names, bad = _checked(self._root, names)
    notes += _bad_notes(bad, len(names) + len(bad), max_bad_share, where)
    notes += _missing_notes(names, classes, canonical, where)
    self._silences = 0
    self._noise: Sequence[np.ndarray] = ()
    if classes == 12 and not canonical:
      names, self._silences = _balanced(names, protocol)
      if protocols.silence_is_noise(protocol):
        self._noise = self.background
      if protocols.silence_is_noise(protocol) and not self.background:
        notes.append(
          f'The {self._silences} silence clips of {where} are zeros, as there'
          ' is no background noise.'
        )
    self._names = tuple(names)
    self._labels = tuple(labels.label(layout.folder(n), classes) for n in names)
    self.notes = tuple(notes)

  def __len__(self) -> int:
    return len(self._names) + self._silences

  def __getitem__(self, index: int) -> source.Clip:
    """Returns one clip; the same one at every access.

    Raises:
      IndexError: `index` is outside `[0, len(self))`.
      UserError: the file was damaged or removed since the split was opened.
    """
    if not 0 <= index < len(self):
      raise IndexError(f'clip {index} of {len(self)}')
    if index >= len(self._names):
      return silence.clip(self._noise, self._split, index - len(self._names))
    name = self._names[index]
    audio = _one_second(wav.read(f'{self._root}/{name}'))
    return source.Clip(audio, self._labels[index], name)


def _checked(
  root: pathlib.Path, names: Sequence[str]
) -> tuple[list[str], list[str]]:
  """Returns the usable clips, and the others each with its reason."""
  good, bad = [], []
  for name in names:
    fault = wav.check(f'{root}/{name}')
    if fault is None:
      good.append(name)
    else:
      bad.append(f'{name}: {fault}')
  return good, bad


def _bad_notes(
  bad: Sequence[str], scanned: int, max_bad_share: float, where: str
) -> list[str]:
  if not bad:
    return []
  share = len(bad) / scanned
  if share > max_bad_share:
    raise errors.UserError(
      f'{len(bad)} of the {scanned} clips of {where} cannot be used'
      f' ({share:.2%}, and data.max_bad_share allows {max_bad_share:.2%}), the'
      f' first is {bad[0]}; repair or remove these files, or raise'
      ' data.max_bad_share.'
    )
  shown = '; '.join(bad[:_SHOWN])
  more = '; and others' if len(bad) > _SHOWN else ''
  return [
    f'{len(bad)} of the {scanned} clips of {where} cannot be used and are left'
    f' out: {shown}{more}.'
  ]


def _missing_notes(
  names: Sequence[str], classes: int, canonical: bool, where: str
) -> list[str]:
  expected = layout.CANONICAL_FOLDERS if canonical else labels.WORDS
  present = {layout.folder(name) for name in names}
  needed = labels.COMMANDS if classes == 12 else labels.WORDS
  if present.isdisjoint(needed):
    kind = 'of the ten commands' if classes == 12 else 'of any word'
    raise errors.UserError(
      f'There is no clip {kind} in {where}; unpack the Speech Commands archive'
      ' again, or choose another split.'
    )
  missing = [folder for folder in expected if folder not in present]
  if not missing:
    return []
  return [f'There are no clips of {", ".join(missing)} in {where}.']


def _balanced(names: Sequence[str], protocol: str) -> tuple[list[str], int]:
  """Keeps every command and some others, and counts the silence clips."""
  commands = {name for name in names if layout.folder(name) in labels.COMMANDS}
  unknown, silences = protocols.counts(protocol, [*map(layout.folder, names)])
  others = labels.select_unknown(set(names) - commands, unknown)
  return sorted(commands.union(others)), silences


def _background(
  root: pathlib.Path, split: str
) -> tuple[tuple[np.ndarray, ...], list[str]]:
  """Reads the split's part of each noise file; names those it leaves out."""
  first, end = _NOISE_TENTHS.get(split, _NOISE_TENTHS['testing'])
  parts, notes = [], []
  # The archive keeps a README.md among its noise files.
  for path in sorted((root / _NOISE_FOLDER).glob('[!.]*.wav')):
    fault = wav.check(path)
    if fault is None:
      noise = wav.read(path)
      part = noise[len(noise) * first // 10 : len(noise) * end // 10].copy()
      if len(part) >= source.CLIP_SAMPLES:
        parts.append(part)
        continue
      fault = f'its part for {split} is shorter than one clip'
    notes.append(f'The background noise {path} is left out: {fault}.')
  return tuple(parts), notes


def _one_second(samples: np.ndarray) -> np.ndarray:
  audio = np.zeros(source.CLIP_SAMPLES, np.int16)
  samples = samples[: source.CLIP_SAMPLES]
  audio[: len(samples)] = samples
  return audio
