"""What lies in the memories, and what they refuse."""

import dataclasses
import json

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.accelerator import fields
from bnn_jax.accelerator import layout
from bnn_jax.accelerator import memories
from bnn_jax.accelerator import plan
from bnn_jax.accelerator import schedule
from bnn_jax.accelerator import spec as spec_lib
from bnn_jax.export import specs
from tests.accelerator import speech
from tests.export import networks
from tests.export import planes

REGISTER = specs.Accumulator(5, 'wrap', 16, 'dot')
Spec = spec_lib.AcceleratorSpec


def field(filled, step: int, name: str) -> int:
  place = fields.names().index(name) * fields.BITS
  bits = filled.images['steps.hex'][step, place : place + fields.BITS]
  return int(bits @ (1 << np.arange(fields.BITS)))


def test_steps_are_parts_and_blocks():
  steps = plan.steps(speech.network(REGISTER))
  assert [(step.conv.name, step.residual, step.stream) for step in steps] == [
    ('stem', '', 'part0'), ('stem', 'part0', 'act'),
    ('one', 'act', 'one/act'), ('two', 'one/act', 'two/act'),
  ]
  assert [list(step.groups) for step in steps] == [[0], [1], [0], [0]]
  assert [plan.bits_of(step) for step in steps] == [
    '', 'sign', 'one/sign', ''
  ]


def test_places_of_weights_and_streams():
  filled = memories.fill(speech.network(REGISTER), Spec(pes=8))
  # 2 passes of 3 words, twice; 2 of 5; 3 of 3.
  bases = [field(filled, step, 'weight_base') for step in range(4)]
  assert bases == [0, 6, 12, 22]
  assert filled.images['weights.hex'].shape == (31, 8 * 16)
  # Each stream takes the place of its residual, 7 positions of 3 chunks.
  streams = [field(filled, step, 'stream_base') for step in range(3)]
  assert streams == [0, 0, 0]
  assert filled.parameters['STREAM_ROWS'] == 32
  # A position before the first one, of 12 channels in one word each.
  assert field(filled, 2, 'first_frame') == 2**24 - 2
  assert field(filled, 2, 'stride_rows') == 1
  assert field(filled, 3, 'stride_rows') == 2


def test_a_word_of_weights():
  model = speech.network(REGISTER)
  filled = memories.fill(model, Spec(pes=8))
  one = next(layer for layer in model.layers if layer.name == 'one')
  row = filled.images['weights.hex'][12 + 5 + 2].reshape(8, 16)
  # The second pass, the third word: outputs 8 to 11, the tap 2; behind them
  # ones that meet operands of 0.
  assert row[:4, :12].tolist() == one.weights[8:12, 2].tolist()
  assert row[:4, 12:].all() and row[4:].all()


def test_input_rows():
  q = np.arange(3 * 14 * 8, dtype=np.uint8).reshape(3, 14, 8)
  # 4 levels: a word of 16 lanes has 4 bins.
  rows = memories.fill(speech.network(REGISTER), Spec()).input_rows(q)
  assert rows.shape == (3, 14 * 2, 4)
  assert rows.reshape(q.shape).tolist() == q.tolist()
  # Two words of 2 lanes read the same bin.
  register = dataclasses.replace(REGISTER, simd=2)
  filled = memories.fill(speech.network(register), Spec())
  assert filled.input_rows(q).shape == (3, 14 * 8, 1)
  assert filled.parameters['VALUE_SHIFT'] == 1


def test_files(tmp_path):
  filled = memories.fill(speech.network(REGISTER), Spec())
  filled.write(tmp_path)
  written = json.loads((tmp_path / 'parameters.json').read_text())
  assert written == filled.parameters
  names = {path.name for path in tmp_path.iterdir()}
  assert names == {*filled.images, 'parameters.json'}


@pytest.mark.parametrize('name, needed', [
  ('steps', 4), ('weight_rows', 31), ('constant_rows', 14), ('input_rows', 28),
  ('bits_rows', 14), ('stream_rows', 21),
])
def test_a_memory_that_is_too_small(name, needed):
  model = speech.network(REGISTER)
  memories.fill(model, Spec(pes=8, **{name: needed}))
  with pytest.raises(errors.UserError, match=f'needs {name}={needed}, the'):
    memories.fill(model, Spec(pes=8, **{name: needed - 1}))


def test_an_accumulator_of_its_own():
  other = dataclasses.replace(REGISTER, bits=6)
  model = networks.changed(
    speech.network(REGISTER), 'two', accumulator=other
  )
  with pytest.raises(errors.UserError, match='layer two .* one for all layers'):
    layout.layout(model, Spec())


def test_exact_registers_are_as_wide_as_the_widest_needs():
  register = specs.Accumulator(3, 'exact', 16, 'dot')
  # 60 operands are 6 bits and a sign.
  made = layout.layout(speech.network(register), Spec())
  assert made.machine.bits == 7


def test_lanes():
  steps = plan.steps(speech.network(REGISTER))
  assert schedule.lanes(steps, Spec()) == 4
  assert schedule.lanes(steps, Spec(pes=6)) == 2
  assert schedule.lanes(steps, Spec(lanes=1)) == 1
  with pytest.raises(errors.UserError, match='give at most 4'):
    schedule.lanes(steps, Spec(lanes=8))


@pytest.mark.parametrize('fields, words', [
  ({'pes': 0}, 'pes=0'), ({'span': 0}, 'span=0'),
  ({'lanes': 3, 'pes': 12}, 'lanes=3'), ({'lanes': 8, 'pes': 12}, 'lanes=8'),
  ({'lanes': 0}, 'lanes=0'),
])
def test_an_array_that_is_none(fields, words):
  with pytest.raises(errors.UserError, match=words):
    Spec(**fields)


def test_a_shortcut_that_drops_frames():
  model = speech.network(REGISTER)
  name = next(
    one.name for one in model.layers if isinstance(one, specs.Shortcut)
  )
  # Of no frames here, so that the shapes still fit.
  model = networks.changed(model, name, crop=((0, 0),))
  with pytest.raises(errors.UserError, match=f'layer {name} drops frames'):
    plan.steps(model)


def test_a_sum_that_two_layers_read():
  """Only the stream behind ShiftPReLU is kept."""
  model = networks.changed(
    speech.network(REGISTER), 'one/sign', inputs=('one/add',)
  )
  with pytest.raises(errors.UserError, match='layer one/act does not follow'):
    plan.steps(model)


def test_bits_read_in_two_ways():
  model = networks.changed(
    networks.network(), 'wide', inputs=('first',)
  )
  depth = next(one for one in model.layers if one.name == 'depth')
  model = networks.changed(
    model, 'depth', inputs=('first',), weights=depth.weights
  )
  with pytest.raises(errors.UserError, match='first in other groups'):
    layout.layout(model, Spec())


def test_cycles_follow_the_rule():
  """Positions x passes x words, and a constant for each step."""
  model = speech.network(REGISTER)
  cycles = schedule.cycles(model, Spec(pes=4, lanes=4))
  # Loads of the first window, 2 levels of the tree twice, begin and end.
  constant = 2 + schedule._BEGIN + schedule._END
  assert cycles == {
    'stem': 2 * (7 * 3 * 3 + 3 + constant),
    'one': 7 * 3 * 5 + 5 + constant,
    'two': 4 * 5 * 3 + 3 + constant,
    'classifier': 3 * 5 + schedule._CLASSIFIER,
  }


def test_planes_are_refused():
  model = planes.network()
  with pytest.raises(
    errors.UserError, match='layer encode puts silence around a clip, which'
  ):
    plan.steps(model)
  model = networks.changed(model, 'encode', silence=None)
  model = networks.changed(model, 'image', shape=(9, 6, 3))
  with pytest.raises(
    errors.UserError, match='layer image is of the kind reshape, which'
  ):
    plan.steps(model)
