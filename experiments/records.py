"""Results of trainings, a line of JSON each, and what tells clips apart.

A folder of results holds
  results.jsonl    one line for each training that ended, well or not
  reads.jsonl      one line for each training judged by splits kept aside; its
                   digest is of the configuration's keys of that day
  speakers-*.json  for each split the number of the speaker of every clip
"""

from collections.abc import Mapping
import datetime
import json
import os
import pathlib
from typing import Any

from bnn_jax import errors
from bnn_jax.data import labels
from bnn_jax.training import setup
from bnn_jax.training import workdir
from experiments import data_identity
from experiments import plan

RESULTS, READS = 'results.jsonl', 'reads.jsonl'


class Book:
  """The results of one folder, which only ever grow.

  Attributes:
    folder: where they are.
  """

  def __init__(self, folder: pathlib.Path):
    """Opens or makes the folder.

    Raises:
      UserError: it cannot be made, or what it holds cannot be read.
    """
    self.folder = folder
    try:
      folder.mkdir(parents=True, exist_ok=True)
      for name in (RESULTS, READS):
        _end_line(folder / name)
    except OSError as error:
      raise errors.UserError(
        f'{folder} cannot be written ({error.strerror}); choose another '
        '--results.'
      ) from error
    lines = read(folder)
    self._good = [line for line in lines if 'error' not in line]
    self._failed = {line['digest'] for line in lines if 'error' in line}

  def has(self, run: plan.Run) -> bool:
    """Whether this very training ended well."""
    return any(_key(line) == _key_of(run) for line in self._good)

  def outcome(self, digest: str) -> dict[str, Any] | None:
    """What came of a training of this configuration, whatever its name."""
    for line in self._good:
      if line['digest'] == digest:
        return {k: v for k, v in line.items() if k not in _IDENTITY}
    return None

  def has_failed(self, digest: str) -> bool:
    """Whether a training of this configuration failed, and none ended well."""
    return digest in self._failed and self.outcome(digest) is None

  def write(
    self, run: plan.Run, outcome: Mapping[str, Any], *, is_new: bool = True
  ) -> None:
    """Appends what came of a training; those judged leave a second line.

    Args:
      run: the training.
      outcome: of it.
      is_new: whether it ran; otherwise another setting's result is its own.

    Raises:
      UserError: the disk is full.
    """
    line = dict(zip(_IDENTITY, _identity(run), strict=True)) | outcome
    if is_new and run.splits == plan.JUDGED_BY:
      now = datetime.datetime.now().astimezone().isoformat('T', 'seconds')
      _append(self.folder / READS, {
        'time': now, 'splits': run.splits,
        **{name: line[name] for name in _IDENTITY},
      })
    _append(self.folder / RESULTS, line)
    if 'error' in line:
      self._failed.add(run.digest)
    else:
      self._good.append(line)


# What tells one line from another, and how to have it again.
_KEY = ('ablation', 'setting', 'seed', 'digest')
_IDENTITY = (*_KEY, 'experiment', 'command')


def read(folder: pathlib.Path) -> list[dict[str, Any]]:
  """All results of a folder, in the order of their ends.

  Raises:
    UserError: a line is no JSON.
  """
  path = folder / RESULTS
  lines = path.read_text().splitlines() if path.exists() else []
  try:
    return [json.loads(line) for line in lines]
  except json.JSONDecodeError as error:
    raise errors.UserError(
      f'{path} holds a line that is no JSON; remove it and run the sweep again.'
    ) from error


def write_speakers(folder: pathlib.Path, run: plan.Run) -> str:
  """Writes who speaks each clip of the splits that a training is judged by.

  Args:
    folder: of the results.
    run: the training.

  Returns:
    The name of the file; it follows from what the data are.
  """
  data = data_identity.identity(run.config.data.to_dict())
  name = f'speakers-{plan.digest(data)}.json'
  if not (folder / name).exists():
    workdir.write_json(folder / name, {
      split: _speakers(setup.open_split(run.config, split))
      for split in run.splits
    })
  return name


def _speakers(source) -> list[int]:
  numbers: dict[str, int] = {}
  return [
    numbers.setdefault(labels.speaker(source[i].name), len(numbers))
    for i in range(len(source))
  ]


def _key(line: Mapping[str, Any]) -> tuple[Any, ...]:
  return tuple(line[name] for name in _KEY)


def _key_of(run: plan.Run) -> tuple[Any, ...]:
  return run.ablation, run.setting, run.seed, run.digest


def _identity(run: plan.Run) -> tuple[Any, ...]:
  return *_key_of(run), run.experiment, list(run.command)


def _append(path: pathlib.Path, line: Mapping[str, Any]) -> None:
  try:
    with path.open('a') as file:
      file.write(json.dumps(line) + '\n')
      file.flush()
      os.fsync(file.fileno())
  except OSError as error:
    raise errors.UserError(
      f'{path} could not be written ({error.strerror}); free some space and '
      'start the same command again.'
    ) from error


def _end_line(path: pathlib.Path) -> None:
  """Removes what a killed sweep left of its last line."""
  if path.exists():
    head, newline, torn = path.read_bytes().rpartition(b'\n')
    if torn:
      os.truncate(path, len(head) + len(newline))
