"""Prepares the data set 'speech_commands' of tensorflow-datasets, once.

That takes TensorFlow, which reading does not. It works in a process of its
own, as TensorFlow and JAX would both claim the accelerator.
"""

import concurrent.futures
from concurrent.futures import process
import importlib.util
import json
import multiprocessing
import os
import pathlib

from bnn_jax import errors

NAME = 'speech_commands'
FORMAT = 'array_record'
# What the official archives are called, as the user has downloaded them.
ARCHIVES = (
  'speech_commands_v0.02.tar.gz',
  'speech_commands_test_set_v0.02.tar.gz',
)

_INFO = 'dataset_info.json'
_NEEDED = ('tensorflow', 'pydub', 'importlib_resources')


def prepared(
  data_dir: str | os.PathLike[str], manual_dir: str | os.PathLike[str] = ''
) -> pathlib.Path:
  """Finds the prepared data set, or prepares it.

  Args:
    data_dir: the folder of all data sets of tensorflow-datasets; '' is its
      own default, ~/tensorflow_datasets.
    manual_dir: a folder of the two `ARCHIVES`; '' downloads them.

  Returns:
    The folder of the data set's newest version.

  Raises:
    UserError: it is prepared in another format, or cannot be prepared.
  """
  root = _root(data_dir)
  folder = _newest(root)
  if folder is None:
    _check_archives(manual_dir)
    _check_installed(root)
    _run(root, manual_dir)
    folder = _newest(root)
  assert folder is not None
  found = json.loads((folder / _INFO).read_text())['fileFormat']
  if found != FORMAT:
    raise errors.UserError(
      f'{folder} is prepared as {found}, which only TensorFlow reads; set'
      ' data.data_dir to another folder, to prepare it there again.'
    )
  return folder


def clips(data_dir: str | os.PathLike[str]) -> dict[str, int]:
  """How many examples each split of the prepared data set has.

  Args:
    data_dir: as of `prepared`.

  Returns:
    Numbers by the names of tensorflow-datasets; none where nothing is prepared.
  """
  folder = _newest(_root(data_dir))
  if folder is None:
    return {}
  splits = json.loads((folder / _INFO).read_text())['splits']
  return {
    split['name']: sum(map(int, split['shardLengths'])) for split in splits
  }


def prepare(data_dir: str, manual_dir: str) -> None:
  """Prepares the data set; imports TensorFlow.

  Args:
    data_dir: as of `prepared`, but not ''.
    manual_dir: as of `prepared`.

  Raises:
    UserError: an archive is missing or broken, or the folder is full.
  """
  import tensorflow_datasets as tfds

  settings = tfds.download.DownloadConfig(manual_dir=manual_dir or None)
  try:
    builder = tfds.builder(NAME, data_dir=data_dir, file_format=FORMAT)
    builder.download_and_prepare(download_config=settings)
  except Exception as error:
    # It raises what its many parts raise, of which no list exists.
    sentence = ' '.join(str(error).split())
    raise errors.UserError(
      f'tensorflow-datasets could not prepare {NAME} in {data_dir}'
      f' ({type(error).__name__}: {sentence}); see that there are 10 GB of'
      ' space and a network, or the archives in data.manual_dir.'
    ) from error


def _root(data_dir: str | os.PathLike[str]) -> pathlib.Path:
  return pathlib.Path(data_dir or '~/tensorflow_datasets').expanduser()


def _newest(root: pathlib.Path) -> pathlib.Path | None:
  def version(folder: pathlib.Path) -> tuple[int, ...]:
    return tuple(map(int, folder.name.split('.')))

  folders = [
    path.parent
    for path in (root / NAME).glob(f'[0-9]*.[0-9]*.[0-9]*/{_INFO}')
  ]
  return max(folders, key=version, default=None)


def _check_archives(manual_dir: str | os.PathLike[str]) -> None:
  if not manual_dir:
    return
  for name in ARCHIVES:
    if not (pathlib.Path(manual_dir).expanduser() / name).is_file():
      raise errors.UserError(
        f'data.manual_dir={os.fspath(manual_dir)} has no {name}; put it there,'
        ' or leave data.manual_dir out to download it.'
      )


def _check_installed(root: pathlib.Path) -> None:
  missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
  if missing:
    raise errors.UserError(
      f'{NAME} is not prepared in {root}, which takes {" and ".join(missing)}'
      " once; install 'bnn_jax[tfds]', or prepare it elsewhere and set"
      ' data.data_dir to the copied folder.'
    )


def _run(root: pathlib.Path, manual_dir: str | os.PathLike[str]) -> None:
  with concurrent.futures.ProcessPoolExecutor(
    1, mp_context=multiprocessing.get_context('spawn')
  ) as pool:
    try:
      pool.submit(prepare, str(root), os.fspath(manual_dir)).result()
    except process.BrokenProcessPool as error:
      raise errors.UserError(
        f'The process that prepares {NAME} died; free some memory, and start'
        ' again.'
      ) from error
