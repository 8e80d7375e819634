"""Area, clock and power of arrays, by the width of their accumulators.

  python -m experiments.synthesis
  python -m experiments.synthesis --pes 16 --lanes 2 16 --simd 1 8 16 32 64

needs the tools of `./launch.sh rtl-tools`. The first line maps one element with
its unit, the second whole arrays with shared and with private units. Each point
is mapped in three ways, 5 s to some minutes of one core each; the numbers are
the medians, and the spread says which differences mean nothing. All stand
beside their ratio to the usual array of as many elements, units and lanes of a
word: 16 bits that wrap, and full batch normalization.
"""

import argparse
from collections.abc import Sequence
import dataclasses
import itertools
import json
import pathlib
import statistics
from typing import Any

from bnn_jax.accelerator import synthesis
from experiments import program

BITS = (5, 6, 7, 8, 12, 16)
MODES = ('wrap', 'saturate')
FIELDS = ('area', 'gates', 'path', 'power')


def main(arguments: Sequence[str]) -> None:
  """Measures all points, prints them and writes them as JSON."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument(
    '--library', choices=sorted(synthesis.LIBRARIES), default='osu018'
  )
  parser.add_argument('--simd', type=int, nargs='+', default=[16])
  parser.add_argument('--pes', type=int, default=1)
  parser.add_argument('--lanes', type=int, nargs='+', default=[1],
                      help='units; private where they are as many as --pes')
  parser.add_argument('--bits', type=int, nargs='+', default=list(BITS))
  parser.add_argument(
    '--out', type=pathlib.Path, default=pathlib.Path('runs/synthesis.json')
  )
  options = parser.parse_args(arguments)
  library = synthesis.LIBRARIES[options.library]
  rows = []
  for simd, lanes in itertools.product(options.simd, options.lanes):
    rows += _table(simd, lanes, library, options)
  _write(options.out, {
    'library': library.name, 'period_ns': library.period,
    'activity': synthesis.ACTIVITY, 'tools': synthesis.versions(), 'rows': rows,
  })


def _table(
  simd: int, lanes: int, library: synthesis.Library,
  options: argparse.Namespace,
) -> list[dict[str, Any]]:
  """All points of one width of a word; the first one is the usual array."""
  usual = (16, 'wrap', 'full')
  points = [usual] + [
    point for point in itertools.product(options.bits, MODES, synthesis.NORMS)
    if point != usual
  ]
  rows: list[dict[str, Any]] = []
  for bits, mode, norm in points:
    point = synthesis.Point(
      bits, mode, norm, simd, pes=options.pes, lanes=lanes
    )
    row = dataclasses.asdict(point) | _measure(point, library)
    base = rows[0] if rows else row
    row['ratios'] = {name: row[name] / base[name] for name in FIELDS}
    rows.append(row)
    _print(row)
  return rows


def _measure(
  point: synthesis.Point, library: synthesis.Library
) -> dict[str, float]:
  """Medians over the ways of mapping, and the spreads of area and path."""
  found = [
    synthesis.measure(point, library, script) for script in synthesis.SCRIPTS
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
    f'{row["pes"]:>2} x {row["simd"]:<3}{row["lanes"]:>3} units '
    f'{row["bits"]:>2} '
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
  program.run(main)
