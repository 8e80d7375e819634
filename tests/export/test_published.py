"""The overflow twin of every published method, exported or refused by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.export import c_engine
from bnn_jax.export import engines
from bnn_jax.export import exporter
from bnn_jax.export import files
from bnn_jax.export import trace
from bnn_jax.jobs import graph
from bnn_jax.models import res
from bnn_jax.nn import deployment
from bnn_jax.training import setup
from tests import published
from tests import tiny

# By case: network, its config and its size where it is not the tiny one.
EXPORTED = {
  'bifsmn': ('bifsmn', 'overflow_mode=saturate', None),
  'cnn_one_fstride4': ('cnn_one_fstride4', 'overflow_mode=wrap', None),
  'cnn_trad_fpool3': ('cnn_trad_fpool3', 'overflow_mode=saturate', None),
  'dnn': ('dnn', 'overflow_mode=wrap', None),
  'ds_cnn': ('ds_cnn', 'overflow_mode=saturate', None),
  'matchboxnet': ('matchboxnet', 'overflow_mode=saturate', None),
  'res15': ('res', 'overflow_mode=saturate', res.Size(3, 4, dilated=True)),
  'res26': ('res', 'overflow_mode=wrap', res.Size(3, 3, pool=(2, 2))),
  'tc_resnet': ('tc_resnet', 'overflow_mode=wrap', None),
}
END = (
  ', which is no part of docs/arithmetic.md, section 7; run its checkpoint '
  'with --mode=evaluate.'
)
REFUSED = {
  'bc_resnet': 'stage0_0/wide normalizes each sub-band of frequencies by '
               'itself (means over frequency and SiLU follow)',
  'crnn': 'gru0 has gates and a state of reals',
  'kwt': 'block0 weighs frames by a softmax (layer normalization and GELU '
         'follow)',
  'mhatt_rnn': 'gru0/forward has gates and a state of reals',
  'res': 'pool divides by the 12 positions of its window, 4 x 3, no power of '
         'two',
}


def network(name, string, monkeypatch, size=None, variant='overflow'):
  """A tiny network that learns preloads, and the shape of its input."""
  with published.tiny_sizes(monkeypatch), monkeypatch.context() as patch:
    config = published.config(
      name, f'variant={variant},accumulator_bits=4,simd=8,{string}'
    )
    config.model.learn_preload = True
    # No multiple of 8, so that bits of a plane move to other bytes.
    config.model.thermometer_levels = 3
    if size is not None:
      sizes = published.module(name).SIZES
      patch.setitem(sizes, config.model.size, size)
    return setup.model(config), setup.input_shape(config)


def variables_of(model, q, seed=0):
  """Random parameters, deployed with the statistics of a batch."""
  random = np.random.default_rng(seed)

  def fill(path, like):
    if path[-1].key == 'thresholds':
      levels = np.linspace(20, 230, like.shape[-1]).astype(like.dtype)
      return np.broadcast_to(levels, like.shape)
    return random.normal(0, 0.3, like.shape).astype(like.dtype)

  like = jax.eval_shape(
    lambda: model.init(jax.random.key(0), q, train=False)
  )
  made = jax.tree_util.tree_map_with_path(fill, like)

  def statistics(variables):
    # From 0, a step of a running mean is a tenth of the batch's.
    zeros = jax.tree.map(jnp.zeros_like, variables['batch_stats'])
    _, moved = model.apply(
      {**variables, 'batch_stats': zeros}, q, train=True,
      mutable=['batch_stats'],
    )
    return jax.tree.map(lambda v: 10 * v, moved['batch_stats'])

  compiled = tiny.jitted(statistics)
  made['batch_stats'] = jax.device_get(compiled(made))
  layers = deployment.deployable_layers(model, q, train=False)
  made['deployed'] = deployment.deployed_constants(
    layers, made['params'], made['batch_stats']
  )
  return made


@pytest.mark.parametrize('case', EXPORTED)
def test_every_engine_gives_every_layer(case, monkeypatch, tmp_path):
  name, string, size = EXPORTED[case]
  model, shape = network(name, string, monkeypatch, size)
  random = np.random.default_rng(1)
  q = random.integers(0, 256, (4, *shape.values())).astype(np.uint8)
  variables = variables_of(model, q)
  exported = exporter.export(
    model, variables, **shape, input_bits=8, lo=-14.0, exponent=-4,
    front_end={}, class_names=[str(i) for i in range(12)], provenance={},
  )
  folder = tmp_path / 'export'
  files.write(folder, exported)
  names = [layer.name for layer in exported.layers]
  expected = graph.layers(model, variables, q, names)
  for engine in ('JAX integer', 'golden'):
    assert_equal(engines.ENGINES[engine].intermediates(folder, q), expected)
  assert len(np.unique(expected['classifier'], axis=0)) > 1
  if c_engine.missing() is None:
    monkeypatch.setattr(c_engine, '_options', lambda: ('-O1', '-Werror'))
    assert_equal(c_engine.intermediates(folder, q), expected)
    logits = c_engine.logits(folder, q)
    assert np.array_equal(logits, expected['classifier'])


def assert_equal(found, expected):
  for name, values in expected.items():
    assert np.array_equal(found[name], values), name


def test_every_method_is_exported_or_refused():
  tried = {name for name, _, _ in EXPORTED.values()}
  assert tried | REFUSED.keys() == published.TINY.keys()


@pytest.mark.parametrize('name', REFUSED)
def test_what_is_no_integer_is_named(name, monkeypatch):
  found = refusal(*network(name, 'overflow_mode=wrap', monkeypatch))
  start = 'the network cannot be exported: layer '
  assert found == start + REFUSED[name] + END


def refusal(model, shape):
  like = jax.eval_shape(lambda: model.init(
    jax.random.key(0), jnp.zeros((1, *shape.values()), jnp.uint8), train=False
  ))
  variables = jax.tree.map(lambda v: np.zeros(v.shape, v.dtype), like)
  with pytest.raises(errors.UserError) as caught:
    trace.trace(model, variables, input_bits=8, **shape)
  return str(caught.value)


@pytest.mark.parametrize('variant', ['binary', 'binary_firstlast8'])
def test_only_the_overflow_twin_is_exported(variant, monkeypatch):
  found = refusal(*network('ds_cnn', '', monkeypatch, variant=variant))
  assert 'train it with model.variant=overflow, model.rule=ours' in found
