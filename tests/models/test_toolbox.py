import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.models import toolbox
from bnn_jax.models import variants
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import integer

STREAM = integer.StreamFormat(8, 4)
TRAIN = toolbox.Mode(True, 1.0, False)


def tools(variant, integers=True):
  return variants.make(
    variant, 3, accumulator=accumulator_lib.Accumulator(6, 'wrap', 8),
    stream=STREAM, levels=2, norm_variant='fused',
    weight_gradient='hard_tanh', activation_gradient='approx_sign',
    integers=integers,
  )


def params_of(unit, x):
  variables = unit.init(jax.random.key(0), x, TRAIN)
  return {
    '/'.join(entry.key for entry in path)
    for path, _ in jax.tree_util.tree_leaves_with_path(variables['params'])
  }


UNIT = {
  'features': 4, 'kernel': (3,), 'bias': True, 'norm': 'center',
  'activation': 'relu',
}


@pytest.mark.parametrize('variant, integers, expected', [
  ('float', True, {
    'product/Conv_0/kernel', 'product/Conv_0/bias', 'norm/beta',
  }),
  ('binary', True, {
    'sign/theta', 'product/latent', 'norm/gamma', 'norm/beta',
    'activation/slope',
  }),
  ('overflow', False, {
    'sign/theta', 'product/latent', 'norm/shift_norm/log2_gamma',
    'norm/shift_norm/beta', 'activation/slope',
  }),
  ('overflow', True, {
    'sign/theta', 'product/latent', 'norm/log2_gamma', 'norm/beta',
    'activation/log2_slope', 'activation/before', 'activation/after',
  }),
])
def test_parameters_of_a_unit(variant, integers, expected):
  unit = tools(variant, integers).unit(**UNIT)
  assert params_of(unit, jnp.ones((1, 5, 2))) == expected


def test_the_first_unit_has_no_sign_or_8_bits():
  unit = tools('binary').unit(first=True, **UNIT)
  assert 'sign/theta' not in params_of(unit, jnp.ones((1, 5, 2)))
  unit = tools('binary_firstlast8').unit(first=True, **UNIT)
  assert 'product/kernel' in params_of(unit, jnp.ones((1, 5, 2)))
  unit = tools('binary_firstlast8').unit(**UNIT)
  assert 'product/latent' in params_of(unit, jnp.ones((1, 5, 2)))


def test_normalizations_far_from_a_product_are_float_only():
  x = jnp.arange(6.0).reshape(3, 2)
  for variant in ('binary', 'overflow', 'binary_firstlast8'):
    layer = tools(variant).far_norm('affine', name='norm')
    assert layer.apply({}, x, train=True, frozen=False) is x
  layer = tools('float').far_norm('plain', name='norm')
  variables = layer.init(jax.random.key(0), x, train=True)
  assert set(variables) == {'batch_stats'}
  y, _ = layer.apply(variables, x, train=True, mutable='batch_stats')
  np.testing.assert_allclose(np.mean(y, 0), [0.0, 0.0], atol=1e-6)
  np.testing.assert_allclose(np.std(y, 0), [1.0, 1.0], rtol=1e-4)


def test_smooth_activations_stay_and_relu_does_not():
  y = jnp.array([[-1.0, 2.0]])
  for variant in ('float', 'binary'):
    for kind, function in (('silu', jax.nn.silu), ('gelu', _gelu)):
      layer = tools(variant).activation(kind, name='activation')
      np.testing.assert_allclose(
        layer.apply({}, y, train=True), function(y), rtol=1e-6
      )
  relu = tools('float').activation('relu', name='activation')
  assert relu.apply({}, y, train=True).tolist() == [[0.0, 2.0]]
  twin = tools('binary').activation('relu', name='activation')
  found, _ = twin.init_with_output(jax.random.key(0), y, train=True)
  assert found.tolist() == [[-0.25, 2.0]]


def _gelu(y):
  return jax.nn.gelu(y, approximate=False)


def test_input_is_encoded_for_both_kinds_of_convolution():
  q = jnp.array([[[10, 200]]], jnp.uint8)
  thresholds = {'inputs': {'encode': {
    'thresholds': jnp.array([[5, 20], [100, 201]])
  }}}

  class Encoded(nn.Module):
    tools: toolbox.Toolbox
    image: bool

    @nn.compact
    def __call__(self, q):
      return self.tools.image(q) if self.image else self.tools.frames(q)

  frames = Encoded(tools('binary'), False).apply(thresholds, q)
  assert frames.tolist() == [[[1, -1, 1, -1]]]
  image = Encoded(tools('binary'), True).apply(thresholds, q)
  assert image.tolist() == [[[[1, -1], [1, -1]]]]
  scale = {'inputs': {'encode': {
    'mean': jnp.array([10.0, 100.0]), 'scale': jnp.array([1.0, 0.5])
  }}}
  image = Encoded(tools('float'), True).apply(scale, q)
  assert image.tolist() == [[[[0.0], [50.0]]]]


def test_a_dense_unit_keeps_leading_axes():
  unit = tools('binary').unit(4)
  y, _ = unit.init_with_output(
    jax.random.key(0), jnp.ones((2, 5, 3)), TRAIN
  )
  assert y.shape == (2, 5, 4)


def test_unknown_variant():
  with pytest.raises(errors.UserError, match="variant='ternary'"):
    tools('ternary')
