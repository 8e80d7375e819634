"""Which data a configuration names, wherever on a machine they lie.

Results are known by it, so that whoever keeps the same clips in another folder
goes on with the same results, and other clips in the same folder do not.
"""

from collections.abc import Mapping
import functools
import hashlib
import pathlib
from typing import Any

from bnn_jax.data import tfds_prepare

_FOLDERS = ('data_dir', 'test_dir')
_OTHER_PATHS = ('manual_dir',)


def identity(data: Mapping[str, Any]) -> dict[str, Any]:
  """The branch `data` with what its folders hold in place of their paths.

  Args:
    data: of a configuration.

  Returns:
    The same keys. A folder of `folder` is sixteen hexadecimal digits of the
    names of its clips and of its lists; where there is none yet, its path.
    That of `tfds` is how many clips it has prepared of each split. The
    synthetic corpus is made by the other keys.
  """
  found = {**data, **dict.fromkeys((*_FOLDERS, *_OTHER_PATHS), '')}
  if data['source'] == 'folder':
    found |= {key: _content(data[key]) for key in _FOLDERS}
  if data['source'] == 'tfds':
    found['data_dir'] = str(tfds_prepare.clips(data['data_dir']) or '')
  return found


@functools.cache
def _content(path: str) -> str:
  folder = pathlib.Path(path).expanduser()
  if not path or not folder.is_dir():
    return path
  digest = hashlib.sha256()
  for clip in sorted(folder.glob('*/*.wav')):
    digest.update(f'{clip.parent.name}/{clip.name}\n'.encode())
  for names in sorted(folder.glob('*_list.txt')):
    digest.update(names.read_bytes())
  return digest.hexdigest()[:16]
