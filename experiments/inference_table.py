"""The tables of bench_inference."""

from typing import Any

from rich import console as console_lib
from rich import table as table_lib


def show(result: dict[str, Any]) -> None:
  """Prints tables.

  Args:
    result: see the head of `bench_inference`.
  """
  console = console_lib.Console(width=110)
  table = table_lib.Table(title='microseconds of one clip on one thread')
  for name in ('network', 'runtime'):
    table.add_column(name, no_wrap=True)
  for name in ('MACs', 'median', 'p99', 'with front', 'p99', 'kB',
               'RAM kB', 'right'):
    table.add_column(name, justify='right')
  for row in result['rows']:
    accuracy = row['accuracy']
    table.add_row(
      row['network'], row['runtime'], f'{row["macs"] / 1e6:.1f} M',
      *(f'{row[key]:.1f}' for key in (
        'median_us', 'p99_us', 'clip_median_us', 'clip_p99_us')),
      *('-' if row[key] is None else f'{row[key] / 1e3:.1f}'
        for key in ('model_bytes', 'memory_bytes')),
      '-' if accuracy is None else f'{accuracy:.2f} %',
    )
  console.print(table)
  table = table_lib.Table(title='counting bits inside the convolutions')
  for name in ('network', 'runtime', 'convolutions µs', 'bits a µs',
               'count', 'share', 'xor, count, add', 'share'):
    table.add_column(name, justify='right')
  for row in result['rooflines']:
    table.add_row(
      row['network'], row['runtime'],
      *(f'{row[key]:.{digits}f}' for key, digits in (
        ('convolutions_us', 1), ('bits_per_us', 0),
        ('popcount_bits_per_us', 0))),
      f'{100 * row["popcount_share"]:.0f} %',
      f'{row["product_bits_per_us"]:.0f}',
      f'{100 * row["product_share"]:.0f} %',
    )
  console.print(table)
  for name, value in result['ratios'].items():
    console.print(f'{name}: {value:.2f}')
  for line in result['left_out']:
    console.print(f'left out: {line}')
