"""Numbers by hand, on parts that are easy to add up."""

import pytest

from bnn_jax import errors
from bnn_jax.accelerator import cost
from experiments import array_costs
from experiments import headline_costs
from tests.experiments import headline_parts

PARTS = headline_parts.PARTS
SHIFT = headline_costs.register(8, 'wrap')


def ours(simd, lanes, positions=10):
  array = cost.Array(simd=simd, bits=8, norm='shift', lanes=lanes)
  rows = [headline_parts.layer(positions=positions)]
  return headline_costs.point(array, cost.evaluate(rows, array, PARTS))


def test_measures():
  point = ours(16, 16)
  # 16 elements of 16 lanes and 8 bits, and a unit of 160 / 2 for each.
  assert point.area == 16 * (16 + 40) + 16 * 80
  # 10 passes of 3 words, 13 cycles, the first loads and 2 levels of the tree.
  assert point.clock == 2.0 and point.total_cycles == 10 * 3 + 13 + 3 + 2
  assert point.time == point.total_cycles * 2e-9
  measures = point.measures()
  assert tuple(measures) == headline_costs.MEASURES
  assert measures['area_time'] == point.area * point.time
  # 480 words of 16 XNORs, 15 additions and 8 bits; 160 outputs of 8 and 16.
  assert measures['operations'] == 480 * (16 + 15 + 8) + 160 * (8 + 16)
  assert point.kinds['accumulator'] == 480 * 8
  # A cycle takes 2 pJ of the elements and half a pJ of each unit.
  assert measures['cells'] == pytest.approx(48 * (2.0 + 16 * 0.5))


def test_points_are_of_all_words_and_arrangements():
  found = headline_costs.points([headline_parts.layer()], SHIFT, PARTS)
  assert {k: tuple(v) for k, v in found.items()} == {
    'shared': array_costs.SIMD, 'private': array_costs.SIMD,
  }
  assert {point.array.lanes for point in found['private'].values()} == {16}
  assert all(point.array.lanes < 16 for point in found['shared'].values())
  # Tap by tap 48 words of a lane, 6 of 8 lanes, or 3 of 16 or more; from there
  # on a wider word is only larger.
  assert headline_costs.best(found['private']).array.simd == 16


def test_the_better_of_two_units():
  found = headline_costs.points(
    [headline_parts.layer(positions=1000)], headline_costs.USUAL, PARTS
  )
  # The accumulators' 4 ns hide the shorter path of the larger unit.
  assert headline_costs.best(found['private']).array.norm == 'full'


def test_sums_that_saturate_keep_their_words():
  assert headline_costs.register(8, 'wrap').simd == array_costs.SIMD
  machine = headline_costs.register(6, 'saturate', simd=64)
  assert machine.simd == (64,)
  assert machine.each == array_costs.Machine(6, ('shift',), 'saturate')


def test_speed_on_the_same_area():
  rows = [headline_parts.layer(outputs=64, positions=1000)]
  array = cost.Array(simd=16, bits=8, norm='shift', lanes=16)
  each = 16 + 40 + 80
  # Room for 32 elements, and a bit: 64 outputs take 2 passes instead of 4.
  found = headline_costs.fastest(
    array, rows, 32.5 * each, headline_costs.ANY_UNITS, PARTS
  )
  assert (found.array.pes, found.array.lanes) == (32, 32)
  assert found.total_cycles == 1000 * 2 * 3 + 13 + 3 + 2
  # The Verilog has no 32 units for words of 16 lanes: ours stays at 16, while
  # the other one is refitted.
  half = headline_costs.fastest(array, rows, 32.5 * each, [16], PARTS)
  assert half.array.pes == 16
  theirs = ours(16, 16)._replace(area=32.5 * each, time=2 * found.time)
  mine = ours(16, 16)._replace(time=4 * found.time)
  expected = {'area': found.time / half.time, 'elements': 0.5, 'lanes': None}
  given = mine, rows, theirs, rows
  numbers = headline_costs.unit_numbers(rows, 16)
  assert headline_costs.speed_ups(*given, None, PARTS, numbers) == expected
  same = mine._replace(time=found.time)
  assert headline_costs.speed_ups(*given, same, PARTS) == {
    'area': 1.0, 'elements': 0.5, 'lanes': 2.0,
  }


def test_units_of_the_verilog():
  rows = [headline_parts.layer(outputs=96), headline_parts.layer(outputs=80)]
  assert headline_costs.unit_numbers(rows, 64) == [1, 2, 4, 8, 16]
  assert headline_costs.unit_numbers(rows, 8) == [1, 2, 4, 8]
  grouped = headline_parts.layer(outputs=96, groups=4)
  assert headline_costs.unit_numbers([grouped], 64) == [1, 2, 4, 8]


def test_shared_units_on_an_area():
  rows = [headline_parts.layer(outputs=64, positions=1000)]
  array = cost.Array(simd=16, bits=8, norm='shift', lanes=2)
  # An element takes 56 and a unit 80, so that 768 has room for 12, 10 and 8
  # elements of 1, 2 and 4 units. Three words leave a unit time for 3 elements.
  found = headline_costs.fastest(array, rows, 768.0, [1, 2, 4], PARTS)
  assert (found.array.pes, found.array.lanes) == (8, 4)


def test_moved_to_narrow_registers():
  rows = [headline_parts.layer(positions=100)]
  usual = headline_costs.points(rows, headline_costs.USUAL, PARTS)['shared']
  found = headline_costs.points(rows, SHIFT, PARTS)
  speed_ups = headline_costs.moved(rows, found, usual, PARTS)
  # Both at 16 lanes, as in `test_headline_compare`: 421 cycles of 4 ns, and 320
  # of 2 ns.
  assert speed_ups['elements'] == speed_ups['lanes'] == pytest.approx(
    421 * 4 / (320 * 2)
  )


def test_an_area_for_nothing():
  array = cost.Array(simd=16, bits=8, norm='shift', lanes=16)
  with pytest.raises(errors.UserError, match='fits in 100 um2'):
    headline_costs.fastest(array, [headline_parts.layer()], 100.0, [1], PARTS)


def test_waterfall_by_hand():
  small = [headline_parts.layer(positions=10)]
  found = headline_costs.points(
    [headline_parts.layer(positions=20)], headline_costs.USUAL, PARTS
  )['private']
  theirs = headline_costs.best(found)
  steps = headline_costs.waterfall(theirs, small, SHIFT, 'private', PARTS)
  # Each at 16 lanes: 30 and 60 words, and 18 cycles more; 16 bits take 4 ns and
  # 96 + 1600 an element, 8 bits 2 ns and 56 + 800, then 56 + 80.
  base = 1696 * 78 * 4
  assert theirs.area_time == pytest.approx(16 * base * 1e-9)
  assert steps == pytest.approx({
    'network': 1696 * 48 * 4 / base, 'width': 856 * 48 * 2 / base,
    'shift': 136 * 48 * 2 / base,
  })


def test_bits_of_weights():
  attention = headline_parts.layer(macs_by_width={'32x32': 7680})
  # 48 operands of 16 outputs.
  assert headline_costs.weight_bits(
    [headline_parts.layer(), attention]
  ) == 48 * 16


def test_published_numbers():
  rows = [headline_parts.layer(
    macs=7680, macs_by_width={'32x32': 7680}, additions=3
  )]
  # Sums of 48 grow by 6 bits.
  assert headline_costs.published_operations(rows) == {
    'float': 7680 * (1024 + 64 + 6) + 3 * 32,
    'int8': 7680 * (64 + 16 + 6) + 3 * 8,
  }
