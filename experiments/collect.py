"""Makes tables of the results of sweeps.

  python -m experiments.collect --results DIR --ablation=width \
    --markdown FILE --json FILE

A row is a setting: mean, standard deviation and number of its seeds, and the
paired difference of its deployed accuracy to a baseline of the same seeds and
clips, with a 95 % bootstrap interval over speakers and, of several, seeds.
Several --splits count as one. The last training of a setting and seed counts.
"""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
import os
import pathlib
import shlex
import statistics
from typing import Any

import numpy as np

from bnn_jax import errors
from bnn_jax.training import evaluator
from bnn_jax.training import workdir
from experiments import bootstrap
from experiments import program
from experiments import records

_HEAD = (
  'setting', 'seeds', 'deployed, %', 'exact, %', 'changed', 'overflow, %',
  'clips/s',
  'to {baseline}, points', '95 % interval',
)


def good(
  folder: pathlib.Path, ablation: str, splits: Sequence[str]
) -> dict[str, dict[int, dict[str, Any]]]:
  """Results that ended well, by setting and seed.

  Args:
    folder: of the results.
    ablation: whose.
    splits: of those that they were judged by.

  Raises:
    UserError: there are none, or seeds of a setting are of different
      configurations.
  """
  found: dict[str, dict[int, dict[str, Any]]] = {}
  for line in records.read(folder):
    judged = line.get('splits', {})
    if line['ablation'] == ablation and {*splits} <= judged.keys():
      wanted = {'splits': {name: judged[name] for name in splits}}
      found.setdefault(line['setting'], {})[line['seed']] = line | wanted
  if not found:
    raise errors.UserError(
      f'{folder} holds no result of the ablation {ablation!r} judged by '
      f'{", ".join(splits)}; run its sweep first, or name another --ablation.'
    )
  for setting, by_seed in found.items():
    _check_same(folder, setting, by_seed)
  return found


def _check_same(folder, setting, lines) -> None:
  """All seeds are of one configuration, where the lines tell it."""
  known = {
    line['experiment']: line for line in lines.values() if 'experiment' in line
  }
  if len(known) > 1:
    one, other, *_ = map(_command, known.values())
    raise errors.UserError(
      f'{folder} holds seeds of {setting!r} that are not of one configuration:'
      f' {one} and {other}; train them in folders of their own.'
    )


def _command(line: dict[str, Any]) -> str:
  return shlex.join(line['command'])


def right(line: dict[str, Any], register: str = 'deployed') -> np.ndarray:
  """Which clips of all splits a training has right, bool `[clips]`."""
  return np.concatenate([
    evaluator.unpack(split[f'right_{register}'], split['clips'])
    for split in line['splits'].values()
  ])


def table(
  folder: pathlib.Path, ablation: str, splits: Sequence[str], baseline: str
) -> list[dict[str, Any]]:
  """One row a setting, in the order of the first results; all are shares.

  Raises:
    UserError: there are no results, or none of the baseline.
  """
  found = good(folder, ablation, splits)
  if baseline not in found:
    raise errors.UserError(
      f'{folder} holds no result of the setting {baseline!r} of {ablation}; '
      f'choose --baseline from {", ".join(found)}.'
    )
  return [
    row(setting, lines, found[baseline], folder)
    for setting, lines in found.items()
  ]


def row(
  setting: str, lines: dict[int, dict[str, Any]],
  baseline: dict[int, dict[str, Any]], folder: pathlib.Path,
) -> dict[str, Any]:
  """What is told of a setting.

  Args:
    setting: its name.
    lines: its results by seed.
    baseline: those to compare with.
    folder: of the results.
  """
  deployed, deployed_deviation = mean_and_deviation(
    [float(right(line).mean()) for line in lines.values()]
  )
  exact, exact_deviation = mean_and_deviation(
    [float(right(line, 'exact').mean()) for line in lines.values()]
  )
  return {
    'setting': setting,
    'seeds': len(lines),
    'accuracy_deployed': deployed,
    'deviation_deployed': deployed_deviation,
    'accuracy_exact': exact,
    'deviation_exact': exact_deviation,
    'changed_decisions': statistics.mean(
      sum(split['changed_decisions'] for split in line['splits'].values())
      for line in lines.values()
    ),
    'overflow': statistics.mean(
      statistics.mean(line['overflow'].values() or [0.0])
      for line in lines.values()
    ),
    'clips_per_second': _speed(lines.values()),
    **_difference(lines, baseline, folder),
    'command': _command(next(iter(lines.values()))),
  }


def _speed(lines: Iterable[dict[str, Any]]) -> float | None:
  """Median of training, of the lines that tell it."""
  speeds = [
    line['clips_per_second'] for line in lines if 'clips_per_second' in line
  ]
  return statistics.median(speeds) if speeds else None


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
  """Over seeds; one alone deviates by None."""
  deviation = statistics.stdev(values) if len(values) > 1 else None
  return statistics.mean(values), deviation


def _difference(lines, baseline, folder) -> dict[str, Any]:
  """Mean paired difference and its interval, None where no seed is shared."""
  seeds = sorted(lines.keys() & baseline.keys())
  files = {group[seed]['speakers'] for group in (lines, baseline)
           for seed in seeds}
  if len(files) != 1:
    return {'difference': None, 'interval': None, 'paired_seeds': 0}
  differences = np.stack([
    right(lines[seed]).astype(int) - right(baseline[seed]) for seed in seeds
  ])
  return {
    'difference': float(differences.mean()),
    'interval': bootstrap.interval(
      differences, _speakers(folder / files.pop(), lines[seeds[0]])
    ),
    'paired_seeds': len(seeds),
  }


def _speakers(path: pathlib.Path, line: dict[str, Any]) -> list[int]:
  """Who speaks each clip of all splits, no speaker being of two splits."""
  by_split = workdir.read_json(path)
  numbers: list[int] = []
  for split in line['splits']:
    first = max(numbers, default=-1) + 1
    numbers += [first + number for number in by_split[split]]
  return numbers


def markdown(rows: Sequence[dict[str, Any]], baseline: str) -> str:
  """A table; accuracies are in percent, mean and deviation."""
  head = [cell.format(baseline=baseline) for cell in _HEAD]
  lines = [head, ['---'] * len(head), *map(_cells, rows)]
  return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def _cells(row: dict[str, Any]) -> list[str]:
  return [
    row['setting'],
    str(row['seeds']),
    _percent(row['accuracy_deployed'], row['deviation_deployed']),
    _percent(row['accuracy_exact'], row['deviation_exact']),
    f'{row["changed_decisions"]:.1f}',
    f'{100 * row["overflow"]:.3f}',
    '' if row['clips_per_second'] is None else f'{row["clips_per_second"]:.0f}',
    _points(row),
    '' if row['interval'] is None
    else ' to '.join(f'{100 * end:+.2f}' for end in row['interval']),
  ]


def _points(row: dict[str, Any]) -> str:
  """The difference, and of how many seeds where not of all."""
  if row['difference'] is None:
    return ''
  paired = row['paired_seeds']
  seeds = '' if paired == row['seeds'] else f' ({paired} of {row["seeds"]})'
  return f'{100 * row["difference"]:+.2f}{seeds}'


def _percent(mean: float, deviation: float | None) -> str:
  spread = '' if deviation is None else f' ± {100 * deviation:.2f}'
  return f'{100 * mean:.2f}{spread}'


def write(path: pathlib.Path, text: str) -> None:
  """Writes a text, all of it or nothing."""
  temporary = path.with_name(f'.{path.name}.{os.getpid()}')
  temporary.write_text(text)
  temporary.replace(path)


def main(arguments: list[str]) -> None:
  """Prints and writes a table."""
  parser = argparse.ArgumentParser(prog='collect', description=__doc__)
  parser.add_argument('--results', type=pathlib.Path, required=True)
  parser.add_argument('--ablation', required=True)
  parser.add_argument('--splits', default='dev', help='as judged, by commas')
  parser.add_argument('--baseline', default='default', help='a setting')
  parser.add_argument('--markdown', type=pathlib.Path)
  parser.add_argument('--json', type=pathlib.Path)
  options = parser.parse_args(arguments)
  rows = table(
    options.results, options.ablation, options.splits.split(','),
    options.baseline,
  )
  text = markdown(rows, options.baseline)
  print(text, end='')
  if options.markdown:
    write(options.markdown, text)
  if options.json:
    workdir.write_json(options.json, rows)


if __name__ == '__main__':
  program.run(main)
