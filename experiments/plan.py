"""From settings, such as those of an ablation file, to trainings."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import hashlib
import importlib
import importlib.util
import json
import pathlib
import re
import types
from typing import Any
from typing import NamedTuple

import ml_collections

from bnn_jax import errors
from experiments import data_identity

CONFIG = 'configs/kws.py'
# What settings are chosen by, and what chosen ones are judged by.
CHOSEN_BY, JUDGED_BY = ('dev',), ('validation', 'testing')


class Setting(NamedTuple):
  """One place around the default.

  Attributes:
    name: of the setting.
    options: of the configuration's file, separated by commas.
    overrides: values by dotted keys.
    file: of the configuration, from the root of the repository.
  """

  name: str
  options: str
  overrides: Mapping[str, Any]
  file: str = CONFIG


class Run(NamedTuple):
  """A setting with a seed: one training.

  Attributes:
    ablation: what the settings belong to; of an ablation file, its name behind
      'ablation_'.
    setting: its name.
    seed: of the training.
    config: the whole configuration.
    digest: of the configuration but its name and the places of its data.
    experiment: the same without the seed.
    command: the words of the command that trains and judges it.
    workdir: of that command.
    splits: to judge it by.
  """

  ablation: str
  setting: str
  seed: int
  config: ml_collections.ConfigDict
  digest: str
  experiment: str
  command: tuple[str, ...]
  workdir: pathlib.Path
  splits: tuple[str, ...]


def runs(
  path: pathlib.Path, *, results: pathlib.Path, options: str, seeds: int,
  judge: bool = False,
) -> list[Run]:
  """All trainings of an ablation file, seed by seed.

  Args:
    path: the file; its `sweep(add)` calls `add(name, options='',
      overrides={})` for each setting, and `REQUIRES` may name options that the
      caller has to give.
    results: the folder of the results, in which the workdirs lie.
    options: of `configs/kws.py` for all settings; a setting's own go before.
    seeds: how many, from 0.
    judge: train on 'training' and judge by `JUDGED_BY`, instead of 'fit' and
      `CHOSEN_BY`.

  Raises:
    UserError: no such file, or a setting that is not possible.
  """
  module = _load(path)
  given = _split(options)
  for name in getattr(module, 'REQUIRES', ()):
    if name not in given:
      raise errors.UserError(
        f'{path} needs the option {name}; give it by --options={name}=VALUE.'
      )
  settings = list(_settings(module, path))
  ablation = path.stem.removeprefix('ablation_')
  return [
    run(
      ablation, setting, seed, results=results, options=options, judge=judge
    )
    for seed in range(seeds) for setting in settings
  ]


def config(
  file: str, *options: str, overrides: Mapping[str, Any] | None = None,
  name: str = '',
) -> ml_collections.ConfigDict:
  """The configuration of a file of configs/.

  Args:
    file: from the root of the repository, such as `CONFIG`.
    *options: for its `get_config`; of two of one name the later counts.
    overrides: values by dotted keys.
    name: what it is called where it is not possible.

  Raises:
    UserError: it is not possible.
  """
  module = importlib.import_module(file.removesuffix('.py').replace('/', '.'))
  try:
    made = module.get_config(merged(*options))
    made.update_from_flattened_dict(overrides or {})
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    problem = str(error).splitlines()[0].removesuffix('.')
    raise errors.UserError(
      f'{name or file} is not possible: {problem}; correct its options or '
      'overrides.'
    ) from error
  return made


def merged(*options: str) -> str:
  """Options as one string; of two of one name the later counts."""
  words: dict[str, str] = {}
  for string in options:
    words |= _split(string)
  return ','.join(words.values())


def run(
  ablation: str, setting: Setting, seed: int, *, results: pathlib.Path,
  options: str, judge: bool,
) -> Run:
  """One training; arguments as of `runs`.

  Args:
    ablation: what the setting belongs to.
    setting: the setting.
    seed: of the training.
    results: the folder of the results.
    options: for all settings.
    judge: see `runs`.

  Raises:
    UserError: the setting is not possible.
  """
  string = merged(options, setting.options, f'seed={seed}')
  splits = JUDGED_BY if judge else CHOSEN_BY
  overrides = {
    'name': f'{ablation}-{setting.name}',
    'data.training_split': 'training' if judge else 'fit',
    **setting.overrides,
  }
  made = config(
    setting.file, string, overrides=overrides,
    name=f'the setting {setting.name} of {ablation}',
  )
  judged = 'judge' if judge else 'choose'
  workdir = results / 'runs' / f'{ablation}-{setting.name}-{judged}-seed{seed}'
  command = [
    'python', '-m', 'bnn_jax.main', f'--config={setting.file}:{string}',
    *(f'--config.{key}={value}' for key, value in overrides.items()),
    f'--workdir={workdir}',
  ]
  if judge:
    command.append(f'--splits={",".join(splits)}')
  plain = made.to_dict()
  del plain['name']
  plain['data'] = data_identity.identity(plain['data'])
  seedless = {key: value for key, value in plain.items() if key != 'seed'}
  return Run(
    ablation, setting.name, seed, made, digest(plain), digest(seedless),
    tuple(command), workdir, splits,
  )


def digest(tree: Any) -> str:
  """Sixteen hexadecimal digits by which two values of JSON are told apart."""
  text = json.dumps(tree, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def _load(path: pathlib.Path) -> types.ModuleType:
  if not path.is_file():
    raise errors.UserError(
      f'the ablation file {path} does not exist; name one such as '
      'experiments/ablation_width.py.'
    )
  spec = importlib.util.spec_from_file_location(path.stem, path)
  if spec is None or spec.loader is None:
    raise errors.UserError(f'{path} is no Python file; name one that ends .py.')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  if not hasattr(module, 'sweep'):
    raise errors.UserError(
      f'{path} has no sweep(add); define it, see experiments/plan.py.'
    )
  return module


def _settings(module: Any, path: pathlib.Path) -> Iterator[Setting]:
  found: dict[str, Setting] = {}

  def add(
    name: str, options: str = '', overrides: Mapping[str, Any] | None = None
  ) -> None:
    """Adds a setting by its options and other values."""
    if name in found or not re.fullmatch(r'\w[\w.+-]*', name):
      raise errors.UserError(
        f'{path} adds the setting {name!r}, which is there already or cannot '
        'name a folder; choose another name.'
      )
    found[name] = Setting(name, options, overrides or {})

  sweep: Callable[[Any], None] = module.sweep
  sweep(add)
  return iter(found.values())


def _split(options: str) -> dict[str, str]:
  """Option to its whole text, 'name' or 'name=value'."""
  return {part.partition('=')[0]: part for part in options.split(',') if part}
