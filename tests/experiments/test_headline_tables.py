from experiments import headline_costs
from experiments import headline_networks
from experiments import headline_tables
from tests.experiments import headline_parts

PARTS = headline_parts.PARTS
TWIN = headline_networks.Name('kwt', '1')
ROWS = [
  headline_parts.layer('scores', macs_by_width={'32x32': 7680}),
  headline_parts.layer('depthwise', channels=1, groups=16),
  headline_parts.layer(positions=1000),
]
MACHINES = {
  'usual': headline_costs.USUAL, 'narrow': headline_costs.register(8, 'wrap')
}
COSTS = {
  label: headline_costs.points(ROWS, machine, PARTS)
  for label, machine in MACHINES.items()
}


def cells(text, row):
  return text.splitlines()[4 + row].strip('| ').split(' | ')


def test_markdown():
  found = headline_tables.markdown('Title', ['a', 'b'], [['1', ''], ['2', '3']])
  assert found.splitlines() == [
    '**Title**', '', '| a | b |', '| --- | --- |', '| 1 |  |', '| 2 | 3 |',
  ]


def test_costs_tell_what_cycles_are_for():
  point = COSTS['usual']['private'][16]
  text = headline_tables.costs(
    'Title', {(TWIN, 'usual'): point}, {TWIN: ROWS}
  )
  found = cells(text, 0)
  assert found[:4] == ['kwt 1*', 'usual', '16', '16']
  # 10 windows of 3 words for each pair of 8 bits; 160 windows, each of a load
  # for each of 3 taps; 3000 words; and what each begins and ends with.
  cycles = [10 * 192 + 13 + 192 + 2, 160 * 3 + 13 + 1 + 2, 3000 + 18]
  assert found[6] == f'{sum(cycles):,}'
  real, depthwise, _ = (f'{each / sum(cycles):.0%}' for each in cycles)
  assert found[-2:] == [real, depthwise]


def test_mechanism_is_of_one_network():
  text = headline_tables.mechanism({TWIN: COSTS}, 'usual')
  head = text.splitlines()[2]
  assert head == '| network | shared: narrow | private: narrow |'
  for arrangement, cell in zip(
    ('shared', 'private'), cells(text, 0)[1:], strict=True
  ):
    narrow, usual = (
      headline_costs.best(COSTS[label][arrangement]).area_time
      for label in ('narrow', 'usual')
    )
    assert cell == f'{narrow / usual - 1:+.1%}' and narrow < usual


def test_lanes_mark_the_best():
  text = headline_tables.lanes(TWIN, COSTS)
  for row, (label, arrangement) in enumerate(
    (label, arrangement) for label in MACHINES
    for arrangement in ('shared', 'private')
  ):
    points = COSTS[label][arrangement]
    best = headline_costs.best(points).array.simd
    found = cells(text, row)
    assert found[:2] == [label, arrangement]
    marked = [i for i, cell in enumerate(found[2:]) if 'best' in cell]
    assert [list(points)[i] for i in marked] == [best]


def test_speeds():
  text = headline_tables.speeds({
    TWIN: {'narrow': {'area': 1.5, 'elements': 9.0, 'lanes': None}}
  })
  assert text.splitlines()[2] == (
    '| network | narrow: same area | narrow: as many lanes |'
  )
  assert text.splitlines()[4] == '| kwt 1 | +50.0% |  |'


def test_published():
  text = headline_tables.published({TWIN: {'float': 12_400_000, 'int8': 6e5}})
  assert cells(text, 0) == ['kwt 1', '12', '1']
