"""Area, clock and power of an array's parts, for the cost model.

  python -m experiments.synthesis_parts --library osu018

maps 16 elements without normalization, and its units (the tools come by
`./launch.sh rtl-tools`). `bnn_jax.accelerator.areas` puts arrays together from
them. They are added to experiments/results/synthesis_<library>.json; what is
there already stays. A part takes 2 to 30 s of one core. For `--library
nangate45`, first

  python -m bnn_jax.accelerator.nangate
"""

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import itertools
import json
import pathlib
from typing import Any

from bnn_jax import errors
from bnn_jax.accelerator import synthesis
from experiments import program

RESULTS = pathlib.Path(__file__).parent / 'results'
SIMD = (16, 1, 8, 32, 64)
BITS = (16, 8, 6, 7, 5, 12)
MODES = ('wrap', 'saturate')
SPAN = 2
# One element alone would have the control of an array, which all share.
PES = 16
# Elements that share a unit hold their registers until it is their turn; this
# array against the same without sharing tells what a held bit costs.
HELD = synthesis.Point(8, 'wrap', 'none', 1, pes=PES, lanes=2, span=SPAN)


def main(arguments: Sequence[str] | None = None) -> None:
  """Measures what is missing and stores all."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument(
    '--library', choices=sorted(synthesis.LIBRARIES), default='osu018'
  )
  parser.add_argument('--simd', type=int, nargs='+', default=list(SIMD))
  parser.add_argument('--bits', type=int, nargs='+', default=list(BITS))
  parser.add_argument('--modes', nargs='+', choices=MODES, default=list(MODES))
  parser.add_argument('--results', type=pathlib.Path, default=RESULTS)
  options = parser.parse_args(arguments)
  path = options.results / f'synthesis_{options.library}.json'
  library = synthesis.LIBRARIES[options.library]
  results = _read(path, library)
  for kind, point in _points(options):
    wanted = key(point)
    if any(row.items() >= wanted.items() for row in results[kind]):
      continue
    measured = dataclasses.asdict(synthesis.measure(point, library))
    results[kind].append(wanted | measured)
    _write(path, results)
    print(kind, *wanted.values(), measured, flush=True)


def _points(
  options: argparse.Namespace,
) -> Iterator[tuple[str, synthesis.Point | synthesis.Unit]]:
  for bits, norm in itertools.product(options.bits, synthesis.NORMS[1:]):
    yield 'units', synthesis.Unit(norm, bits)
  for simd, mode, bits in itertools.product(
    options.simd, options.modes, options.bits
  ):
    yield 'elements', synthesis.Point(
      bits, mode, 'none', simd, pes=PES, lanes=PES, span=SPAN
    )
  yield 'shared', HELD


def key(point: synthesis.Point | synthesis.Unit) -> dict[str, Any]:
  """What tells the row of a part."""
  return dataclasses.asdict(point)


def _read(path: pathlib.Path, library: synthesis.Library) -> dict[str, Any]:
  """The results so far, which must be of the same tools."""
  new = {
    'library': library.name, 'period_ns': library.period,
    'activity': synthesis.ACTIVITY, 'tools': synthesis.versions(),
  }
  if not path.exists():
    return new | {'units': [], 'elements': [], 'shared': []}
  results = json.loads(path.read_text())
  old = {name: results[name] for name in new}
  if old != new:
    raise errors.UserError(
      f'{path} is of {old}, here are {new}; move it away to measure all anew.'
    )
  return results


def _write(path: pathlib.Path, results: dict[str, Any]) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_suffix('.part')
  temporary.write_text(json.dumps(results, indent=1) + '\n')
  temporary.rename(path)


if __name__ == '__main__':
  program.run(main)
