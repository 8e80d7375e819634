"""Area, clock and power of arrays, by the width of their accumulators.

  python -m experiments.synthesis

on 2 CPU cores takes minutes; it needs the tools of `./launch.sh rtl-tools`.
Every array is mapped in three ways; the numbers are the medians, and the spread
says which differences mean nothing. All stand beside
their ratio to the usual array: 16 bits, saturating, full batch normalization.
"""

import argparse
import dataclasses
import itertools
import json
import pathlib
import statistics
from typing import Any

from bnn_jax.accelerator import synthesis

BITS = (5, 6, 7, 8, 12, 16)
MODES = ('wrap', 'saturate')
FIELDS = ('area', 'gates', 'path', 'power')


def main() -> None:
  """Measures all points, prints them and writes them as JSON."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--simd', type=int, nargs='+', default=[16, 64])
  parser.add_argument('--pes', type=int, default=1)
  parser.add_argument('--lanes', type=int, default=1)
  parser.add_argument('--bits', type=int, nargs='+', default=list(BITS))
  parser.add_argument(
    '--out', type=pathlib.Path, default=pathlib.Path('runs/synthesis.json')
  )
  options = parser.parse_args()
  rows = []
  for simd in options.simd:
    rows += _table(simd, options)
  library = synthesis.OSU018
  _write(options.out, {
    'library': library.name, 'period_ns': library.period,
    'activity': synthesis.ACTIVITY, 'tools': synthesis.versions(), 'rows': rows,
  })


def _table(simd: int, options: argparse.Namespace) -> list[dict[str, Any]]:
  """All points of one width of a word; the first one is the usual array."""
  usual = (16, 'saturate', 'full')
  points = [usual] + [
    point for point in itertools.product(options.bits, MODES, synthesis.NORMS)
    if point != usual
  ]
  rows: list[dict[str, Any]] = []
  for bits, mode, norm in points:
    point = synthesis.Point(
      bits, mode, norm, simd, pes=options.pes, lanes=options.lanes
    )
    row = dataclasses.asdict(point) | _measure(point)
    base = rows[0] if rows else row
    row['ratios'] = {name: row[name] / base[name] for name in FIELDS}
    rows.append(row)
    _print(row)
  return rows


def _measure(point: synthesis.Point) -> dict[str, float]:
  """Medians over the ways of mapping, and the spreads of area and path."""
  found = [
    synthesis.measure(point, script=script) for script in synthesis.SCRIPTS
  ]
  medians = {
    name: statistics.median(getattr(one, name) for one in found)
    for name in FIELDS
  }
  return medians | {
    f'{name}_spread': (
      max(getattr(one, name) for one in found)
      - min(getattr(one, name) for one in found)
    ) / medians[name]
    for name in ('area', 'path')
  }


def _print(row: dict[str, Any]) -> None:
  ratios = row['ratios']
  print(
    f'{row["pes"]:>2} x {row["simd"]:<3} {row["bits"]:>2} '
    f'{row["overflow_mode"]:<9}{row["norm"]:<10}{row["gates"]:8.0f} gates '
    f'(+-{row["area_spread"] / 2:.1%}){row["path"]:7.2f} ns '
    f'(+-{row["path_spread"] / 2:.1%}){row["power"]:8.2f} mW   ratios: area '
    f'{ratios["area"]:.2f}, path {ratios["path"]:.2f}', flush=True,
  )


def _write(path: pathlib.Path, results: dict[str, Any]) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_suffix('.part')
  temporary.write_text(json.dumps(results, indent=1) + '\n')
  temporary.rename(path)


if __name__ == '__main__':
  main()
