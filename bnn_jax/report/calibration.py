"""What `--mode=calibrate` prints."""

from typing import Any

from rich import console as console_lib

from bnn_jax.report import console as report_console
from bnn_jax.report import formats

Json = dict[str, Any]


def print_calibration(record: Json, console: console_lib.Console) -> None:
  """Prints what became of each kind of integers, and what it bought.

  Args:
    record: the content of calibration.json.
    console: where to.
  """
  for note in record['notes']:
    console.print(note, highlight=False, markup=False)
  console.print(report_console.table(
    f'Calibrated for {formats.accumulator({"variant": "", **record})}, by '
    f'{formats.integer(record["search_clips"])} clips',
    ['integers', 'channels', 'changed', 'layers', 'refused'],
    [
      [kind, *(formats.integer(count[key]) for key in (
        'channels', 'changed', 'layers', 'refused'))]
      for kind, count in record['kinds'].items()
    ],
  ))
  console.print()
  console.print(report_console.table(
    f'On {formats.integer(record["guard_clips"])} other clips of '
    f'{record["split"]}',
    ['', 'cross entropy', 'accuracy, %'],
    [
      [when, f'{record[when]["cross_entropy"]:.4f}',
       formats.percent(record[when]['accuracy'])]
      for when in ('before', 'after')
    ],
  ))
  console.print()
