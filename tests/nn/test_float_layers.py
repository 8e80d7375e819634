import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import float_layers


def test_scale():
  inputs = {'inputs': {'mean': jnp.array([1.0, 2.0]),
                       'scale': jnp.array([2.0, 0.5])}}
  q = jnp.array([[[3, 6]]], jnp.uint8)
  assert float_layers.Scale().apply(inputs, q).tolist() == [[[4.0, 2.0]]]
  silent = float_layers.Scale(silence=(1, 0)).apply(inputs, q)
  assert silent[0, 0].tolist() == float_layers.Scale().apply(
    inputs, jnp.zeros((1, 1, 2), jnp.uint8)
  )[0, 0].tolist()
  assert silent[:, 1:].tolist() == [[[4.0, 2.0]]]


def test_batch_norm_moves_and_freezes():
  layer = float_layers.BatchNorm()
  a = jnp.array([[1.0], [3.0]])
  variables = layer.init(jax.random.key(0), a, train=True)
  assert variables['batch_stats']['running']['mean'].tolist() == [0.0]
  y, changed = layer.apply(variables, a, train=True, mutable='batch_stats')
  np.testing.assert_allclose(y, [[-1.0], [1.0]], atol=1e-4)
  running = changed['batch_stats']['running']
  np.testing.assert_allclose(running['mean'], [0.2], rtol=1e-6)
  np.testing.assert_allclose(running['var'], [1.0], rtol=1e-6)
  y, changed = layer.apply(
    variables, a, train=True, frozen=True, mutable='batch_stats'
  )
  assert np.array_equal(y, layer.apply(variables, a, train=False))
  assert changed['batch_stats']['running']['mean'].tolist() == [0.0]


def test_prelu_identity_classifier():
  y = jnp.array([[[-4.0, 2.0]]])
  layer = float_layers.PReLU()
  variables = layer.init(jax.random.key(0), y, train=True)
  assert layer.apply(variables, y, train=True).tolist() == [[[-1.0, 2.0]]]
  assert float_layers.Identity().apply({}, y, train=True) is y
  classifier = float_layers.Classifier(3)
  variables = classifier.init(jax.random.key(0), y, train=True)
  assert classifier.apply(variables, y, train=False).shape == (1, 3)


def test_conv_is_a_convolution_without_bias():
  x = jnp.ones((1, 4, 2))
  layer = float_layers.FloatConv(3, (3,), strides=2)
  variables = layer.init(jax.random.key(0), x)
  kernel = variables['params']['Conv_0']['kernel']
  assert list(variables['params']['Conv_0']) == ['kernel']
  y = layer.apply(variables, x, progress=0.5, following=None)
  # SAME pads one frame behind: frame 0 sees three taps, frame 1 two.
  np.testing.assert_allclose(y[0, 0], kernel.sum((0, 1)), rtol=1e-5)
  np.testing.assert_allclose(y[0, 1], kernel[:2].sum((0, 1)), rtol=1e-5)


@pytest.mark.parametrize('size, kernel, fields', [
  ((7,), (3,), {'strides': 2}),
  ((9,), (5,), {'dilation': 2, 'padding': 'VALID'}),
  ((6, 5), (3, 2), {'strides': (2, 1), 'padding': ((1, 1), (0, 2))}),
])
@pytest.mark.parametrize('multiplier', [1, 2])
def test_depthwise_is_a_convolution_by_groups(size, kernel, fields, multiplier):
  random = np.random.default_rng(0)
  x = jnp.asarray(random.normal(0, 1, (2, *size, 3)), jnp.float32)
  layer = float_layers.FloatConv(
    3 * multiplier, kernel, groups=3, bias=True, **fields
  )
  params = layer.init(jax.random.key(0), x)['params']
  params |= {'bias': jnp.arange(3.0 * multiplier)}
  axes = 'HW'[: len(size)]
  pads = fields.get('padding', 'SAME')
  steps = fields.get('strides', 1)
  expected = jax.lax.conv_general_dilated(
    x, params['kernel'],
    steps if isinstance(steps, tuple) else (steps,) * len(size), pads,
    rhs_dilation=(fields.get('dilation', 1),) * len(size),
    dimension_numbers=(f'N{axes}C', f'{axes}IO', f'N{axes}C'),
    feature_group_count=3,
  ) + params['bias']
  np.testing.assert_allclose(
    layer.apply({'params': params}, x), expected, rtol=1e-5, atol=1e-5
  )


def test_dense_has_a_bias_where_asked():
  x = jnp.ones((2, 3))
  for bias in (False, True):
    layer = float_layers.FloatConv(4, (), bias=bias)
    params = layer.init(jax.random.key(0), x)['params']['Dense_0']
    assert set(params) == ({'kernel', 'bias'} if bias else {'kernel'})


def test_prelu_of_one_slope_and_elementwise():
  y = jnp.array([[-4.0, 2.0]])
  variables = float_layers.PReLU(shared=True).init(
    jax.random.key(0), y, train=True
  )
  assert variables['params']['slope'].shape == (1,)
  layer = float_layers.Elementwise(jax.nn.relu)
  assert layer.apply({}, y, train=False).tolist() == [[0.0, 2.0]]


def test_dropout_needs_training_and_a_generator():
  y = jnp.ones((3, 40, 5))
  layer = float_layers.Dropout(0.5)
  rngs = {'dropout': jax.random.key(0)}
  assert layer.apply({}, y, train=True) is y
  assert layer.apply({}, y, train=False, rngs=rngs) is y
  dropped = layer.apply({}, y, train=True, rngs=rngs)
  assert set(np.unique(dropped)) == {0.0, 2.0}
  whole = float_layers.Dropout(0.5, channels=True).apply(
    {}, y, train=True, rngs=rngs
  )
  assert np.array_equal(whole, np.broadcast_to(whole[:, :1], whole.shape))
  assert set(np.unique(whole)) == {0.0, 2.0}
