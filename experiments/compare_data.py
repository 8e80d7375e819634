"""What a data set may be called in a table."""

from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from bnn_jax.data import labels
from bnn_jax.data import layout
from bnn_jax.data import tfds_prepare

# Clips of the words in the archives (Warden 2018).
_OFFICIAL = {64_721: 'V1', 105_829: 'V2'}
# And all clips in the canonical test archives.
_TEST_ARCHIVES = {3_081: 'V1', 4_890: 'V2'}
# What tensorflow-datasets makes of the archives of V2.
_PREPARED = {'train': 85_511, 'validation': 10_102, 'test': 4_890}


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
    data: the configuration's branch `data`. What tensorflow-datasets has not
      prepared yet, this prepares.

  Raises:
    UserError: a folder that it names does not exist, or nothing can be
      prepared.
  """
  if data['source'] == 'tfds':
    tfds_prepare.prepared(data['data_dir'], data['manual_dir'])
    found = tfds_prepare.clips(data['data_dir'])
    if found == _PREPARED:
      return DataSet('Speech Commands V2, test archive', 'V2', True)
    clips = sum(found.values())
    return DataSet(f'Speech Commands subset ({clips:,} clips)', '')
  if data['source'] == 'synthetic':
    return DataSet('synthetic corpus', '')
  folder = layout.existing(data['data_dir'], 'data.data_dir')
  clips = sum(1 for word in labels.WORDS for _ in (folder / word).glob('*.wav'))
  version = _OFFICIAL.get(clips, '')
  size = f'{round(clips / 1000)}k' if clips >= 1000 else f'{clips}'
  title = f'Speech Commands {version or f"subset ({size} clips)"}'
  if not data['test_dir']:
    return DataSet(title, version)
  folder = layout.existing(data['test_dir'], 'data.test_dir')
  tests = sum(1 for _ in folder.glob('*/*.wav'))
  if version and _TEST_ARCHIVES.get(tests) == version:
    return DataSet(f'{title}, test archive', version, True)
  return DataSet(f'{title}, {tests:,} test clips of its own', version)
