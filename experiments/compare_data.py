"""What a data set may be called in a table."""

from collections.abc import Mapping
import pathlib
from typing import Any
from typing import NamedTuple

from bnn_jax.data import labels

# Clips of the words in the archives (Warden 2018).
_OFFICIAL = {64_721: 'V1', 105_829: 'V2'}


class DataSet(NamedTuple):
  """A data set.

  Attributes:
    title: for a table.
    version: 'V1' or 'V2' of all of Speech Commands; '' for anything else.
    has_test_archive: whether it is tested on the canonical test archive, not
      on the testing split of the lists.
  """

  title: str
  version: str
  has_test_archive: bool = False


def describe(data: Mapping[str, Any]) -> DataSet:
  """Names the configured data set by what it holds.

  Args:
    data: the configuration's branch `data`.
  """
  if data['source'] == 'tfds':
    return DataSet('Speech Commands V2, test archive', 'V2', True)
  if data['source'] == 'synthetic':
    return DataSet('synthetic corpus', '')
  folder = pathlib.Path(data['data_dir']).expanduser()
  clips = sum(1 for word in labels.WORDS for _ in (folder / word).glob('*.wav'))
  archive = bool(data['test_dir'])
  tested = ', test archive' if archive else ''
  if clips in _OFFICIAL:
    version = _OFFICIAL[clips]
    return DataSet(f'Speech Commands {version}{tested}', version, archive)
  size = f'{round(clips / 1000)}k' if clips >= 1000 else f'{clips}'
  return DataSet(f'Speech Commands subset ({size} clips){tested}', '', archive)
