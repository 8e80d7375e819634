import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.models import recurrent
from bnn_jax.models import toolbox
from bnn_jax.models import variants
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import integer
from tests import tiny

MODE = toolbox.Mode(False, 1.0, False)
REGISTER = accumulator_lib.Accumulator(4, 'wrap', 1)


def binary_tools(variant, accumulator=REGISTER):
  return variants.make(
    variant, 3, accumulator=accumulator,
    stream=integer.StreamFormat(8, 4), levels=2, norm_variant='fused',
    weight_gradient='hard_tanh', activation_gradient='approx_sign',
    integers=False,
  )


def inputs():
  random = np.random.default_rng(0)
  return jnp.asarray(random.normal(0, 1, (2, 5, 3)), jnp.float32)


def initialized(layer, x):
  variables = tiny.initialized(layer, x, MODE)
  random = np.random.default_rng(1)
  return jax.tree.map(
    lambda p: jnp.asarray(random.normal(0, 0.7, p.shape), jnp.float32),
    variables,
  )


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize('reset_after', [False, True])
@pytest.mark.parametrize('reverse', [False, True])
def test_float_unit_is_the_textbook_recursion(reset_after, reverse):
  x, units = inputs(), 4
  layer = recurrent.Gru(
    units, variants.as_published(3), reset_after, reverse
  )
  variables = initialized(layer, x)
  params = jax.tree.map(np.asarray, variables['params'])
  projection = params['input']['product']['Dense_0']
  dense = {
    name: tree['Dense_0'] for name, tree in params['step'].items()
  }
  h = np.zeros((2, units))
  expected = np.zeros((2, 5, units))
  for t in reversed(range(5)) if reverse else range(5):
    p = x[:, t] @ projection['kernel'] + projection['bias']
    if reset_after:
      u = h @ dense['recurrent']['kernel'] + dense['recurrent']['bias']
      r, z = np.split(sigmoid(p[:, :8] + u[:, :8]), 2, -1)
      n = np.tanh(p[:, 8:] + r * u[:, 8:])
    else:
      r, z = np.split(
        sigmoid(p[:, :8] + h @ dense['gates']['kernel']), 2, -1
      )
      n = np.tanh(p[:, 8:] + (r * h) @ dense['candidate']['kernel'])
    h = z * h + (1 - z) * n
    expected[:, t] = h
  np.testing.assert_allclose(
    layer.apply(variables, x, MODE), expected, rtol=1e-4, atol=1e-5
  )


def test_overflow_is_counted_in_every_frame():
  x = inputs()
  layer = recurrent.Gru(16, binary_tools('overflow'))
  variables = tiny.initialized(layer, x, MODE)
  _, seen = tiny.jitted(
    lambda x: layer.apply(variables, x, MODE, mutable=[
      'sums', 'margins', 'telemetry',
    ])
  )(x)
  (gates,) = seen['sums']['step']['gates']['relative']
  assert gates.shape == (2, 5, 32)
  margins = jax.tree.leaves(seen['margins']['step'])
  assert margins and all(leaf.shape[:2] == (2, 5) for leaf in margins)
  (counts,) = seen['telemetry']['step']['gates']['counts']
  outside = ((gates < -1) | (gates >= 1)).sum((2,))
  assert np.array_equal(counts['persistent'], outside)
  assert outside.sum() > 0


def test_a_range_of_a_training_reaches_every_frame():
  x, train = inputs(), MODE._replace(train=True)
  overflow = recurrent.Gru(16, binary_tools('overflow'))
  variables = tiny.initialized(overflow, x, MODE)
  wide = {name: {'factor': jnp.float32(64)} for name in ('gates', 'candidate')}

  def states(tools, **ranges):
    layer = recurrent.Gru(16, tools)
    return tiny.jitted(lambda x: layer.apply(
      variables | ranges, x, train, mutable=['batch_stats']
    )[0])(x)

  narrow = states(binary_tools('overflow'))
  ranged = states(binary_tools('overflow'), ranges={'step': wide})
  assert not np.array_equal(narrow, ranged)
  # Of 3 operands, the sums of the input overflow no register.
  exact = accumulator_lib.Accumulator(16, 'exact', 1)
  assert np.array_equal(states(binary_tools('overflow', exact)), ranged)


def test_both_directions_stand_side_by_side():
  x = inputs()
  layer = recurrent.Bidirectional(4, variants.as_published(3))
  variables = initialized(layer, x)
  found = layer.apply(variables, x, MODE)
  assert found.shape == (2, 5, 8)
  longer = jnp.concatenate([x, x[:, :1]], axis=1)
  # What follows reaches the second half alone.
  changed = layer.apply(variables, longer, MODE)[:, :5]
  np.testing.assert_allclose(found[..., :4], changed[..., :4], rtol=1e-5)
  assert not np.allclose(found[..., 4:], changed[..., 4:])
