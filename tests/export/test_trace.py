from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.export import engines
from bnn_jax.export import files
from bnn_jax.export import fold
from bnn_jax.export import specs
from bnn_jax.export import trace
from bnn_jax.jobs import graph
from bnn_jax.nn import accumulator
from bnn_jax.nn import activations
from bnn_jax.nn import float_layers
from bnn_jax.nn import integer
from bnn_jax.nn import layers
from bnn_jax.nn import shift_norm
from bnn_jax.nn import stream_layers
from tests import tiny

STREAM = integer.StreamFormat(6, 2)
SHAPE = {'frames': 9, 'bins': 4}


class Network(nn.Module):
  """A net with a folded sign, groups, a dense layer and a strided block."""

  register: accumulator.Accumulator
  between: Any = stream_layers.Materialize
  learn_preload: bool = False

  @nn.compact
  def __call__(self, q, *, train):
    bits = layers.Thermometer(3, name='encode')(q)
    a = layers.BinaryConv(
      8, (4,), 2, dilation=2, groups=2, accumulator=self.register,
      learn_preload=self.learn_preload, name='stem',
    )(bits)
    y = shift_norm.ShiftBatchNorm(STREAM, name='norm')(a, train=train)
    bits = activations.RSign(STREAM, name='sign')(
      stream_layers.Materialize()(y), train=train
    )
    a = layers.BinaryDense(6, self.register, name='dense')(bits)
    y = shift_norm.ShiftBatchNorm(STREAM, name='dense_norm')(a, train=train)
    r = activations.ShiftPReLU(STREAM, name='act')(y, train=train)
    sign = activations.RSign(STREAM, name='act_sign')
    bits = sign(self.between()(r), train=train)
    a = layers.BinaryConv(
      8, (3,), 2, accumulator=self.register,
      learn_preload=self.learn_preload, name='conv',
    )(bits)
    y = shift_norm.ShiftBatchNorm(STREAM, name='conv_norm')(a, train=train)
    short = stream_layers.Shortcut(2, 8, name='short')(r)
    r = stream_layers.Add(STREAM, name='add')(short, y)
    return layers.BinaryClassifier(3, STREAM, name='classifier')(
      r, train=train
    )


def random_variables(model, seed=0):
  """Deployed integers and weights of any value that the layers allow."""
  q = jnp.zeros((1, *SHAPE.values()), jnp.uint8)
  shapes = jax.eval_shape(
    lambda: model.init(jax.random.key(0), q, train=False)
  )
  random = np.random.default_rng(seed)
  limits = {
    'latent': (-9, 9), 'thresholds': (1, 2), 'shift': (-2, 3), 'bias': (-9, 9),
    'k': (0, 7), 'g': (-9, 9), 'h': (-9, 9), 'theta': (-4, 4),
    'preload': (-12, 12),
  }

  def fill(path, like):
    low, high = limits.get(path[-1].key, (0, 0))
    value = random.integers(low, high + 1, like.shape)
    if path[-1].key == 'thresholds':
      value = np.cumsum(40 * value, axis=-1)
    return value.astype(like.dtype)

  return jax.tree_util.tree_map_with_path(fill, shapes)


def traced(model, variables):
  return trace.trace(model, variables, input_bits=8, **SHAPE)


@pytest.mark.parametrize('register', [
  accumulator.Accumulator(4, 'saturate', 5, 'popcount'),
  accumulator.Accumulator(3, 'wrap', 4, 'dot'),
  accumulator.Accumulator(2, 'exact', 8, 'dot'),
], ids=str)
@pytest.mark.parametrize('preload', [False, True])
def test_every_layer_is_that_of_the_training_graph(
  register, preload, tmp_path
):
  model = Network(register, learn_preload=preload)
  variables = random_variables(model)
  found = fold.simplify(traced(model, variables))
  exported = specs.Model(
    specs.Input(9, 4, 8, 0.0, 0), {}, ('a', 'b', 'c'), found, {}
  )
  files.write(tmp_path / 'export', exported)
  random = np.random.default_rng(0)
  q = random.integers(0, 256, (20, 9, 4)).astype(np.uint8)
  names = [layer.name for layer in found]
  expected = graph.layers(model, variables, q, names)
  for engine in engines.ENGINES.values():
    if engine.missing() is not None:
      continue
    layers_of = engine.intermediates(tmp_path / 'export', q)
    for name in names:
      assert np.array_equal(layers_of[name], expected[name]), name
    logits = engine.logits(tmp_path / 'export', q)
    assert np.array_equal(logits, expected['classifier'])
  assert len(np.unique(expected['classifier'], axis=0)) > 5


REGISTER = accumulator.Accumulator(4, 'wrap', 5)


def test_layers_and_their_connections():
  model = Network(REGISTER)
  found = traced(model, random_variables(model))
  assert [(layer.KIND, layer.name, layer.inputs) for layer in found] == [
    ('thermometer', 'encode', ('q',)),
    ('conv', 'stem', ('encode',)),
    ('shift_batch_norm', 'norm', ('stem',)),
    ('rsign', 'sign', ('norm',)),
    ('conv', 'dense', ('sign',)),
    ('shift_batch_norm', 'dense_norm', ('dense',)),
    ('shift_prelu', 'act', ('dense_norm',)),
    ('rsign', 'act_sign', ('act',)),
    ('conv', 'conv', ('act_sign',)),
    ('shift_batch_norm', 'conv_norm', ('conv',)),
    ('shortcut', 'short', ('act',)),
    ('add', 'add', ('short', 'conv_norm')),
    ('classifier', 'classifier', ('add',)),
  ]
  stem = found[1]
  assert stem.padding == ((3, 3),)
  assert (stem.strides, stem.dilation, stem.groups) == ((2,), (2,), 2)
  assert stem.weights.shape == (8, 4, 6)
  assert found[4].kernel == ()
  folded = fold.simplify(found)
  assert [layer.KIND for layer in folded[:4]] == [
    'thermometer', 'conv', 'threshold', 'conv'
  ]


def test_a_preload_is_exported_within_its_register():
  model = Network(REGISTER, learn_preload=True)
  variables = random_variables(model)
  preloads = np.array([-9, 8, -8, 7, 0, 1, -100, 100], np.int32)
  for name in ('stem', 'conv'):
    variables['deployed'][name]['preload'] = preloads
  found = {layer.name: layer for layer in traced(model, variables)}
  for name in ('stem', 'conv'):
    deployed = variables['deployed'][name]['preload']
    assert deployed.min() < -8 and deployed.max() > 7
    assert found[name].preload.tolist() == np.clip(deployed, -8, 7).tolist()
  assert found['dense'].preload is None
  plain = Network(REGISTER)
  assert traced(plain, random_variables(plain))[1].preload is None


def test_registers_by_path():
  narrow = accumulator.Accumulator(3, 'saturate', 7)
  model = Network(accumulator.LayerAccumulators(
    REGISTER, (('^dense/product$', narrow),)
  ))
  traced_layers = traced(model, random_variables(model))
  found = {layer.name: layer for layer in traced_layers}
  assert found['dense'].accumulator == specs.Accumulator(
    3, 'saturate', 7, 'dot'
  )
  assert found['conv'].accumulator == specs.Accumulator(4, 'wrap', 5, 'dot')


@pytest.mark.parametrize('between, words', [
  (float_layers.Identity, None),
  (lambda: lambda r: 2 * r, 'act_sign reads an array that no exportable layer'),
  (lambda: nn.Dense(6, name='mix'), 'mix is Dense, which has no integer form'),
])
def test_what_no_layer_computes_is_refused(between, words):
  model = Network(REGISTER, between)
  variables = random_variables(model)
  if words is None:
    assert len(traced(model, variables)) == 13
    return
  with pytest.raises(errors.UserError, match=words):
    traced(model, variables)


def test_the_float_twin_is_refused():
  model = tiny.network(variant='float')
  q = jnp.zeros((1, *tiny.SHAPE.values()), jnp.uint8)
  shapes = jax.eval_shape(
    lambda: model.init(jax.random.key(0), q, train=False)
  )
  variables = jax.tree.map(lambda v: np.zeros(v.shape, v.dtype), shapes)
  with pytest.raises(
    errors.UserError,
    match='encode is Scale, which has no integer form; .*variant=overflow',
  ):
    trace.trace(model, variables, input_bits=8, **tiny.SHAPE)
