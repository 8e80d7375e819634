"""The archive's folder layout: which clips belong to which split.

`<word>/<speaker>_nohash_<n>.wav`, `_background_noise_/*.wav`, and the lists of
held-out clips `validation_list.txt` and `testing_list.txt`. Any further
`<name>_list.txt` is a further split. Training is what no list names. Without
lists, clips are split by `labels.which_split`. Settings are chosen on the split
'dev', some speakers of training, and by training on 'fit', the others.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import os
import pathlib

from bnn_jax import errors
from bnn_jax.data import labels

# The canonical test archive, in the order of the twelve classes.
CANONICAL_FOLDERS = (
  labels.SILENCE_FOLDER,
  labels.UNKNOWN_FOLDER,
  *labels.COMMANDS,
)

_LIST_SUFFIX = '_list.txt'
_OFFICIAL_SPLITS = ('training', 'validation', 'testing')
# Parts of training, and whether they hold the speakers of `labels.is_dev`.
TRAINING_PARTS = {'fit': False, 'dev': True}


def existing(folder: str | os.PathLike[str], field: str) -> pathlib.Path:
  """Returns a folder the user named, '~' expanded.

  Args:
    folder: the path as given.
    field: the configuration's field that holds it.

  Raises:
    UserError: it is empty or no folder.
  """
  if not os.fspath(folder):
    raise errors.UserError(
      f'{field} is empty; set it to the folder of the unpacked Speech Commands'
      ' archive.'
    )
  path = pathlib.Path(folder).expanduser()
  if not path.is_dir():
    raise errors.UserError(
      f'{path} ({field}) is not a folder; unpack the Speech Commands archive'
      ' there, so that it holds one folder a word, such as yes/.'
    )
  return path


def split_names(root: pathlib.Path, split: str) -> list[str]:
  """Returns the clips of a split, '<word>/<file>', sorted.

  A listed clip may be missing from its folder. Clips of a word that has no
  folder at all are not returned: users leave out words on purpose.

  Args:
    root: the data folder.
    split: 'training', 'fit', 'dev', 'validation', 'testing' or what a further
      list names.

  Raises:
    UserError: there is no such split, the lists are inconsistent, there is no
      folder of a word, or one of something else.
  """
  if split in TRAINING_PARTS:
    names = split_names(root, 'training')
    return [n for n in names if labels.is_dev(n) == TRAINING_PARTS[split]]
  lists = _lists(root)
  splits = (*_OFFICIAL_SPLITS, *TRAINING_PARTS, *_further(lists))
  if split not in splits:
    raise errors.UserError(
      f"{root} has no split '{split}'; choose one of {', '.join(splits)}."
    )
  words = _word_folders(root)
  if split in lists:
    return sorted(name for name in lists[split] if folder(name) in words)
  rest = set(_clip_names(root, words)).difference(*lists.values())
  if 'testing' in lists:
    return sorted(rest)
  return sorted(name for name in rest if labels.which_split(name) == split)


def canonical_names(root: pathlib.Path, classes: int) -> list[str]:
  """Returns the clips of a canonical test archive, '<folder>/<file>', sorted.

  Args:
    root: the archive's folder.
    classes: the labelling in use; the archive has 12 classes.

  Raises:
    UserError: another labelling, or a folder that does not belong there.
  """
  if classes != 12:
    raise errors.UserError(
      f'data.test_dir is {root}, but a test archive has 12 classes, not'
      f' {classes}; set data.classes to 12 or data.test_dir to nothing.'
    )
  folders = _folders(root)
  for name in folders:
    if name not in CANONICAL_FOLDERS:
      raise errors.UserError(
        f'{root}/{name} does not belong to a test archive; set data.test_dir'
        ' to a folder of only _silence_, _unknown_ and the ten commands.'
      )
  return _clip_names(root, folders)


def folder(name: str) -> str:
  """Returns the folder of a clip, for most the word it holds."""
  return name.partition('/')[0]


def _further(lists: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
  return tuple(sorted(set(lists).difference(_OFFICIAL_SPLITS)))


def _lists(root: pathlib.Path) -> dict[str, frozenset[str]]:
  """Returns the clips each list names, and refuses lists that disagree."""
  lists = {
    path.name.removesuffix(_LIST_SUFFIX): _listed(path)
    for path in sorted(root.glob('[!.]*' + _LIST_SUFFIX))
  }
  for split in ('training', *TRAINING_PARTS):
    if split in lists:
      raise errors.UserError(
        f'{root}/{split}_list.txt has no meaning, as training is every clip'
        ' that no other list names, and fit and dev are parts of it; remove or'
        ' rename the file.'
      )
  if ('validation' in lists) != ('testing' in lists):
    raise errors.UserError(
      f'{root} has only one of validation_list.txt and testing_list.txt;'
      ' restore the other, or remove both to split by the official hash.'
    )
  _refuse_overlap(lists, root)
  return lists


def _listed(path: pathlib.Path) -> frozenset[str]:
  lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
  names = frozenset(line.strip() for line in lines if line.strip())
  for name in sorted(names):
    word, _, file = name.partition('/')
    if word not in labels.WORDS or not file or '/' in file:
      raise errors.UserError(
        f"{path} names '{name}', which is not <word>/<file>.wav with one of"
        ' the 35 words; correct the line or remove the list.'
      )
  return names


def _refuse_overlap(
  lists: Mapping[str, frozenset[str]], root: pathlib.Path
) -> None:
  owners: dict[str, str] = {}
  for split, names in lists.items():
    for name in sorted(names):
      if owners.setdefault(name, split) != split:
        raise errors.UserError(
          f'{name} is in {owners[name]}_list.txt and in {split}_list.txt of'
          f' {root}; remove it from one of them.'
        )


def _word_folders(root: pathlib.Path) -> list[str]:
  folders = [name for name in _folders(root) if name[0] != '_']
  if not folders:
    raise errors.UserError(
      f'{root} (data.data_dir) holds no folder of a word; unpack the Speech'
      ' Commands archive there, so that it holds yes/, no/ and so on.'
    )
  for name in folders:
    if name not in labels.WORDS:
      raise errors.UserError(
        f'{root}/{name} is not one of the 35 words of Speech Commands; move it'
        ' elsewhere, or set data.data_dir to the folder that holds yes/, no/'
        ' and so on.'
      )
  return folders


def _folders(root: pathlib.Path) -> list[str]:
  with os.scandir(root) as entries:
    return sorted(
      entry.name
      for entry in entries
      if entry.is_dir() and not entry.name.startswith('.')
    )


def _clip_names(root: pathlib.Path, folders: Sequence[str]) -> list[str]:
  """Returns '<folder>/<file>' of every file that is not hidden, sorted."""
  return sorted(
    f'{folder}/{name}'
    for folder in folders
    for name in os.listdir(root / folder)
    if not name.startswith('.')
  )
