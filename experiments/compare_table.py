"""Rows of the comparison, and the same as Markdown and CSV."""

from collections.abc import Mapping
from collections.abc import Sequence
import csv
import io
import shlex
from typing import Any

from bnn_jax.data import protocols
from bnn_jax.models import profile as profile_lib
from bnn_jax.training import setup
from experiments import collect
from experiments import compare_data
from experiments import compare_methods
from experiments import compare_plan
from experiments import plan
from experiments import records

# How far, in points, a float network may stay under ours before it supports no
# claim; the accuracy in percent below which a network has not learned its
# classes; and how many seeds reproduce a number.
UNDERTRAINED = 2.0
LEARNED = 25.0
_SEEDS = 3
Row = dict[str, Any]
_NO_ROW: Row = {'accuracy': None, 'testing': None, 'seeds': 0}

_HEAD = (
  'method', 'size', 'variant', 'parameters', 'MACs by width',
  'bit operations', 'register', 'test, %', 'validation and test, %', 'seeds',
  'learning rates', 'recipe', 'device', 'published', 'mark',
)
_COLUMNS = (
  'method', 'size', 'variant', 'parameters', 'macs', 'macs_by_width', 'ace',
  'bit_operations', 'accumulator_bits', 'overflow_mode', 'testing',
  'testing_deviation', 'accuracy', 'deviation', 'seeds',
  'learning_rates', 'recipe', 'devices', 'published', 'marks', 'command',
)


def rows(
  units: Sequence[compare_plan.Unit], planned: compare_plan.Plan,
  book: records.Book, data: compare_data.DataSet,
) -> list[Row]:
  """What is known of each network.

  Args:
    units: the networks, a row each.
    planned: how they are trained.
    book: of the results.
    data: what they are judged on.

  Returns:
    One row each: its costs, its accuracies in percent (None where it has not
    been judged), the published ones, and marks.
  """
  plans = [planned.as_judged(unit, book) for unit in units]
  found = [
    _row(unit, own, book) for unit, own in zip(units, plans, strict=True)
  ]
  by_key = dict(zip((unit.key for unit in units), found, strict=True))
  reference = compare_plan.reference()
  judged = planned.as_judged(reference, book).judging(reference, book)
  ours = _accuracies(judged or [], book)
  for unit, tried, row in zip(units, plans, found, strict=True):
    own = by_key.get((*unit.key[:2], 'float'), _NO_ROW)
    row['marks'] = _marks(row, unit, data, planned, ours=ours, own=own)
    if row['accuracy'] is not None:
      row['marks'] += _choice(unit, tried.choosing(unit), book)
    row['published'] = [_text(one) for one in _published(unit)]
  return found


def _choice(
  unit: compare_plan.Unit, candidates: Sequence[plan.Run], book: records.Book
) -> list[str]:
  """What a reader must know of how a recipe was chosen."""
  if len(candidates) == 1:
    is_ours = unit.method.name == compare_methods.OURS
    return ['tuned before' if is_ours else 'untuned']
  failed = sum(book.has_failed(run.digest) for run in candidates)
  unended = sum(book.outcome(run.digest) is None for run in candidates)
  counts = (failed, 'failed'), (unended - failed, 'not run')
  return [f'{n} of its candidates {what}' for n, what in counts if n]


def _row(unit, planned, book) -> Row:
  return {
    'method': unit.method.label, 'name': unit.method.name, 'size': unit.size,
    'variant': unit.variant, 'learning_rates': len(planned.rates),
    **_costs(planned.config(unit)),
    **_accuracies(planned.judging(unit, book) or [], book),
  }


def _costs(config) -> Row:
  profile = profile_lib.profile(
    setup.model(config), input_bits=config.model.input_bits,
    **setup.input_shape(config),
  )
  registers = [
    layer['accumulator_bits'] for layer in profile['layers']
    if layer['accumulator_bits'] is not None
  ]
  mode = setup.describe_accumulator(config)['overflow_mode']
  return {
    **{key: profile[key] for key in (
      'parameters', 'macs', 'macs_by_width', 'ace', 'bit_operations',
    )},
    'accumulator_bits': max(registers, default=None),
    'overflow_mode': mode if registers else None,
  }


def _accuracies(runs: Sequence[plan.Run], book: records.Book) -> Row:
  lines = {
    run.seed: outcome for run in runs
    if (outcome := book.outcome(run.digest)) is not None
  }
  row: Row = {
    'seeds': len(lines), 'recipe': None, 'command': None, 'devices': [],
    **dict.fromkeys(
      ('testing', 'testing_deviation', 'accuracy', 'deviation')
    ),
  }
  if not lines:
    return row
  mean, deviation = collect.mean_and_deviation(
    [float(collect.right(line).mean()) for line in lines.values()]
  )
  testing, spread = collect.mean_and_deviation([
    line['splits']['testing']['accuracy_deployed'] for line in lines.values()
  ])
  return row | {
    'recipe': '-'.join(runs[0].setting.rsplit('-', 2)[1:]),
    'command': shlex.join(runs[0].command),
    'devices': sorted({line['device'] for line in lines.values()}),
    'testing': 100 * testing, 'testing_deviation': _percent(spread),
    'accuracy': 100 * mean, 'deviation': _percent(deviation),
  }


def _percent(share: float | None) -> float | None:
  return None if share is None else 100 * share


def _published(
  unit: compare_plan.Unit,
) -> tuple[compare_methods.Published, ...]:
  """Numbers of the very network."""
  variant = '' if unit.variant == 'float' else f'-{unit.variant}'
  return unit.method.published.get(unit.size + variant, ())


def _text(one: compare_methods.Published) -> str:
  deviation = f' ± {one.deviation}' if one.deviation else ''
  loss = ' points under its float' if one.is_loss else ''
  return (
    f'{one.number}{deviation}{loss} ({one.data}-{one.classes}, {one.protocol}; '
    f'{one.source})'
  )


def _marks(row, unit, data, planned, *, ours: Row, own: Row) -> list[str]:
  """What a reader must know before comparing anything with a row."""
  if row['accuracy'] is None:
    return ['not run']
  marks = []
  if ours['accuracy'] is None or own['accuracy'] is None:
    marks.append('float not run')
  elif own['accuracy'] < ours['accuracy'] - UNDERTRAINED:
    marks.append('undertrained')
  if row['accuracy'] < LEARNED:
    marks.append('did not learn')
  real = unit.method.real_parts.get(unit.size)
  if unit.variant != 'float' and real:
    marks.append(f'not exported: {real} stay real')
  published = _published(unit)
  if published:
    tested = planned.config(unit).data
    same = [one for one in published if _is_same_test(one, data, tested)]
    marks.append(_reproduction(row, own, same))
  return marks


def _is_same_test(
  one: compare_methods.Published, data: compare_data.DataSet, tested: Any
) -> bool:
  """Whether the test is the paper's, as far as its rule tells."""
  # Without the archive, 'official' is tested on the split of the lists.
  if one.protocol == protocols.OFFICIAL and not data.has_test_archive:
    return False
  return (one.data, one.classes, one.protocol) \
    == (data.version, tested.classes, tested.protocol)


def _reproduction(
  row: Row, own: Row, same: Sequence[compare_methods.Published]
) -> str:
  """How the test accuracy compares with numbers of the same test."""
  if not same:
    return 'other data'
  same = [one for one in same if one.verified]
  if not same:
    return 'published number unverified'
  if any(one.own_lists for one in same):
    return "the paper's rule, other lists"
  seeds = [row['seeds'], *(own['seeds'] for one in same if one.is_loss)]
  if min(seeds) < _SEEDS:
    return f'fewer than {_SEEDS} seeds'
  reached = all(row['testing'] >= one.bar(own['testing']) for one in same)
  return 'reproduced' if reached else 'not reproduced'


def markdown(found: Sequence[Row], title: str) -> str:
  """A table under its title."""
  lines = [_HEAD, ['---'] * len(_HEAD), *map(_cells, found)]
  text = ''.join(f'| {" | ".join(line)} |\n' for line in lines)
  return f'## {title}\n\n{text}'


def _cells(row: Row) -> list[str]:
  widths: Mapping[str, int] = row['macs_by_width']
  register = row['accumulator_bits']
  return [
    row['method'], row['size'], row['variant'], f'{row["parameters"]:,}',
    ', '.join(
      f'{width.replace("x", "×")}: {macs:,}' for width, macs in widths.items()
    ),
    f'{row["bit_operations"]:,}',
    f'{register}, {row["overflow_mode"]}' if register else 'real',
    _accuracy(row['testing'], row['testing_deviation']),
    _accuracy(row['accuracy'], row['deviation']),
    str(row['seeds']), str(row['learning_rates']), row['recipe'] or '',
    '; '.join(row['devices']), '; '.join(row['published']),
    ', '.join(row['marks']),
  ]


def _accuracy(mean: float | None, deviation: float | None) -> str:
  if mean is None:
    return ''
  spread = '' if deviation is None else f' ± {deviation:.2f}'
  return f'{mean:.2f}{spread}'


def comma_separated(found: Sequence[Row]) -> str:
  """The same as CSV; what has several values is joined by '; '."""
  file = io.StringIO()
  writer = csv.writer(file, lineterminator='\n')
  writer.writerow(_COLUMNS)
  writer.writerows([_plain(row[key]) for key in _COLUMNS] for row in found)
  return file.getvalue()


def _plain(value: Any) -> Any:
  if isinstance(value, Mapping):
    return '; '.join(f'{key}: {number}' for key, number in value.items())
  return '; '.join(value) if isinstance(value, list) else value
