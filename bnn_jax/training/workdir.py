"""The files that make a workdir the record of one experiment."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import datetime
import fcntl
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any

import jax

from bnn_jax import errors
from bnn_jax.nn.kernels import choice
from bnn_jax.training import collaboration

PACKAGES = ('bnn_jax', 'jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint',
            'grain', 'numpy', 'tensorflow-datasets')
CONFIG, PROVENANCE = 'config.json', 'provenance.json'
METRICS, RESULTS = 'metrics.jsonl', 'results.json'
_VARIABLES = ('XLA_FLAGS', 'JAX_PLATFORMS', 'BNN_JAX_OVERFLOW_ENGINE')
CHECKPOINTS = 'checkpoints'
# Of a workdir whose integers were calibrated, not trained.
CALIBRATION = 'calibration.json'
_LOCK = '.lock'


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes `value`, all of it or nothing.

  Raises:
    UserError: the file cannot be written.
  """
  temporary = path.with_name(f'.{path.name}.{os.getpid()}')
  try:
    temporary.write_text(json.dumps(value, indent=2) + '\n')
    temporary.replace(path)
  except OSError as error:
    temporary.unlink(missing_ok=True)
    raise errors.UserError(
      f'{path} could not be written ({error.strerror}); free some space or '
      'choose another folder.'
    ) from error


def read_json(path: pathlib.Path) -> Any:
  """Reads what `write_json` wrote.

  Raises:
    UserError: the file is missing or is no JSON.
  """
  try:
    return json.loads(path.read_text())
  except OSError as error:
    raise errors.UserError(
      f'{path} cannot be read ({error.strerror}); is {path.parent} the '
      '--workdir of a training?'
    ) from error
  except json.JSONDecodeError as error:
    raise errors.UserError(
      f'{path} is no JSON (line {error.lineno}); restore it, or train into '
      'another --workdir.'
    ) from error


def read_config(folder: pathlib.Path) -> dict[str, Any]:
  """The configuration of a workdir.

  Raises:
    UserError: the file is missing or is no JSON.
  """
  config = read_json(folder / CONFIG)
  # Workdirs that do not have a key were trained so.
  if 'penalty' in config:
    config.setdefault('collaboration', {})
  for group, key, value in (
    ('model', 'padding', 'same'), ('model', 'learn_preload', False),
    ('model', 'shape', ''), ('model', 'parts', 1), ('model', 'rule', 'ours'),
    ('data', 'manual_dir', ''), ('data', 'protocol', 'official'),
    ('data', 'training_split', 'training'),
    ('optimizer', 'kind', 'adamw'), ('optimizer', 'momentum', 0.9),
    ('optimizer', 'schedule', 'cosine'), ('optimizer', 'drops', []),
    ('optimizer', 'hold_share', 0.0), ('optimizer', 'final_share', 0.0),
    ('training', 'range_start', 1.0), ('training', 'range_share', 0.5),
    ('training', 'range_bound', 0.01),
    *(('collaboration', weight, 0.0) for weight in collaboration.WEIGHTS),
    ('collaboration', 'temperature', 2.0),
  ):
    if isinstance(config.get(group), dict):
      config[group].setdefault(key, value)
  return config


def hold(folder: pathlib.Path) -> contextlib.AbstractContextManager[Any]:
  """Keeps other trainings out of a workdir, which is made where missing.

  Of several processes the first one holds it for all.

  Args:
    folder: the workdir.

  Returns:
    Lets it go at its exit; the end of the process does that, too.

  Raises:
    UserError: another training is under way there.
  """
  _make(folder)
  if jax.process_index() != 0:
    return contextlib.nullcontext()
  path = folder / _LOCK
  try:
    lock = path.open('w')
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError as error:
    raise errors.UserError(
      f'another training is under way in {folder}; wait for its end, or choose '
      'another --workdir.'
    ) from error
  except OSError as error:
    raise errors.UserError(
      f'{path} cannot be locked ({error.strerror}); choose another --workdir.'
    ) from error
  return lock


def _make(folder: pathlib.Path) -> None:
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise errors.UserError(
      f'the workdir {folder} cannot be made ({error.strerror}); choose another '
      '--workdir.'
    ) from error


def prepare(folder: pathlib.Path, config: dict[str, Any], seed: int) -> None:
  """Makes a workdir, or makes sure that it is this configuration's.

  Of several processes only the first one writes.

  Args:
    folder: the workdir.
    config: the resolved configuration.
    seed: of the experiment, for the record.

  Raises:
    UserError: the workdir belongs to another configuration, or cannot be made.
  """
  _make(folder)
  known = (folder / CONFIG).exists()
  if known:
    check_config(folder, config)
  if jax.process_index() == 0:
    write_json(folder / PROVENANCE, _history(folder, provenance(seed)))
    if not known:
      write_json(folder / CONFIG, config)


def _history(folder: pathlib.Path, now: dict[str, Any]) -> dict[str, Any]:
  """What produced a run, and under `resumed` what went on with it."""
  path = folder / PROVENANCE
  if not path.exists():
    return now
  first = read_json(path)
  return first | {'resumed': [*first.get('resumed', []), now]}


def check_trainable(folder: pathlib.Path) -> None:
  """Refuses to train where integers were calibrated.

  Raises:
    UserError: a training would make its own in their place.
  """
  if (folder / CALIBRATION).exists():
    source = read_json(folder / CALIBRATION)['workdir']
    raise errors.UserError(
      f'{folder} holds calibrated integers, which a training would replace; '
      f'train in {source}, from which they were made, or in another --workdir.'
    )


def check_config(
  folder: pathlib.Path, config: dict[str, Any], ignore: tuple[str, ...] = ()
) -> None:
  """Compares a configuration with the one of a workdir.

  Args:
    folder: the workdir.
    config: the resolved configuration.
    ignore: beginnings of keys that may differ, such as 'accumulator.'.

  Raises:
    UserError: they differ; the message names the keys.
  """
  differing = {
    key: pair for key, pair in differences(folder, config).items()
    if not key.startswith(ignore)
  }
  if differing:
    changes = ', '.join(
      f'{key} ({there!r} there, {now!r} now)'
      for key, (there, now) in list(differing.items())[:5]
    )
    more = f' and {len(differing) - 5} more' if len(differing) > 5 else ''
    raise errors.UserError(
      f'the workdir {folder} is of another configuration: {changes}{more}; '
      'choose another --workdir or the same configuration.'
    )


def differences(
  folder: pathlib.Path, config: dict[str, Any]
) -> dict[str, tuple[Any, Any]]:
  """What a workdir's configuration and another one do not share.

  Args:
    folder: the workdir.
    config: the resolved configuration.

  Returns:
    (value there, value now) by the full key, sorted; None for no such key.

  Raises:
    UserError: the workdir's configuration cannot be read.
  """
  now = dict(_flat(as_json(config)))
  there = dict(_flat(read_config(folder)))
  missing = object()
  return {
    key: (there.get(key), now.get(key))
    for key in sorted(there.keys() | now.keys())
    if there.get(key, missing) != now.get(key, missing)
  }


def as_json(value: Any) -> Any:
  """The value as it comes back from a file, where tuples are lists."""
  return json.loads(json.dumps(value))


def _flat(
  tree: Mapping[str, Any], prefix: str = ''
) -> Iterator[tuple[str, Any]]:
  for key, value in tree.items():
    if isinstance(value, Mapping):
      yield from _flat(value, f'{prefix}{key}.')
    else:
      yield prefix + key, value


def provenance(seed: int) -> dict[str, Any]:
  """What produced a run: command, versions, devices, engine, revision, seed."""
  return {
    'seed': seed,
    'git_revision': git_revision(),
    'command': [sys.executable, *sys.argv],
    'python': platform.python_version(),
    'platform': platform.platform(),
    'devices': [f'{d.platform} {d.device_kind}' for d in jax.devices()],
    'engine': choice.choose(None),
    'engine_notes': choice.describe(),
    'versions': {name: importlib.metadata.version(name) for name in PACKAGES},
    'environment': environment(),
    'started': datetime.datetime.now().astimezone().isoformat('T', 'seconds'),
  }


def environment() -> dict[str, str]:
  """The variables that decide how numbers are computed, where they are set."""
  return {
    name: os.environ[name] for name in _VARIABLES if name in os.environ
  }


def git_revision() -> str:
  """Of the source tree, with '-dirty' behind it; '' outside of git."""
  root = pathlib.Path(__file__).resolve().parents[2]
  command = ['git', '-C', str(root), 'describe', '--always', '--dirty',
             '--abbrev=40']
  try:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
  except (OSError, subprocess.CalledProcessError):
    return ''
  return done.stdout.strip()
