"""Reads what a training run left in its workdir."""

import json
import os
import pathlib
from typing import Any
from typing import NamedTuple

from bnn_jax import errors

Json = dict[str, Any]

_RESULTS = (
  'step', 'class_names', 'accumulator', 'variant', 'profile', 'splits', 'notes',
)


class Run(NamedTuple):
  """One run.

  Attributes:
    config: the resolved configuration, nested.
    provenance: seed, revision, machine and versions; empty if not written.
    train: the training metrics, one entry a step, steps ascending.
    validation: the same of validation.
    results: the evaluation, or None if it has not run.
  """

  config: Json
  provenance: Json
  train: list[Json]
  validation: list[Json]
  results: Json | None


def read(workdir: str | os.PathLike[str]) -> Run:
  """Returns the run of a workdir.

  Args:
    workdir: holds config.json, and as far as the run got provenance.json,
      metrics.jsonl and results.json.

  Raises:
    UserError: there is no config.json, or a file cannot be understood.
  """
  folder = pathlib.Path(workdir)
  config = _optional(folder / 'config.json')
  if config is None:
    raise errors.UserError(
      f'{folder}/config.json does not exist; set --workdir to the folder of a'
      ' training run.'
    )
  lines = _metrics(folder / 'metrics.jsonl')
  return Run(
    config=config,
    provenance=_optional(folder / 'provenance.json') or {},
    train=_last_of_each_step(lines, 'train'),
    validation=_last_of_each_step(lines, 'validation'),
    results=_results(folder / 'results.json'),
  )


def _optional(path: pathlib.Path) -> Json | None:
  """Returns a file's JSON object, or None where there is no file."""
  if not path.exists():
    return None
  try:
    content = json.loads(path.read_bytes())
  except (OSError, ValueError) as error:
    raise errors.UserError(
      f'{path} cannot be read as JSON ({error}); restore it, or run again'
      ' what wrote it.'
    ) from error
  if not isinstance(content, dict):
    raise errors.UserError(
      f'{path} holds no JSON object; restore it, or run again what wrote it.'
    )
  return content


def _results(path: pathlib.Path) -> Json | None:
  results = _optional(path)
  if results is None:
    return None
  missing = [key for key in _RESULTS if key not in results]
  if 'macs' not in results.get('profile', {'macs'}):
    missing.append('profile.macs')
  if missing:
    raise errors.UserError(
      f'{path} lacks {", ".join(missing)}; evaluate the run again with'
      ' --mode=evaluate.'
    )
  return results


def _metrics(path: pathlib.Path) -> list[Json]:
  """Returns the lines in the file's order, without a torn last one."""
  if not path.exists():
    return []
  try:
    lines = path.read_bytes().rstrip(b'\n').split(b'\n')
  except OSError as error:
    raise errors.UserError(
      f'{path} cannot be read ({error}); make it a readable file.'
    ) from error
  found = [_parse(line) for line in lines]
  if found[-1] is None:
    found.pop()
  if None in found:
    raise errors.UserError(
      f'Line {found.index(None) + 1} of {path} is no JSON object with a step,'
      ' an epoch and a kind; delete that line.'
    )
  return [line for line in found if line is not None]


def _parse(line: bytes) -> Json | None:
  try:
    entry = json.loads(line)
  except ValueError:
    return None
  complete = isinstance(entry, dict) and {'step', 'epoch', 'kind'} <= set(entry)
  return entry if complete else None


def _last_of_each_step(lines: list[Json], kind: str) -> list[Json]:
  """Keeps a repeated step's last line: a resumed run writes steps again."""
  last = {line['step']: line for line in lines if line['kind'] == kind}
  return [last[step] for step in sorted(last)]
