import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.models import profile
from bnn_jax.models import speech_resnet
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import integer
from bnn_jax.nn import stream_layers
from tests import tiny


def q(clips=3):
  random = np.random.default_rng(0)
  return jnp.asarray(
    random.integers(0, 256, (clips, tiny.SHAPE['frames'], 8)), jnp.uint8
  )


def logits_of(model, variables, q):
  return tiny.jitted(lambda q: model.apply(variables, q, train=False))(q)


@pytest.fixture(scope='module')
def state():
  return tiny.state(tiny.network())


def test_everything_between_the_layers_is_an_integer(state):
  logits, seen = tiny.jitted(
    lambda q: tiny.network().apply(
      state.variables(), q, train=False, capture_intermediates=True,
      mutable=['intermediates'],
    )
  )(q())
  assert logits.shape == (3, tiny.CLASSES)
  values = [
    v for v in jax.tree.leaves(seen['intermediates']) if v is not None
  ]
  assert len(values) > 10
  for value in values:
    assert np.array_equal(value, np.round(value))
  tail = seen['intermediates']['block0']['tail']
  (bits,) = tail['sign']['__call__']
  assert set(np.unique(bits)) == {-1, 1}
  (stream,) = tail['activation']['__call__']
  assert stream.min() >= -128 and stream.max() <= 127


def test_accumulators_are_chosen_by_path(state):
  def logits(rules):
    register = accumulator_lib.LayerAccumulators(
      accumulator_lib.Accumulator(20, 'wrap', 8), rules
    )
    model = tiny.network(register)
    return logits_of(model, state.variables(), q())

  narrow = accumulator_lib.Accumulator(2, 'wrap', 8)
  wide = logits(())
  assert np.array_equal(wide, logits((('^nowhere$', narrow),)))
  for path in ('^stem$', '^block0/conv$', '^block1/conv$'):
    assert not np.array_equal(wide, logits(((path, narrow),)))


@pytest.mark.parametrize('train', [False, True])
def test_parts_are_added_to_the_stream_one_after_the_other(train):
  def layer(*, name):
    del name
    return lambda value, **kwargs: value

  stream = integer.StreamFormat(8, 4)
  tail = speech_resnet._Tail(
    2, norm=layer, activation=layer, sign=None,
    add=functools.partial(stream_layers.Add, stream=stream),
  )
  a = jnp.asarray([[[100.0, 1.0, -60.0, 2.0]]])
  found, bits = tail.apply(
    {}, a, jnp.asarray([[[90.0, -5.0]]]), train=train, progress=1.0,
    frozen=False,
  )
  # 90 + 100 is held at 127 before 60 is taken off.
  assert found.tolist() == [[[67, -2]]]
  assert bits is None


def test_parts_shorten_the_sums_and_keep_the_products():
  def rows(parts):
    model = tiny.network().clone(
      stem=speech_resnet.Stem(8, parts=parts),
      stages=(speech_resnet.Stage(8, 1, parts=parts),),
    )
    return profile.profile(model, frames=10, bins=8)['layers']

  for whole, cut in zip(rows(1), rows(2), strict=True):
    if whole['kind'] == 'BinaryConv':
      assert cut['operands'] * 2 == whole['operands']
    assert cut['macs'] == whole['macs']
  assert [row['kind'] for row in rows(2)].count('BinaryConv') == 2


def test_parts_multiply_those_of_the_size():
  whole, cut = (tiny.network(parts=parts) for parts in (1, 3))
  assert (whole.stem.parts, cut.stem.parts) == (1, 3)
  assert [stage.parts for stage in cut.stages] == [3, 3]
  assert cut.stem.channels == whole.stem.channels
  with pytest.raises(errors.UserError, match='model.parts=0'):
    tiny.network(parts=0)


@pytest.mark.parametrize('groups, parts, message', [
  (1, 5, '24 input channels.*another model.parts'),
  (2, 3, 'of 2 groups is not cut into 3 parts; choose model.parts=1'),
])
def test_impossible_parts_are_refused(groups, parts, message):
  model = tiny.network().clone(
    stem=speech_resnet.Stem(8, groups=groups, parts=parts)
  )
  with pytest.raises(errors.UserError, match=message):
    jax.eval_shape(
      lambda: model.init(jax.random.key(0), q(), train=False)
    )


def test_clips_do_not_see_each_other(state):
  model = tiny.network()
  together = logits_of(model, state.variables(), q())
  alone = logits_of(model, state.variables(), q()[1:2])
  assert np.array_equal(together[1:2], alone)


def test_float_twin_has_the_same_shape():
  model = tiny.network(variant='float')
  variables = tiny.initialized(model, q(), train=True)
  assert logits_of(model, variables, q()).shape == (3, tiny.CLASSES)


def test_unknown_size():
  with pytest.raises(errors.UserError, match="size='XXL' does not exist"):
    speech_resnet.build(
      'XXL', 'overflow', 12, accumulator=accumulator_lib.Accumulator(),
      stream=None, levels=1, norm_variant='fused', weight_gradient='hard_tanh',
      activation_gradient='approx_sign',
    )


def test_shape_from_text():
  parse = speech_resnet.parse_shape
  assert parse('96k3s4p4-96x2k5-128x2s2') == speech_resnet.SIZES['M']
  assert parse('8-9x3') == (
    speech_resnet.Stem(8), (speech_resnet.Stage(9, 3),)
  )
  assert parse('8g2k7-10x1p2d4g5s3k1') == (
    speech_resnet.Stem(8, kernel=7, groups=2),
    (speech_resnet.Stage(10, 1, kernel=1, stride=3, dilation=4, groups=5,
                         parts=2),),
  )


@pytest.mark.parametrize('shape', [
  '8', '8-', '8-8', '8x1-8x1', '8-8x0', '08-8x1', '8k-8x1', '8d2-8x1',
  '8-8x1z3', '8-8x1k3 ', 'M',
])
def test_shape_that_is_not_understood(shape):
  with pytest.raises(errors.UserError, match='model.shape=.*not understood'):
    speech_resnet.parse_shape(shape)


def test_real_norm_is_an_integer_network(state):
  network = tiny.network(norm_variant='real')
  real = tiny.state(network)
  q = np.random.default_rng(0).integers(
    0, 256, (3, *tiny.SHAPE.values())
  ).astype(np.uint8)
  _, kept = network.apply(
    real.variables(), q, train=False, capture_intermediates=True,
    mutable=['intermediates'],
  )
  stream = kept['intermediates']['block0']['tail']['norm']['__call__'][0]
  assert np.array_equal(stream, np.round(stream))
  assert np.abs(stream).max() <= 128
  assert len(np.unique(stream)) > 5
