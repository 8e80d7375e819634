import dataclasses

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.export import check
from bnn_jax.export import limits
from bnn_jax.export import specs
from tests.export import networks
from tests.export import planes

MODEL = networks.network()


def test_shapes():
  values = check.check(MODEL)
  shapes = {name: value.shape for name, value in values.items()}
  assert shapes['encode'] == (11, 18)
  assert shapes['stem'] == shapes['first'] == (6, 8)
  assert shapes['depth/add'] == (6, 8)
  assert shapes['short'] == shapes['point'] == shapes['dense/part1'] == (3, 12)
  assert shapes['dense'] == (3, 24)
  assert shapes['classifier'] == (4,)


def zeros(*shape):
  return np.zeros(shape, np.int32)


@pytest.mark.parametrize('name, field, value', [
  ('encode', 'thresholds', np.array([[3, 2, 4]] * 6)),
  ('encode', 'thresholds', np.array([[0, 2, 4]] * 6)),
  ('encode', 'thresholds', np.array([[1, 2, 256]] * 6)),
  ('encode', 'thresholds', np.array([[1, 2, 3]] * 5)),
  ('encode', 'input_bits', 7),
  ('encode', 'inputs', ('nothing',)),
  ('encode', 'inputs', ()),
  ('encode', 'name', 'q'),
  ('stem', 'inputs', ('q',)),
  ('stem', 'kernel', (4,)),
  ('stem', 'kernel', ()),
  ('stem', 'strides', (0,)),
  ('stem', 'strides', (1, 1)),
  ('stem', 'dilation', (-1,)),
  ('stem', 'dilation', (9,)),
  ('stem', 'padding', ((-1, 2),)),
  ('stem', 'groups', 4),
  ('stem', 'groups', 0),
  ('stem', 'weights', zeros(8, 5, 8)),
  ('stem', 'weights', 2 * np.ones((8, 5, 9), int)),
  ('stem', 'preload', zeros(7)),
  ('stem', 'preload', 8 + zeros(8)),
  ('stem', 'accumulator', specs.Accumulator(1, 'wrap', 5, 'dot')),
  ('stem', 'accumulator', specs.Accumulator(25, 'wrap', 5, 'dot')),
  ('stem', 'accumulator', specs.Accumulator(4, 'clip', 5, 'dot')),
  ('stem', 'accumulator', specs.Accumulator(4, 'wrap', 0, 'dot')),
  ('stem', 'accumulator', specs.Accumulator(4, 'wrap', 5, 'xnor')),
  ('first', 'register_bits', 5),
  ('first', 'thresholds', 9 + zeros(8)),
  ('first', 'thresholds', zeros(9)),
  ('first', 'inputs', ('encode',)),
  ('wide/norm', 'shift', 8 + zeros(8)),
  ('wide/norm', 'bias', 2**15 + zeros(8)),
  ('wide/norm', 'bias', zeros(1)),
  ('wide/norm', 'inputs', ('first',)),
  ('wide/norm', 'stream', specs.Stream(17, 3)),
  ('wide/act', 'stream', specs.Stream(7, 4)),
  ('wide/act', 'k', 8 + zeros(8)),
  ('wide/act', 'g', 64 + zeros(8)),
  ('wide/sign', 'theta', 65 + zeros(8)),
  ('wide/sign', 'inputs', ('wide',)),
  ('depth/add', 'inputs', ('wide/act',)),
  ('depth/add', 'inputs', ('wide/act', 'later')),
  ('point/add', 'inputs', ('depth/add', 'point/norm')),
  ('short', 'channels', 7),
  ('short', 'strides', (0,)),
  ('short', 'strides', ()),
  ('short', 'crop', ((-1, 0),)),
  ('short', 'crop', ()),
  ('short', 'crop', ((0, 0), (0, 0))),
  ('classifier', 'weights', zeros(4, 11)),
  ('classifier', 'bias', 2**23 + zeros(4)),
])
def test_a_field_that_does_not_fit_is_named(name, field, value):
  model = networks.changed(MODEL, name, **{field: value})
  with pytest.raises(errors.UserError, match='layer .*field .*export the'):
    check.check(model)


PLANES = planes.network()


def test_shapes_of_planes():
  values = check.check(PLANES)
  shapes = {name: value.shape for name, value in values.items()}
  assert shapes['encode'] == (12, 18)
  assert shapes['stem'] == (12, 6, 20)
  assert shapes['largest'] == (12, 3, 20)
  assert shapes['depth'] == shapes['short'] == (6, 3, 20)
  assert shapes['wide'] == (5, 6, 16)
  assert shapes['mean'] == (2, 3, 16)
  assert shapes['point'] == (2, 2, 10)
  assert shapes['dense'] == (17,)
  kinds = {name: values[name].kind for name in ('image', 'frames', 'joined')}
  assert kinds == {'image': 'bits', 'frames': 'stream', 'joined': 'bits'}


@pytest.mark.parametrize('name, field, value, words', [
  ('encode', 'silence', (-1, 0), 'not possible'),
  ('depth', 'padding', ((4096, 4096), (4096, 4096)), 'are too many'),
  ('image', 'shape', (12, 6, 4), 'does not fit'),
  ('image', 'shape', (12, -6, -3), 'does not fit'),
  ('image', 'shape', (2, 6, 6, 3), 'does not fit'),
  ('image', 'shape', (), 'does not fit'),
  ('image', 'inputs', ('q',), 'it reads input'),
  ('frames', 'inputs', ('point',), 'it reads result'),
  ('largest', 'window', (1,), 'does not fit'),
  ('largest', 'window', (0, 2), 'does not fit'),
  ('largest', 'window', (13, 1), 'not possible'),
  ('largest', 'inputs', ('image',), 'it reads bits'),
  ('mean', 'window', (2, 3), '6 positions are no power of two'),
  ('mean', 'window', (2**8, 2**7), 'exceed 31 bits'),
])
def test_a_field_of_a_plane_that_does_not_fit_is_named(
  name, field, value, words
):
  model = networks.changed(PLANES, name, **{field: value})
  pattern = f'layer {name}, field .*{words}.*; export the'
  with pytest.raises(errors.UserError, match=pattern):
    check.check(model)


def test_bits_of_the_largest_array_are_counted_in_31_bits():
  # Of each position's byte, however few channels fill it.
  assert 8 * limits.VALUES - 1 < 2**31


@pytest.mark.parametrize('field, value', [
  ('frames', 0), ('bits', 9), ('exponent', 200), ('lo', float('nan')),
])
def test_input(field, value):
  form = dataclasses.replace(MODEL.input, **{field: value})
  with pytest.raises(errors.UserError, match='input: '):
    check.check(dataclasses.replace(MODEL, input=form))


def test_end():
  for layers in (MODEL.layers[:-1], ()):
    with pytest.raises(errors.UserError, match='no classifier'):
      check.check(dataclasses.replace(MODEL, layers=layers))
  with pytest.raises(errors.UserError, match='3 names do not fit 4 logits'):
    check.check(dataclasses.replace(MODEL, class_names=('a', 'b', 'c')))
