"""The tables of the headline, in Markdown."""

from collections.abc import Mapping
from collections.abc import Sequence

from bnn_jax.accelerator import workload
from experiments import headline_claims
from experiments import headline_compare
from experiments import headline_costs
from experiments import headline_networks
from experiments import headline_results

# Points by label of the machine, arrangement and lanes of a word.
Costs = Mapping[str, Mapping[str, Mapping[int, headline_costs.Point]]]


def markdown(
  title: str, head: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
  """A table with its title above and an empty line behind."""
  lines = [
    f'**{title}**', '', _line(head), _line(['---'] * len(head)),
    *map(_line, rows), '',
  ]
  return '\n'.join(lines)


def _line(cells: Sequence[str]) -> str:
  return f'| {" | ".join(cells)} |'


def costs(
  title: str,
  found: Mapping[tuple[headline_networks.Name, str], headline_costs.Point],
  rows: Mapping[headline_networks.Name, headline_costs.Rows],
) -> str:
  """What networks cost on their best arrays.

  Args:
    title: of the table.
    found: by network and label of the machine.
    rows: of each network's profile.
  """
  head = [
    'network', 'array', 'lanes', 'units', '1000 um2', 'ns', 'cycles', 'us',
    '(a) M', '(b) um2 s', '(c) cells, uJ', '(c) table, uJ', 'real', 'depthwise',
  ]
  return markdown(title, head, [
    [f'{name}{"*" * (name in headline_networks.REAL_PARTS)}', label,
     *_cost(point), *_shares(rows[name], point)]
    for (name, label), point in found.items()
  ])


def _cost(point: headline_costs.Point) -> list[str]:
  return [
    str(point.array.simd), str(point.array.lanes), f'{point.area / 1000:.1f}',
    f'{point.clock:.2f}', f'{point.total_cycles:,}', f'{1e6 * point.time:,.1f}',
    f'{1e-6 * point.operations:,.2f}', f'{point.area_time:,.4g}',
    f'{1e-6 * point.cells:,.4g}', f'{1e-6 * point.table:,.4g}',
  ]


def _shares(
  rows: headline_costs.Rows, point: headline_costs.Point
) -> list[str]:
  """Shares of the cycles with real products, and of depthwise layers."""
  layers = workload.layers(rows)
  real = {
    layer.name for layer in layers
    if not layer.is_binary and not layer.adds_numbers
  }
  depthwise = {
    layer.name for layer in layers if layer.groups == layer.features > 1
  }
  taken = [
    sum(cycles for name, cycles in point.cycles.items() if name in names)
    for names in (real, depthwise)
  ]
  return [f'{cycles / point.total_cycles:.0%}' for cycles in taken]


def mechanism(
  found: Mapping[headline_networks.Name, Costs], base: str
) -> str:
  """The same network on other arrays than the usual one.

  Args:
    found: of each network.
    base: label of the usual array.
  """
  labels = list(dict.fromkeys(
    label for costs in found.values() for label in costs if label != base
  ))
  head = ['network'] + [
    f'{arrangement}: {label}'
    for arrangement in headline_costs.ARRANGEMENTS for label in labels
  ]
  return markdown(
    f'(b) on other arrays, each at its best lanes, against {base}', head,
    [[str(name), *_changes(costs, labels, base)]
     for name, costs in found.items()],
  )


def _changes(costs: Costs, labels: Sequence[str], base: str) -> list[str]:
  cells = []
  for arrangement in headline_costs.ARRANGEMENTS:
    usual = headline_costs.best(costs[base][arrangement]).area_time
    for label in labels:
      if label not in costs:
        cells.append('')
        continue
      other = headline_costs.best(costs[label][arrangement]).area_time
      cells.append(f'{other / usual - 1:+.1%}')
  return cells


def speeds(
  found: Mapping[
    headline_networks.Name, Mapping[str, Mapping[str, float | None]]
  ],
) -> str:
  """Speed of the same network on other arrays than the usual one.

  Args:
    found: speed-ups by network, label and `headline_costs.SPEEDS`.
  """
  labels = list(next(iter(found.values())))
  columns = ('area', 'lanes')
  words = {'area': 'same area', 'lanes': 'as many lanes'}
  return markdown(
    'Speed on other arrays of shared units, each at its best lanes, against '
    'usual',
    ['network'] + [f'{label}: {words[c]}' for label in labels for c in columns],
    [[str(name), *(_speed(each[label][c]) for label in labels for c in columns)]
     for name, each in found.items()],
  )


def _speed(speed_up: float | None) -> str:
  return '' if speed_up is None else f'{speed_up - 1:+.1%}'


def lanes(name: headline_networks.Name, found: Costs) -> str:
  """Where the optimum of a network lies, by machine and arrangement.

  Args:
    name: of the network.
    found: its points.
  """
  widths = sorted({
    simd for arrangements in found.values()
    for points in arrangements.values() for simd in points
  })
  rows = []
  for label, arrangements in found.items():
    for arrangement, points in arrangements.items():
      best = headline_costs.best(points).array.simd
      rows.append([label, arrangement] + [
        f'{points[simd].area_time:.4g}' + ' (best)' * (simd == best)
        if simd in points else '' for simd in widths
      ])
  return markdown(
    f'{name}: (b), um2 s, by lanes of a word',
    ['array', 'units', *map(str, widths)], rows,
  )


def published(found: Mapping[headline_networks.Name, dict[str, int]]) -> str:
  """Operations of networks as published, by form of their numbers."""
  return markdown(
    'As published: (a), million bit operations',
    ['network', *headline_costs.FORMS],
    [[str(name), *(f'{1e-6 * each[form]:,.0f}' for form in each)]
     for name, each in found.items()],
  )


def comparison(
  title: str, comparisons: Sequence[headline_compare.Comparison]
) -> str:
  """All twins, and our networks beside them."""
  head = [
    'twin', '% right (seeds)', 'ours', '% right (seeds)', 'units', '(a)',
    '(b)', '(c) cells', '(c) table', 'same area', '16 elements',
    'as many lanes',
    '(b), thresholds', '(b), bound', 'cells, bound', 'same area, bound',
  ]
  return markdown(
    f'At equal accuracy: {title}', head,
    [[str(each.twin.name), _right(each.twin), *_match(each)]
     for each in comparisons],
  )


def _match(each: headline_compare.Comparison) -> list[str]:
  match = each.match
  if match is None:
    return [each.reason, *[''] * 13]
  less = [_amount(value, False) for value in match.less.values()]
  faster = [_amount(value, True) for value in match.faster.values()]
  return [
    str(match.ours), _right(match.ours), match.arrangement, *less, *faster,
    _amount(match.threshold, False),
    _amount(match.bound['area_time'], False),
    _amount(match.bound['cells'], False),
    _amount(match.bound['area'], True),
  ]


def _right(result: headline_results.Result) -> str:
  if not result.seeds:
    return ''
  text = f'{100 * result.accuracy:.1f}'
  if result.deviation is not None:
    text += f' ± {100 * result.deviation:.1f}'
  return f'{text} ({result.seeds})'


def _amount(value: float | None, is_speed: bool) -> str:
  return '' if value is None else headline_claims.amount(value, is_speed)
