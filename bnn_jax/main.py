"""Trains, evaluates and reports; the only file that reads flags.

python -m bnn_jax.main --config=configs/kws.py
"""

import datetime
import os
import pathlib
import sys

from absl import app
from absl import flags
from absl import logging
import ml_collections
from ml_collections import config_flags

from bnn_jax import errors

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'File with get_config, options behind a colon.',
  lock_config=True,
)
_WORKDIR = flags.DEFINE_string(
  'workdir', '',
  'Where everything is written; runs/<config name>-<time> by default.',
)
_MODE = flags.DEFINE_enum(
  'mode', 'train', ['train', 'evaluate', 'report'],
  'train: train (or go on), evaluate and report; evaluate: a checkpoint of '
  'the workdir, also with another accumulator; report: write report.html.',
)
_SPLITS = flags.DEFINE_list(
  'splits', [], 'Splits to evaluate; by default all test splits.',
)
_CHECKPOINT = flags.DEFINE_integer(
  'checkpoint', None, 'Step of the checkpoint to evaluate; the newest if unset.'
)


def main(argv: list[str]) -> None:
  """Runs one mode."""
  if len(argv) > 1:
    raise errors.UserError(
      f'argument {argv[1]!r} has no meaning; every setting is a --flag.'
    )
  if _CONFIG.value is None:
    raise errors.UserError(
      '--config is missing; name a file, such as --config=configs/kws.py.'
    )
  # Orbax logs an error that it raises, too, with its traceback.
  logging.set_verbosity(logging.FATAL)
  _run(_MODE.value, _CONFIG.value, _folder())


def _run(mode: str, config, folder: pathlib.Path) -> None:
  # Imported here, since a process that only synthesizes speech imports this
  # module again and needs none of it, and since errors in flags come sooner.
  import jax
  import rich.console

  from bnn_jax.report import console as report_console
  from bnn_jax.report import html
  from bnn_jax.training import evaluate
  from bnn_jax.training import loop

  if 'JAX_COORDINATOR_ADDRESS' in os.environ:
    jax.distributed.initialize(
      os.environ['JAX_COORDINATOR_ADDRESS'],
      int(os.environ['JAX_NUM_PROCESSES']),
      int(os.environ['JAX_PROCESS_ID']),
    )
  console = rich.console.Console(
    quiet=jax.process_index() > 0, soft_wrap=True
  )
  if mode == 'train':
    try:
      loop.train(config, folder, console)
    except loop.StopError as stop:
      console.print(
        f'{stop}; the state of step {stop.step} is saved in {folder}: start '
        'the same command with this --workdir to go on.'
      )
      sys.exit(128 + stop.number)
  if mode != 'report':
    results = evaluate.run(
      config, folder, splits=_SPLITS.value, checkpoint=_CHECKPOINT.value
    )
    report_console.print_results(results, console)
  if jax.process_index() == 0:
    console.print(f'report: {html.write(folder)}')


def _folder() -> pathlib.Path:
  """The workdir; a new one only for a new training."""
  if _WORKDIR.value:
    return pathlib.Path(_WORKDIR.value)
  if _MODE.value != 'train':
    raise errors.UserError(
      f'--mode={_MODE.value} needs the --workdir of a training.'
    )
  now = datetime.datetime.now().strftime('%Y%m%d-%H%M%S')
  return pathlib.Path('runs') / f'{_CONFIG.value.name}-{now}'


def _parse(argv: list[str]) -> list[str]:
  """Parses flags, with one sentence for whatever is wrong with them."""
  try:
    config = _config_alone(argv)
    for argument in argv:
      _check_override(config, argument)
    return flags.FLAGS(argv)
  except (flags.Error, OSError, ValueError) as error:
    # What a config file raises arrives with its traceback as its text.
    sentence = str(error).strip().splitlines()[-1].strip()
    sentence = sentence.removeprefix('ValueError: ')
    raise errors.UserError(sentence) from error


def _config_alone(argv: list[str]) -> ml_collections.ConfigDict | None:
  """The configuration before any --config.KEY=VALUE."""
  alone = flags.FlagValues()
  named = [a for a in argv if a.startswith(('--config=', '-config='))]
  for argument in named:
    path = argument.partition('=')[2].partition(':')[0]
    if not pathlib.Path(path).is_file():
      raise errors.UserError(
        f'config file {path!r} does not exist; name one, such as '
        '--config=configs/kws.py, and run in the root of the repository.'
      )
  holder = config_flags.DEFINE_config_file(
    'config', flag_values=alone, sys_argv=named
  )
  alone([argv[0], *named])
  return holder.value if named else None


def _check_override(
  config: ml_collections.ConfigDict | None, argument: str
) -> None:
  """Refuses --config.KEY=VALUE whose key the configuration does not have."""
  name = argument.lstrip('-').partition('=')[0]
  if config is None or not name.startswith('config.'):
    return
  for key in name.split('.')[1:]:
    valid: list[str] = list(getattr(config, 'keys', list)())
    if key not in valid:
      raise errors.UserError(
        f'--{name} does not exist in the configuration; in the place of {key} '
        f'there are: {", ".join(valid) or "no keys"}.'
      )
    config = config[key]


def run() -> None:
  """Entry point: errors of the user's are one sentence and status 1."""
  try:
    app.run(main, flags_parser=_parse)
  except errors.UserError as error:
    print(f'error: {error}', file=sys.stderr)
  # Only an error comes here. On a full disk the libraries would try again to
  # write what they hold, and fail with tracebacks.
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(1)


if __name__ == '__main__':
  run()
