"""Words, classes and the official speaker split of Speech Commands.

Warden 2018, 'Speech Commands: A Dataset for Limited-Vocabulary Speech
Recognition' (arXiv:1804.03209), and the README.md of the archive, v0.02.
"""

from collections.abc import Collection
from collections.abc import Iterable
import hashlib

from bnn_jax import errors

COMMANDS = (
  'yes',
  'no',
  'up',
  'down',
  'left',
  'right',
  'on',
  'off',
  'stop',
  'go',
)
OTHER_WORDS = (
  'backward',
  'bed',
  'bird',
  'cat',
  'dog',
  'eight',
  'five',
  'follow',
  'forward',
  'four',
  'happy',
  'house',
  'learn',
  'marvin',
  'nine',
  'one',
  'seven',
  'sheila',
  'six',
  'three',
  'tree',
  'two',
  'visual',
  'wow',
  'zero',
)
WORDS = tuple(sorted(COMMANDS + OTHER_WORDS))
SILENCE = 'silence'
UNKNOWN = 'unknown'
SILENCE_FOLDER = '_silence_'
UNKNOWN_FOLDER = '_unknown_'

_CLASS_NAMES = {12: (SILENCE, UNKNOWN, *COMMANDS), 35: WORDS}
_MAX_CLIPS_PER_CLASS = 2**27 - 1


def class_names(classes: int) -> tuple[str, ...]:
  """Returns the class names in the order of the labels.

  Args:
    classes: 12 (silence, unknown and the ten commands) or 35 (all words).

  Raises:
    UserError: for any other number.
  """
  if classes not in _CLASS_NAMES:
    raise errors.UserError(
      f'There is no labelling of Speech Commands with {classes} classes;'
      ' set data.classes to 12 or 35.'
    )
  return _CLASS_NAMES[classes]


def label(folder: str, classes: int) -> int:
  """Returns the label of the clips in one folder of the data set.

  Args:
    folder: a word, or for 12 classes also '_silence_' or '_unknown_'.
    classes: 12 or 35.
  """
  names = class_names(classes)
  if classes == 12 and folder == SILENCE_FOLDER:
    return names.index(SILENCE)
  if classes == 12 and folder in (UNKNOWN_FOLDER, *OTHER_WORDS):
    return names.index(UNKNOWN)
  return names.index(folder)


def which_split(
  file_name: str,
  validation_percentage: float = 10,
  testing_percentage: float = 10,
) -> str:
  """Returns 'training', 'validation' or 'testing' for a clip.

  All clips of a speaker share a split, whatever clips are added later: only
  the name before '_nohash_' counts (README.md of the archive).

  Args:
    file_name: the name of the wav file; a folder before it is ignored.
    validation_percentage: share of the speakers held out, in percent.
    testing_percentage: likewise.
  """
  digest = int.from_bytes(_sha1(_speaker(file_name)), 'big')
  percentage = (digest % (_MAX_CLIPS_PER_CLASS + 1)) * (
    100.0 / _MAX_CLIPS_PER_CLASS
  )
  if percentage < validation_percentage:
    return 'validation'
  if percentage < validation_percentage + testing_percentage:
    return 'testing'
  return 'training'


def is_dev(file_name: str) -> bool:
  """Whether a training clip is of a speaker kept to choose settings by.

  These are a tenth of the training speakers, by the SHA-1 of the name before
  '_nohash_' with 'dev' behind it; validation and testing then judge settings
  that never met them.

  Args:
    file_name: the name of the wav file; a folder before it is ignored.
  """
  digest = int.from_bytes(_sha1(_speaker(file_name) + 'dev'), 'big')
  return digest % 10 == 0


def mean_command_count(words: Iterable[str]) -> int:
  """Returns the clips a command has on average, halves rounded up.

  Args:
    words: the word of every clip of a split; commands without a clip do not
      enter the mean.
  """
  present = [word for word in words if word in COMMANDS]
  commands = len(set(present))
  if not commands:
    return 0
  return (2 * len(present) + commands) // (2 * commands)


def select_unknown(names: Collection[str], limit: int) -> list[str]:
  """Returns at most `limit` clips, those with the lowest SHA-1 of the name.

  Args:
    names: clip names, such as 'bed/0a7c2a8d_nohash_0.wav'.
    limit: the largest number to keep.

  Returns:
    The chosen names, sorted by name.
  """
  return sorted(sorted(names, key=_sha1)[:limit])


def _speaker(file_name: str) -> str:
  return file_name.rpartition('/')[2].partition('_nohash_')[0]


def _sha1(name: str) -> bytes:
  # A file's name need not be valid UTF-8; Python escapes it by surrogates.
  return hashlib.sha1(name.encode(errors='surrogateescape')).digest()
