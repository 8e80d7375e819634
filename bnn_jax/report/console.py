"""The tables with which a run ends."""

from typing import Any

from rich import box
from rich import console as console_lib
from rich import table as table_lib
from rich import text

from bnn_jax.report import formats

Json = dict[str, Any]


def print_results(results: Json, console: console_lib.Console) -> None:
  """Prints `results_table`, one part after the other."""
  for part in results_table(results):
    console.print(part)
    console.print()


def results_table(results: Json) -> list[console_lib.RenderableType]:
  """Returns an evaluation as rich renderables.

  Args:
    results: the content of results.json.

  Returns:
    A table of accuracy, one of overflow for each split that has any counts,
    one of size, and the notes about the data.
  """
  overflow = [
    _overflow(f'Overflow on {name}, % of outputs', split['overflow'])
    for name, split in results['splits'].items() if split['overflow']
  ]
  notes = text.Text('\n').join(
    text.Text(note, style='dim') for note in results['notes']
  )
  return [_accuracy(results), *overflow, _size(results), notes]


def table(
  title: str, head: list[str], rows: list[list[str]]
) -> table_lib.Table:
  """Returns a table of text, its first column to the left."""
  table = table_lib.Table(
    title=text.Text(title, style='bold'), title_justify='left',
    box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_header=any(head),
  )
  for column, name in enumerate(head):
    table.add_column(
      name, justify='right' if column else 'left', overflow='fold'
    )
  for cells in rows:
    # Text, for a str would be searched for markup.
    table.add_row(*map(text.Text, cells))
  return table


def _accuracy(results: Json) -> table_lib.Table:
  head = ['split', 'clips', 'exact', 'deployed', 'difference',
          'changed decisions']
  rows = [
    [name, formats.integer(split['clips']),
     formats.percent(split['accuracy_exact']),
     formats.percent(split['accuracy_deployed']),
     formats.points(split['accuracy_deployed'] - split['accuracy_exact']),
     formats.integer(split['changed_decisions'])]
    for name, split in results['splits'].items()
  ]
  return table('Accuracy, %, with the exact and the deployed accumulator',
                head, rows)


def _overflow(title: str, entries: list[Json]) -> table_lib.Table:
  head = ['layer', 'bits', 'mode', 'persistent', 'transient', 'sign flip',
          'decision flip']
  rows = [
    [entry['path'], formats.integer(entry['bits']), entry['overflow_mode'],
     *formats.overflow_rates(entry)]
    for entry in entries
  ]
  return table(title, head, rows)


def _size(results: Json) -> table_lib.Table:
  profile = results['profile']
  bits = profile['memory_bits']
  rows = [
    ['accumulator', formats.accumulator(results),
     formats.accumulator_detail(results)],
    ['parameters', formats.integer(profile['parameters']), ''],
    ['memory', f'{formats.integer(bits)} bits', formats.kilobytes(bits)],
    ['binary operations (MACs)', formats.integer(profile['binary_macs']),
     'a clip'],
    ['real operations (MACs)', formats.integer(profile['real_macs']), 'a clip'],
  ]
  return table('Size', ['', '', ''], rows)
