"""Trains the settings of an ablation file and keeps what comes of each.

  python -m experiments.sweep experiments/ablation_width.py --results DIR \
    --data=folder --data_dir=PATH

Every run is an ordinary configuration: --list prints the command that trains
and judges it. Runs train on 'fit' and are judged by 'dev', speakers kept aside
from training. With --judge they train on all of training and are judged by
validation and testing; each such read leaves a line in reads.jsonl.

Results are appended to results.jsonl; what ended well is not run again, nor is
a configuration that another setting shares. A run that fails is named at the
end, and tried again by the next call. `python -m experiments.collect` makes
tables of them.
"""

import argparse
from collections.abc import Iterable
import pathlib
import re
import shlex
import sys
from typing import Any

from bnn_jax import errors
from experiments import plan
from experiments import program
from experiments import records

_RUNNERS = ('fleet', 'local', 'slurm')


def sweep(
  runs: list[plan.Run], book: records.Book, options: argparse.Namespace
) -> list[tuple[plan.Run, str]]:
  """Runs what has not ended well yet.

  Args:
    runs: all of them.
    book: of their results.
    options: how to run them, see `main`.

  Returns:
    What failed, and why.
  """
  for run in runs:
    known = book.outcome(run.digest)
    if known and not book.has(run):
      book.write(run, known, is_new=False)
  sharing: dict[str, list[plan.Run]] = {}
  for run in runs:
    if not book.has(run):
      sharing.setdefault(run.digest, []).append(run)
  print(f'{sum(map(book.has, runs))} of {len(runs)} runs are done', flush=True)
  if not sharing:
    return []
  firsts = [same[0] for same in sharing.values()]
  speakers = {run.digest: records.write_speakers(book.folder, run)
              for run in firsts}
  failed = []
  for run, outcome in _started(firsts, options):
    if 'error' in outcome:
      failed.append((run, outcome['error']))
    outcome['speakers'] = speakers[run.digest]
    for i, same in enumerate(sharing[run.digest]):
      book.write(same, outcome, is_new=i == 0)
    print(_line(run, outcome), flush=True)
  return failed


def _started(
  runs: list[plan.Run], options: argparse.Namespace
) -> Iterable[tuple[plan.Run, dict[str, Any]]]:
  """The runner's results, as they come; it is imported where it is used."""
  runner = options.runner or _default_runner()
  if runner == 'fleet':
    from experiments import run_fleet
    if not options.keep:
      print('a fleet writes no checkpoints; --keep makes it', flush=True)
    return run_fleet.run(runs, members=options.members, keep=options.keep)
  if runner == 'slurm':
    from experiments import run_slurm
    return run_slurm.run(
      runs, jobs=options.jobs, logs=options.results / 'slurm'
    )
  from experiments import run_local
  return run_local.run(runs, jobs=options.jobs)


def _default_runner() -> str:
  import jax
  return 'local' if jax.default_backend() == 'cpu' else 'fleet'


def _line(run: plan.Run, outcome: dict[str, Any]) -> str:
  name = f'{run.ablation}-{run.setting} seed {run.seed}'
  if 'error' in outcome:
    return f'{name}: failed, {outcome["error"]}'
  accuracies = ', '.join(
    f'{split} {100 * row["accuracy_deployed"]:.2f} % '
    f'(exact {100 * row["accuracy_exact"]:.2f} %)'
    for split, row in outcome['splits'].items()
  )
  return f'{name}: {accuracies}'


def shared_options(options: argparse.Namespace, epochs: int) -> str:
  """Options of the configuration that all settings share."""
  pairs = (('data', options.data), ('data_dir', options.data_dir),
           ('epochs', epochs))
  words = [f'{name}={value}' for name, value in pairs if value]
  return ','.join(filter(None, (*words, options.options)))


def only(text: str) -> re.Pattern[str]:
  """What --only searches for.

  Raises:
    UserError: it is no regular expression.
  """
  try:
    return re.compile(text)
  except re.error as error:
    raise errors.UserError(
      f'--only={text} is no regular expression ({error}); correct it.'
    ) from error


def add_running(
  parser: argparse.ArgumentParser, *, data_required: bool = False
) -> None:
  """Arguments that say on what trainings run, where and how."""
  add = parser.add_argument
  add('--data', default='', required=data_required,
      help='as of configs/kws.py')
  add('--data_dir', default='', help='as of configs/kws.py')
  add('--options', default='', help='others of configs/kws.py, for all')
  add('--seeds', type=int, default=3, help='how many')
  add('--only', default='', help='regular expression on the settings names')
  add('--runner', choices=_RUNNERS,
      help='fleet: many in one program; local: processes; slurm: jobs; by '
      'default fleet on an accelerator and local without')
  add('--jobs', type=int, default=1, help='of local and slurm, at a time')
  add('--members', type=int, default=32, help='of a fleet, at a time')
  add('--keep', action='store_true', help='write a workdir for each member')
  add('--list', action='store_true', help='print the commands and end')


def check_positive(options: argparse.Namespace, *names: str) -> None:
  """Refuses numbers below 1 among the arguments of these names.

  Raises:
    UserError: there is one.
  """
  for name in names:
    if getattr(options, name) < 1:
      raise errors.UserError(
        f'--{name}={getattr(options, name)} is not positive; set it to at '
        'least 1.'
      )


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog='sweep', description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add = parser.add_argument
  add('file', type=pathlib.Path, help='the ablation file')
  add('--results', type=pathlib.Path, required=True, help='their folder')
  add('--epochs', type=int, default=8)
  add('--judge', action='store_true',
      help='train on training, judge by validation and testing')
  add_running(parser)
  return parser


def tell(failed: list[tuple[plan.Run, str]]) -> int:
  """Names what failed; the exit status, 1 if anything did."""
  for run, reason in failed:
    print(f'failed: {run.setting} seed {run.seed}: {reason}', file=sys.stderr)
  return 1 if failed else 0


def main(arguments: list[str]) -> int:
  """Runs a sweep.

  Args:
    arguments: of the command line.

  Returns:
    The exit status: 1 if a run failed.
  """
  options = _parser().parse_args(arguments)
  check_positive(options, 'seeds', 'jobs', 'members', 'epochs')
  runs = plan.runs(
    options.file, results=options.results, seeds=options.seeds,
    options=shared_options(options, options.epochs), judge=options.judge,
  )
  runs = [run for run in runs if only(options.only).search(run.setting)]
  if not runs:
    raise errors.UserError(
      f'--only={options.only} leaves no setting of {options.file}; --list '
      'without it shows them.'
    )
  if options.list:
    for run in runs:
      print(shlex.join(run.command))
    return 0
  return tell(sweep(runs, records.Book(options.results), options))


if __name__ == '__main__':
  program.run(main)
