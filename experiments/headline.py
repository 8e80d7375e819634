"""The headline: what our networks and published ones cost on an array.

  python -m experiments.headline
  python -m experiments.headline --accuracies FILE

The first line needs no training and prints what each network costs: the binary
twins of ten published methods, and of two cheaper ones, on the array that an
accelerator usually has (16-bit accumulators, full batch normalization by a
pipelined Booth multiplier), ours on that and on narrow ones. The second reads
accuracies of one data set, sets the smallest of our networks that is surely not
below a twin beside it, and says by how much it takes less and is faster; twins
that are undertrained support no claim, and with fewer than six of the ten
methods there is none. `docs/accelerator.md` defines what is compared.
"""

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import pathlib
import re
from typing import Any

from bnn_jax import errors
from bnn_jax.accelerator import areas
from bnn_jax.training import workdir
from experiments import headline_claims
from experiments import headline_compare
from experiments import headline_costs
from experiments import headline_networks
from experiments import headline_plots
from experiments import headline_results
from experiments import headline_tables
from experiments import program
from experiments import synthesis_parts

USUAL, THRESHOLD = 'usual', '16 bits, threshold'
# The usual array, but for what `headline_networks.generous` gives for nothing.
SUITED = 'suited'
REGISTERS = ('wrap8', 'wrap7', 'wrap6')
# Its arrays are shown for every number of lanes.
SHOWN = headline_networks.Name(headline_networks.OURS, 'M')

_Costs = Mapping[headline_networks.Name, headline_tables.Costs]


def main(arguments: Sequence[str]) -> None:
  """Prints tables and sentences, and writes what is asked for."""
  options = _parser().parse_args(arguments)
  parts = areas.read(options.results / f'synthesis_{options.library}.json')
  accuracies = None
  if options.accuracies:
    accuracies = headline_results.read(options.accuracies)
  machines = _machines(options.registers)
  names = _names(options.sizes, accuracies)
  found = {name: _costs(name, machines, parts) for name in names}
  published = {
    name: headline_costs.published_operations(
      headline_networks.layers(name, 'float')
    ) for name in names
  }
  moved = {name: _moved(name, found[name], parts) for name in names}
  _print_costs(found, parts)
  print(headline_tables.speeds(moved))
  print(headline_tables.lanes(SHOWN, found[SHOWN]))
  print(headline_tables.published(published))
  results: dict[str, Any] = {
    'library': parts.library, 'tools': parts.tools,
    'networks': [
      _network(name, found[name])
      | {'published': published[name], 'moved': moved[name]} for name in names
    ],
  }
  comparisons = []
  if accuracies:
    comparisons = headline_compare.compare(accuracies, parts)
    results |= _compared(accuracies, comparisons)
  if options.json:
    options.json.parent.mkdir(parents=True, exist_ok=True)
    workdir.write_json(options.json, results)
  if options.plots:
    _draw(options.plots, found[SHOWN], comparisons)


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog='headline', description=__doc__.splitlines()[0]
  )
  parser.add_argument('--accuracies', type=pathlib.Path, metavar='FILE',
                      help='JSON of experiments.compare')
  parser.add_argument('--library', default='osu018')
  parser.add_argument('--sizes', choices=('small', 'all'), default='small')
  parser.add_argument('--registers', nargs='+', default=list(REGISTERS),
                      help='of the narrow arrays, such as wrap7 or saturate6')
  parser.add_argument('--json', type=pathlib.Path, metavar='FILE')
  parser.add_argument('--plots', type=pathlib.Path, metavar='FOLDER')
  parser.add_argument(
    '--results', type=pathlib.Path, default=synthesis_parts.RESULTS,
    help='folder of the measured parts',
  )
  return parser


def _machines(registers: Sequence[str]) -> dict[str, headline_costs.Machine]:
  """The usual array, and those that a network may be moved to, by label."""
  machines = {USUAL: headline_costs.USUAL}
  for text in registers:
    match = re.fullmatch('(wrap|saturate)([0-9]+)', text)
    if not match:
      raise errors.UserError(
        f'--registers {text} is not understood; write a mode and bits, such as '
        'wrap7.'
      )
    mode, bits = match[1], int(match[2])
    machines[f'{mode} {bits}, shift'] = headline_costs.register(bits, mode)
  return machines | {THRESHOLD: headline_costs.THRESHOLD}


def _names(
  sizes: str, accuracies: headline_results.Accuracies | None
) -> list[headline_networks.Name]:
  """Published networks, then ours; those with an accuracy in any case."""
  names = [*headline_networks.TEN, *headline_networks.EXTRAS]
  if sizes == 'all':
    names += headline_networks.LARGE
  if accuracies:
    names += [twin.name for twin in accuracies.twins]
  names += [
    headline_networks.Name(headline_networks.OURS, size)
    for size in headline_networks.SIZES
  ]
  return list(dict.fromkeys(names))


def _rows(name: headline_networks.Name) -> headline_costs.Rows:
  ours = name.method == headline_networks.OURS
  return headline_networks.layers(name, 'overflow' if ours else 'binary')


def _costs(
  name: headline_networks.Name, machines: Mapping[str, headline_costs.Machine],
  parts: areas.Areas,
) -> headline_tables.Costs:
  rows = _rows(name)
  found = {
    label: headline_costs.points(rows, machine, parts)
    for label, machine in machines.items()
  }
  if name.method != headline_networks.OURS:
    found[SUITED] = headline_costs.points(
      headline_networks.generous(rows), headline_costs.USUAL, parts
    )
  return found


def _moved(
  name: headline_networks.Name, costs: headline_tables.Costs,
  parts: areas.Areas,
) -> dict[str, dict[str, float | None]]:
  """Speed-ups of the same network on each other array."""
  return {
    label: headline_costs.moved(
      _rows(name), found, costs[USUAL]['shared'], parts
    ) for label, found in costs.items() if label not in (USUAL, SUITED)
  }


def _print_costs(found: _Costs, parts: areas.Areas) -> None:
  rows = {name: _rows(name) for name in found}
  for arrangement in headline_costs.ARRANGEMENTS:
    points = {
      (name, label): headline_costs.best(found[name][label][arrangement])
      for name in found for label in _shown(name, found[name])
    }
    print(headline_tables.costs(
      f'{parts.library}: 16 elements, {arrangement} units', points, rows
    ))
  print(*(
    f'\\* of {name} stay real: {headline_networks.REAL_PARTS[name]}.'
    for name in found if name in headline_networks.REAL_PARTS
  ), sep='\n')
  print(f'{SUITED}: the usual array, were real parts free and each element fed '
        'with words of its own at no cost.\n')
  print(headline_tables.mechanism(found, USUAL))


def _shown(
  name: headline_networks.Name, costs: headline_tables.Costs
) -> list[str]:
  """Ours are shown on all arrays; twins on the usual one and a better one."""
  if name.method == headline_networks.OURS:
    return [*costs]
  return [USUAL] + [SUITED] * (costs[SUITED] != costs[USUAL])


def _network(
  name: headline_networks.Name, costs: headline_tables.Costs
) -> dict[str, Any]:
  return {
    **name._asdict(),
    'real_parts': headline_networks.REAL_PARTS.get(name, ''),
    'points': [
      {'array': label, 'arrangement': arrangement} | _point(point)
      for label, arrangements in costs.items()
      for arrangement, points in arrangements.items()
      for point in points.values()
    ],
  }


def _point(point: headline_costs.Point) -> dict[str, Any]:
  return dataclasses.asdict(point.array) | point.measures() | {
    'area': point.area, 'period': point.clock, 'time': point.time,
    'cycles': point.total_cycles, 'by_kind': point.kinds,
  }


def _compared(
  accuracies: headline_results.Accuracies,
  comparisons: Sequence[headline_compare.Comparison],
) -> dict[str, Any]:
  """Prints comparisons and sentences, and returns both."""
  sentences = headline_claims.sentences(comparisons)
  print(headline_tables.comparison(accuracies.title, comparisons))
  print(*sentences, sep='\n')
  return {
    'title': accuracies.title,
    'comparisons': [
      {
        'twin': each.twin._asdict() | {'name': str(each.twin.name)},
        'reason': each.reason,
        'match': each.match and each.match._asdict() | {
          'ours': each.match.ours._asdict() | {'name': str(each.match.ours)},
        },
      } for each in comparisons
    ],
    'sentences': sentences,
  }


def _draw(
  folder: pathlib.Path, shown: headline_tables.Costs,
  comparisons: Sequence[headline_compare.Comparison],
) -> None:
  headline_plots.lanes(
    folder / 'headline_lanes.svg', f'{SHOWN}, shared units',
    {label: found['shared'] for label, found in shown.items()},
  )
  if any(each.match for each in comparisons):
    headline_plots.waterfall(folder / 'headline_waterfall.svg', comparisons)


if __name__ == '__main__':
  program.run(main)
