import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import layers
from bnn_jax.nn import rule_layers
from bnn_jax.nn import rule_weights


def signs(*shape):
  random = np.random.default_rng(0)
  return jnp.asarray(random.choice([-1.0, 1.0], shape))


@pytest.mark.parametrize('fields', [
  {}, {'strides': 2, 'dilation': 2}, {'groups': 2, 'padding': 'VALID'},
  {'groups': 4},
])
def test_plain_weights_are_those_of_a_binary_convolution(fields):
  """Padding and all."""
  x = signs(2, 7, 4)
  ours = layers.BinaryConv(8, (3,), **fields)
  variables = ours.init(jax.random.key(0), x)
  rule = rule_layers.RuleConv(8, (3,), **fields)
  assert np.array_equal(
    rule.apply(variables, x, following=None, train=True),
    ours.apply(variables, x),
  )


def test_scales_and_gains_multiply_the_sums():
  x = signs(2, 6, 4)
  plain = rule_layers.RuleConv(3, (2,))
  variables = plain.init(jax.random.key(0), x)
  latent = variables['params']['latent']
  rule = rule_layers.RuleConv(
    3, (2,), weights=rule_weights.scaled, learn_gain=True
  )
  gain = jnp.array([1.0, 2.0, -1.0])
  found = rule.apply({'params': {'latent': latent, 'gain': gain}}, x)
  sums = plain.apply(variables, x)
  # No sum of scaled products: they are integers until they are scaled.
  assert np.array_equal(sums, np.round(sums))
  assert np.array_equal(found, jnp.abs(latent).mean((0, 1)) * sums * gain)


def test_rounded_bits_are_signs_about_a_half():
  """clip(x, 0, 1) rounded is 1 from 1/2 on, as bits and as +-1."""
  x = jnp.array([-0.5, 0.0, 0.25, 0.5, 0.75, 1.25])
  sign = rule_layers.RuleSign(rule_layers.window, threshold=0.5)
  found, slopes = jax.value_and_grad(
    lambda x: jnp.sum(sign.apply({}, x) * jnp.arange(1.0, 7))
  )(x)
  assert found == -1 - 2 - 3 + 4 + 5 + 6
  # Twice the slope of clip, as +-1 lie twice as far apart as bits.
  assert slopes.tolist() == [0, 4, 6, 8, 10, 0]


def test_learned_thresholds():
  sign = rule_layers.RuleSign(rule_layers.sigmoid, learned=True)
  r = jnp.array([[0.2, 0.2]])
  params = {'params': {'theta': jnp.array([0.2, 0.3])}}
  assert sign.apply(params, r, train=True).tolist() == [[1, -1]]
  slope = jax.grad(lambda r: sign.apply(params, r)[0, 0])(r)[0, 0]
  assert float(slope) == pytest.approx(1.5)


@pytest.mark.parametrize('shifts, params, slope', [
  (False, {'slope': jnp.array([0.3])}, 0.3),
  (True, {'log2_slope': jnp.array([-1.6])}, 0.25),
])
def test_rprelu(shifts, params, slope):
  offsets = {'before': jnp.array([0.5]), 'after': jnp.array([2.0])}
  y = jnp.array([[1.5], [-0.5]])
  layer = rule_layers.RPReLU(shifts)
  found = layer.apply({'params': offsets | params}, y, train=True)
  np.testing.assert_allclose(found.ravel(), [1 + 2, 2 - slope], rtol=1e-6)


def test_a_slope_of_powers_of_two_has_a_derivative():
  layer, y = rule_layers.RPReLU(True), jnp.array([[-1.0]])
  params = layer.init(jax.random.key(0), y, train=True)
  found = jax.grad(
    lambda params: layer.apply(params, y, train=True).sum()
  )(params)['params']['log2_slope']
  assert float(found[0]) == pytest.approx(-(2**-3) * np.log(2), rel=1e-5)
