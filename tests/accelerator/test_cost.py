import dataclasses
import math

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.accelerator import areas
from bnn_jax.accelerator import cost
from bnn_jax.accelerator import memories
from bnn_jax.accelerator import plan
from bnn_jax.accelerator import schedule
from bnn_jax.accelerator import simulator
from bnn_jax.accelerator import spec as spec_lib
from bnn_jax.accelerator import workload
from tests import tiny
from tests.accelerator import installed
from tests.accelerator import untrained


def row(path='conv', outputs=8, positions=10, taps=3, channels=16, **fields):
  macs = outputs * positions * taps * channels
  return {
    'path': path, 'macs': macs, 'macs_by_width': {'1x1': macs},
    'operands': taps * channels, 'output_shape': (positions, outputs),
    'taps': taps, 'groups': 1, 'parts': 1, 'additions': 0,
    'activation_bits': positions * channels,
  } | fields


def element(area, path, power, **key):
  return key | {'area': area, 'path': path, 'power': power}


PARTS = areas.Areas(
  source=None, library='cells', tools={}, rows={
    'elements': [element(
      1600.0, 2.0, 48.0, simd=16, bits=8, overflow_mode='wrap', pes=16
    )],
    'units': [element(40.0, 2.5, 1.0, norm='shift', bits=8)],
    'shared': [element(
      1728.0, 1.0, 97.28, simd=16, bits=8, overflow_mode='wrap', pes=16
    )],
  },
)
ARRAY = cost.Array(simd=16, bits=8, norm='shift', pes=4, lanes=4)


@pytest.mark.parametrize('size', ['S', 'M'])
@pytest.mark.parametrize('simd, pes', [(64, 16), (16, 16), (8, 32), (32, 5)])
def test_cycles_are_those_of_the_schedule(size, simd, pes):
  net = untrained.network(size, simd=simd)
  model = untrained.exported(net)
  expected = schedule.cycles(model, spec_lib.AcceleratorSpec(pes=pes))
  lanes = schedule.lanes(plan.steps(model), spec_lib.AcceleratorSpec(pes=pes))
  array = cost.Array(simd=simd, pes=pes, lanes=lanes)
  found = cost.evaluate(untrained.rows(net), array).cycles
  assert found == expected
  if (size, simd, pes) == ('M', 64, 16):
    assert sum(found.values()) == 8132


@installed.needs()
def test_cycles_and_bits_are_those_of_the_verilog():
  net = tiny.network()
  model = untrained.exported(net, **tiny.SHAPE, classes=tiny.CLASSES)
  filled = memories.fill(model, spec_lib.AcceleratorSpec(pes=8))
  lanes = filled.layout.lanes
  q = np.zeros((1, *tiny.SHAPE.values()), np.uint8)
  result = simulator.run(filled, q)
  array = cost.Array(simd=8, bits=4, pes=8, lanes=lanes)
  found = cost.evaluate(untrained.rows(net, **tiny.SHAPE), array)
  assert result.cycles.tolist() == [found.total_cycles]
  used = result.used
  classifier = 12 * tiny.CLASSES
  assert found.moved['weights'] == (
    used['weights read'] * 8 * 8 + used['classes read'] * lanes
  )
  assert used['classes read'] * lanes == classifier
  # The Verilog reads no row for padding: two taps of two groups of two words,
  # and two of a word in each block.
  assert found.moved['operands'] == 8 * (
    used['bits read'] + used['input read'] + 12
  )
  assert found.moved['constants'] == used['norms read'] * lanes * 20


def test_area_time_and_energy_by_hand():
  rows = [row()]
  found = cost.evaluate(rows, ARRAY, PARTS)
  assert found.area == 4 * 100 + 4 * 40
  assert found.clock == 2.5
  # 10 windows of 2 passes of 3 words; 13 cycles, the first loads and the tree.
  assert found.total_cycles == 10 * 2 * 3 + 13 + 3 + 2
  assert found.time == found.total_cycles * 2.5e-9
  assert found.area_time == found.area * found.time
  assert found.cells_energy == found.total_cycles * (4 * 6.0 + 4 * 2.5)
  operations = found.operations
  assert operations.xnor == 80 * 3 * 16
  assert found.operations_energy == pytest.approx(
    0.1 / 32 * operations.total, rel=1e-12
  )


def test_a_clock_that_is_given():
  array = dataclasses.replace(ARRAY, clock=10.0)
  found = cost.evaluate([row()], array)
  assert found.time == found.total_cycles * 1e-8
  assert (found.area, found.area_time, found.cells_energy) == (None,) * 3
  assert cost.evaluate([row()], ARRAY).time is None


def test_a_multiplication_costs_what_the_table_says():
  full = cost.evaluate([row()], dataclasses.replace(ARRAY, norm='full'))
  shift = cost.evaluate([row()], ARRAY)
  counted = full.operations
  assert counted.multiplications == 80 * 16 * 8
  square, linear = (3.1 / 32 - 0.2 / 8) / 24, 0.2 / 8 * 4 / 3 - 3.1 / 96
  assert math.isclose(
    full.operations_energy - shift.operations_energy,
    80 * (square * 16 * 8 + linear * 12) + 0.003125 * 80 * (24 - 16 - 8),
  )


def test_shared_units_hold_sums():
  array = dataclasses.replace(ARRAY, lanes=1)
  found = cost.map_array(array, PARTS)
  assert found.area == 4 * 100 + 40 + 4 * 8 * 1.0
  assert found.energy == pytest.approx(4 * 6 + 2.5 + 4 * 8 * 0.01)


def test_numbers_take_a_word_for_each_pair_of_bits():
  binary = row(taps=3, channels=16)
  macs = binary['macs']
  numbers = row(macs_by_width={'8x8': macs})
  same = row(taps=3 * 64)
  found, expected = (
    cost.evaluate([one], ARRAY).cycles['conv'] for one in (numbers, same)
  )
  assert found == expected
  real = row(macs_by_width={'32x32': macs})
  assert cost.evaluate([real], ARRAY) == cost.evaluate([numbers], ARRAY)


def test_parts_are_steps():
  whole, cut = row(outputs=16), row(outputs=16, parts=2, groups=2)
  cut['macs_by_width'] = whole['macs_by_width']
  shape = workload.layers([cut])[0].shape(16)
  assert (shape.groups, shape.outputs) == (1, 8)
  found = cost.evaluate([cut], ARRAY).cycles['conv']
  assert found == 2 * cost.evaluate([row(outputs=8)], ARRAY).cycles['conv']


def test_what_is_no_array_or_no_profile():
  with pytest.raises(errors.UserError, match="norm='none'.*threshold"):
    cost.Array(norm='none')
  with pytest.raises(errors.UserError, match='pes=16, lanes=3'):
    cost.Array(lanes=3)
  with pytest.raises(errors.UserError, match='no layer with products'):
    cost.evaluate([], ARRAY)
  old = row()
  del old['taps']
  with pytest.raises(errors.UserError, match='conv lacks taps'):
    cost.evaluate([old], ARRAY)
