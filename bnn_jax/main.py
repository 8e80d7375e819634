"""Trains, calibrates, evaluates, exports; the only file that reads flags.

python -m bnn_jax.main --config=configs/kws.py
"""

from collections.abc import Callable
import datetime
import functools
import os
import pathlib
import signal
import sys

from absl import app
from absl import flags
from absl import logging
import ml_collections
from ml_collections import config_flags

from bnn_jax import command_line
from bnn_jax import errors

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'File with get_config, options behind a colon; by default, '
  'in all modes but train, the configuration of the workdir.',
  lock_config=True,
)
_WORKDIR = flags.DEFINE_string(
  'workdir', '',
  'Where everything is written; runs/<config name>-<time> by default.',
)
_MODE = flags.DEFINE_enum(
  'mode', 'train',
  ['train', 'summary', 'evaluate', 'report', 'calibrate', 'export', 'verify',
   'listen', 'rtl'],
  'train: train (or go on), evaluate and report; summary: what the network '
  'costs, layer by layer; evaluate: a checkpoint of the workdir, also with '
  'another accumulator; report: write report.html; calibrate: fit the integers '
  'of a checkpoint to another accumulator, without training; '
  'export: write a checkpoint as integers; verify: compare all engines on it; '
  'listen: tell the words that its export hears; rtl: simulate the '
  'accelerator and compare it with the golden model.',
)
_SPLITS = flags.DEFINE_list(
  'splits', [],
  'Splits to evaluate, verify or simulate; by default all test splits.',
)
_CHECKPOINT = flags.DEFINE_integer(
  'checkpoint', None,
  'Step of the checkpoint to evaluate, calibrate or export; the newest if '
  'unset.',
)
_CALIBRATED = flags.DEFINE_string(
  'calibrated', '',
  'The workdir that a calibration makes; <workdir>-calibrated by default.',
)
_LIMIT = flags.DEFINE_integer(
  'limit', None, 'Clips of each split to verify or simulate; all if unset.',
  lower_bound=1,
)
_INPUT = flags.DEFINE_string(
  'input', '', 'WAV file to listen to; the microphone if unset.'
)
_THRESHOLD = flags.DEFINE_float(
  'threshold', 0.6, 'Lowest score of a word that is heard, from 0 to 1.'
)
_DEEP = flags.DEFINE_bool(
  'deep', False, 'Compare every layer of the first clips, too.'
)
_ALLOW_MISSING = flags.DEFINE_bool(
  'allow_missing', False,
  'Verify successfully though an engine could not run here, such as C without '
  'a compiler.',
)
_JSON = flags.DEFINE_bool(
  'json', False, 'End a summary with a line of JSON.'
)
_PES = flags.DEFINE_integer(
  'pes', 16, 'Processing elements of the accelerator.', lower_bound=1
)
_LANES = flags.DEFINE_integer(
  'lanes', None, 'Normalization units of the accelerator, which the elements '
  'share; if unset as many as the channels allow, at most --pes.',
  lower_bound=1,
)
_MEMORIES = flags.DEFINE_list(
  'memories', [], 'Sizes of memories of the accelerator, such as '
  'weight_rows=8192,input_rows=256; by default what the network needs.'
)


def main(argv: list[str]) -> None:
  """Runs one mode."""
  if len(argv) > 1:
    raise errors.UserError(
      f'argument {argv[1]!r} has no meaning; every setting is a --flag.'
    )
  if _CONFIG.value is None and (_MODE.value == 'train' or not _WORKDIR.value):
    raise errors.UserError(
      '--config is missing; name a file, such as --config=configs/kws.py.'
    )
  # Orbax logs an error that it raises, too, with its traceback.
  logging.set_verbosity(logging.FATAL)
  _run(_MODE.value, _folder())


def _run(mode: str, folder: pathlib.Path) -> None:
  # Imported here, since a process that only synthesizes speech imports this
  # module again and needs none of it, and since errors in flags come sooner.
  import jax
  import rich.console

  if 'JAX_COORDINATOR_ADDRESS' in os.environ:
    jax.distributed.initialize(
      os.environ['JAX_COORDINATOR_ADDRESS'],
      _number_of('JAX_NUM_PROCESSES'), _number_of('JAX_PROCESS_ID'),
    )
  console = rich.console.Console(
    quiet=jax.process_index() > 0, soft_wrap=True
  )
  _MODES[mode](_config(mode, folder), folder, console)


def _number_of(variable: str) -> int:
  """An integer from the environment."""
  value = os.environ.get(variable, '')
  if not value.isdecimal():
    raise errors.UserError(
      f'{variable}={value!r} is no number, and JAX_COORDINATOR_ADDRESS is set; '
      'set both numbers, or unset the address to train in one process.'
    )
  return int(value)


def _config(mode: str, folder: pathlib.Path) -> ml_collections.ConfigDict:
  """What --config says, or else the workdir's own configuration.

  The convolutions of a checkpoint are in its own parts, whatever the default of
  the register that --config asks for.
  """
  from bnn_jax.training import workdir

  config = _CONFIG.value
  if config is None:
    return ml_collections.ConfigDict(workdir.read_config(folder)).lock()
  if mode not in ('train', 'summary'):
    with config.unlocked():
      own = workdir.read_config(folder).get('model', {})
      config.model.parts = own.get('parts', config.model.parts)
  return config


def _train(config, folder: pathlib.Path, console) -> None:
  from bnn_jax.training import loop

  console.print(f'workdir: {folder}', highlight=False)
  try:
    loop.train(config, folder, console)
  except loop.StopError as stop:
    console.print(
      f'{stop}; the state of step {stop.step} is saved in {folder}: start '
      'the same command with this --workdir to go on.'
    )
    sys.exit(128 + stop.number)
  _evaluate(config, folder, console)


def _summary(config, folder: pathlib.Path, console) -> None:
  import json

  from bnn_jax.models import profile
  from bnn_jax.report import summary
  from bnn_jax.training import setup

  del folder
  found = profile.profile(
    setup.model(config), input_bits=config.model.input_bits,
    **setup.input_shape(config),
  )
  summary.print_summary(found, console)
  if _JSON.value:
    console.out(json.dumps(summary.machine_readable(found)), highlight=False)


def _evaluate(config, folder: pathlib.Path, console) -> None:
  from bnn_jax.report import console as report_console
  from bnn_jax.training import evaluate
  from bnn_jax.training import workdir

  results = evaluate.run(
    config, folder, splits=_SPLITS.value, checkpoint=_CHECKPOINT.value
  )
  report_console.print_results(results, console)
  path = evaluate.results_path(
    config, folder, _SPLITS.value, _CHECKPOINT.value
  )
  if path.name != workdir.RESULTS:
    console.print(f'results: {path}', highlight=False, markup=False)
    return
  _report(config, folder, console)


def _report(config, folder: pathlib.Path, console) -> None:
  import jax

  from bnn_jax.report import html

  del config
  if jax.process_index() == 0:
    console.print(f'report: {html.write(folder)}')


def _calibrate(config, folder: pathlib.Path, console) -> None:
  from bnn_jax.jobs import calibrate
  from bnn_jax.report import calibration

  target = pathlib.Path(_CALIBRATED.value or f'{folder}-calibrated')
  record = calibrate.run(
    config, folder, target, checkpoint=_CHECKPOINT.value
  )
  calibration.print_calibration(record, console)
  console.print(f'calibrated: {target}', highlight=False, markup=False)


def _plainly(console) -> Callable[[str], None]:
  """Prints lines as they are."""
  return functools.partial(console.print, highlight=False, markup=False)


def _export(config, folder: pathlib.Path, console) -> None:
  from bnn_jax.jobs import export

  path = export.run(config, folder, checkpoint=_CHECKPOINT.value)
  console.print(
    f'export: {path}, {export.summary(path)}.', highlight=False, markup=False
  )


def _verify(config, folder: pathlib.Path, console) -> None:
  from bnn_jax.jobs import verify

  equal = verify.run(
    config, folder, splits=_SPLITS.value, limit=_LIMIT.value,
    deep=_DEEP.value, allow_missing=_ALLOW_MISSING.value,
    tell=_plainly(console),
  )
  if not equal:
    sys.exit(1)


def _listen(config, folder: pathlib.Path, console) -> None:
  from bnn_jax.jobs import listen

  listen.run(
    config, folder, path=_INPUT.value, threshold=_THRESHOLD.value,
    tell=_plainly(console),
  )


def _rtl(config, folder: pathlib.Path, console) -> None:
  from bnn_jax.accelerator import spec
  from bnn_jax.jobs import rtl

  equal = rtl.run(
    config, folder, spec.AcceleratorSpec(
      pes=_PES.value, lanes=_LANES.value, **spec.memories(_MEMORIES.value)
    ),
    splits=_SPLITS.value, limit=_LIMIT.value, deep=_DEEP.value,
    tell=_plainly(console),
  )
  if not equal:
    sys.exit(1)


_MODES: dict[str, Callable[..., None]] = {
  'train': _train,
  'summary': _summary,
  'evaluate': _evaluate,
  'report': _report,
  'calibrate': _calibrate,
  'export': _export,
  'verify': _verify,
  'listen': _listen,
  'rtl': _rtl,
}


def _folder() -> pathlib.Path:
  """The workdir; a new one only for a new training."""
  if _WORKDIR.value or _MODE.value == 'summary':
    return pathlib.Path(_WORKDIR.value)
  if _MODE.value != 'train':
    raise errors.UserError(
      f'--mode={_MODE.value} needs the --workdir of a training.'
    )
  if 'JAX_COORDINATOR_ADDRESS' in os.environ:
    raise errors.UserError(
      '--workdir is missing; name the same one for all processes of this '
      'training, as the default holds the time, which each has for itself.'
    )
  # To the microsecond, for two trainings that start together.
  now = datetime.datetime.now().strftime('%Y%m%d-%H%M%S-%f')
  return pathlib.Path('runs') / f'{_CONFIG.value.name}-{now}'


def run() -> None:
  """Entry point: errors of the user's are one sentence and status 1."""
  status = 1
  try:
    app.run(main, flags_parser=command_line.parse)
  except errors.UserError as error:
    print(f'error: {error}', file=sys.stderr)
  except KeyboardInterrupt:
    # The training loop takes the signal itself, to save its state.
    print('stopped by SIGINT outside of the training loop.', file=sys.stderr)
    status = 128 + signal.SIGINT
  # Only an error comes here. On a full disk the libraries would try again to
  # write what they hold, and fail with tracebacks.
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(status)


if __name__ == '__main__':
  run()
