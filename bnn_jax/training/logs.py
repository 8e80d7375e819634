"""Metrics on disk: a file of JSON lines, and TensorBoard events."""

from collections.abc import Mapping
import json
import os
import pathlib
from typing import Any

import jax
import tensorboardX

from bnn_jax import errors
from bnn_jax.training import metrics
from bnn_jax.training import workdir as workdir_lib

_NOWHERE = pathlib.Path(os.devnull)


class Writer:
  """Appends metrics; a context manager.

  Names such as 'overflow/block0/conv' become nested in the JSON lines and
  groups in TensorBoard. Of several processes only the first one writes.
  """

  def __init__(self, folder: pathlib.Path, first: int = 0):
    """Opens the files.

    Args:
      folder: the workdir.
      first: steps done before; TensorBoard forgets what an earlier run wrote
        of the steps behind it, which come again.

    Raises:
      UserError: a file cannot be written.
    """
    writes = jax.process_index() == 0
    self._path = folder / workdir_lib.METRICS
    try:
      if writes:
        _cut_torn_line(self._path)
      self._lines = (self._path if writes else _NOWHERE).open('a')
      self._events = tensorboardX.SummaryWriter(
        str(folder), purge_step=first + 1, write_to_disk=writes
      )
    except OSError as error:
      raise self._unwritable(error) from error

  def __enter__(self) -> 'Writer':
    return self

  def __exit__(self, *unused: Any) -> None:
    try:
      self._lines.close()
      self._events.close()
    except OSError as error:
      raise self._unwritable(error) from error

  def write(
    self, step: int, epoch: float, kind: str, values: Mapping[str, float]
  ) -> None:
    """Appends one line.

    Args:
      step: steps done.
      epoch: epochs done.
      kind: 'train' or 'validation'.
      values: name to value.

    Raises:
      UserError: the disk is full.
    """
    line = {'step': step, 'epoch': epoch, 'kind': kind}
    line |= metrics.nested(values)
    try:
      self._lines.write(json.dumps(line, allow_nan=False) + '\n')
      self._lines.flush()
      for name, value in values.items():
        self._events.add_scalar(f'{kind}/{name}', value, step)
    except OSError as error:
      raise self._unwritable(error) from error

  def _unwritable(self, error: OSError) -> errors.UserError:
    return errors.UserError(
      f'{self._path} could not be written ({error.strerror}); free some space '
      'and start the same command again.'
    )


def _cut_torn_line(path: pathlib.Path) -> None:
  """Removes what a killed run left of its last line."""
  if not path.exists():
    return
  whole = path.read_bytes().rpartition(b'\n')
  if whole[2]:
    with path.open('r+b') as file:
      file.truncate(len(whole[0]) + len(whole[1]))
