"""Trains all methods and ours on one data set and compares them.

  python -m experiments.compare --data=folder --data_dir=PATH --budget=20

Every training has --budget epochs. First each float network is trained on
'fit' by its own recipe and by ours, at --tuning learning rates each, and 'dev'
chooses. Then what was chosen is trained on all of training with --seeds seeds
and judged by validation and testing, which reads.jsonl records.

The same command goes on where it was stopped, tries again what failed, and at
its end writes compare<budget>.md, .csv, .json and .svg into --results.
"""

import argparse
from collections.abc import Sequence
import json
import pathlib
import shlex
import sys

from bnn_jax import errors
from bnn_jax.training import workdir
from experiments import collect
from experiments import compare_data
from experiments import compare_plan
from experiments import compare_plot
from experiments import compare_table
from experiments import data_identity
from experiments import plan
from experiments import program
from experiments import records
from experiments import sweep

# Options of the configuration that differ from training to training.
_GIVEN = (
  'size', 'variant', 'accumulator_bits', 'overflow_mode', 'epochs', 'seed',
)
_PHASES = {'choose': (False,), 'judge': (True,), 'both': (False, True)}


def trainings(
  units: Sequence[compare_plan.Unit], planned: compare_plan.Plan,
  book: records.Book, judge: bool,
) -> tuple[list[plan.Run], list[compare_plan.Unit]]:
  """What a phase has to train.

  Args:
    units: the networks.
    planned: how they are trained.
    book: of the results.
    judge: whether it is the second phase.

  Returns:
    The trainings, and the networks for which none of the first phase has ended
    well, so that it cannot be told yet.
  """
  if not judge:
    lists = [planned.choosing(unit) for unit in units]
    # Of one candidate there is nothing to choose.
    return [run for runs in lists if len(runs) > 1 for run in runs], []
  judged = [(unit, planned.judging(unit, book)) for unit in units]
  return (
    [run for _, runs in judged for run in runs or []],
    [unit for unit, runs in judged if runs is None],
  )


def write(
  units: Sequence[compare_plan.Unit], planned: compare_plan.Plan,
  book: records.Book, command: str,
) -> None:
  """Writes the table and the picture of what is known.

  Args:
    units: the networks, a row each.
    planned: how they are trained.
    book: of the results.
    command: that asked for it.
  """
  options = planned.data()
  data = compare_data.describe(options)
  title = (
    f'{data.title}, protocol {options["protocol"]}, {planned.budget} epochs, '
    f'at most {planned.seeds} seeds'
  )
  rows = compare_table.rows(units, planned, book, data)
  path = _table(planned)
  text = compare_table.markdown(rows, title)
  collect.write(path, text)
  collect.write(path.with_suffix('.csv'), compare_table.comma_separated(rows))
  workdir.write_json(
    path.with_suffix('.json'), {
      'title': title, 'command': command,
      'seeds': planned.seeds, 'protocol': options['protocol'],
      'data': data_identity.identity(options), 'rows': rows,
    }
  )
  compare_plot.write(
    compare_plot.draw(rows, title), path.with_suffix('.svg')
  )
  print(text, end='')
  print(f'{path} and .csv, .json, .svg beside it')


def _table(planned: compare_plan.Plan) -> pathlib.Path:
  return planned.results / f'compare{planned.budget}.md'


def _check_place(planned: compare_plan.Plan) -> None:
  """Refuses data that are not there, or not those of the table there."""
  options = planned.data()
  compare_data.describe(options)
  path = _table(planned).with_suffix('.json')
  if not path.exists():
    return
  try:
    there = json.loads(path.read_text())
    title, data = there['title'], there['data']
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise errors.UserError(
      f'{path} is no table of a comparison ({error!r}); remove it or choose '
      'another --results.'
    ) from error
  if data != data_identity.identity(options):
    raise errors.UserError(
      f'{path} is of other data ({title}); choose another --results.'
    )


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog='compare', description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  add = parser.add_argument
  add('--results', type=pathlib.Path, help='their folder',
      default=pathlib.Path('experiments/results/compare'))
  add('--budget', type=int, required=True, help='epochs of every training')
  add('--sizes', choices=('small', 'large', 'all'), default='small')
  add('--tuning', type=int, default=1,
      help='learning rates of each recipe, at most '
      f'{len(compare_plan.RATES)}: its own times '
      f'{", ".join(f"{rate:g}" for rate in compare_plan.RATES)}')
  add('--phase', choices=_PHASES, default='both')
  sweep.add_running(parser, data_required=True)
  return parser


def _check_options(options: str) -> None:
  """Refuses options of the configuration that the comparison gives itself."""
  for part in options.split(','):
    if part.partition('=')[0] in _GIVEN:
      raise errors.UserError(
        f'--options={part} is what the comparison sets for each training; '
        'leave it out, and choose by --budget, --seeds, --sizes and --only.'
      )


def _tabulated(
  chosen: Sequence[compare_plan.Unit], planned: compare_plan.Plan,
  book: records.Book,
) -> list[compare_plan.Unit]:
  """What was chosen by its size, and what earlier calls have trained."""
  keys = {unit.key for unit in chosen}
  return [
    unit for unit in compare_plan.units('all')
    if unit.key in keys or planned.is_known(unit, book)
  ]


def _list(
  units: Sequence[compare_plan.Unit], planned: compare_plan.Plan,
  options: argparse.Namespace,
) -> None:
  """Prints the commands that can be told before anything is trained."""
  book = records.Book(options.results)
  for judge in _PHASES[options.phase]:
    runs, undecided = trainings(units, planned, book, judge)
    for run in runs:
      print(shlex.join(run.command))
    for unit in undecided:
      print(f'{unit.name} is judged by what will be chosen', file=sys.stderr)


def main(arguments: list[str]) -> int:
  """Runs a comparison.

  Args:
    arguments: of the command line.

  Returns:
    The exit status: 1 if a training failed or cannot be told yet.
  """
  options = _parser().parse_args(arguments)
  sweep.check_positive(
    options, 'budget', 'tuning', 'seeds', 'jobs', 'members'
  )
  if options.tuning > len(compare_plan.RATES):
    raise errors.UserError(
      f'--tuning={options.tuning} is too many; choose at most '
      f'{len(compare_plan.RATES)}.'
    )
  _check_options(options.options)
  everything = compare_plan.units(options.sizes)
  units = [u for u in everything if sweep.only(options.only).search(u.name)]
  if not units:
    raise errors.UserError(
      f'--only={options.only} leaves no network; choose from '
      f'{", ".join(unit.name for unit in everything)}.'
    )
  planned = compare_plan.Plan(
    options.results, sweep.shared_options(options, options.budget),
    options.budget, compare_plan.RATES[:options.tuning], options.seeds,
  )
  # The table has all of them, so it is not after hours that one is refused.
  for unit in everything:
    planned.config(unit)
  if options.list:
    _list(units, planned, options)
    return 0
  _check_place(planned)
  book = records.Book(options.results)
  failed = []
  undecided: list[compare_plan.Unit] = []
  for judge in _PHASES[options.phase]:
    runs, undecided = trainings(units, planned, book, judge)
    failed += sweep.sweep(runs, book, options)
  command = shlex.join(['python', '-m', 'experiments.compare', *arguments])
  write(_tabulated(everything, planned, book), planned, book, command)
  for unit in undecided:
    print(
      f'failed: {unit.name}: no candidate has ended well; run --phase=choose '
      'first',
      file=sys.stderr,
    )
  return max(sweep.tell(failed), int(bool(undecided)))


if __name__ == '__main__':
  program.run(main)
