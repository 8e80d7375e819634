import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.export import trace
from bnn_jax.models import profile
from bnn_jax.models import rules
from tests import tiny

SHAPE = {'frames': 10, 'bins': 8}


def network(rule, variant='binary'):
  return tiny.network(variant=variant, rule=rule)


def q():
  random = np.random.default_rng(0)
  return jnp.asarray(random.integers(0, 256, (4, 10, 8)), jnp.uint8)


def spread(variables):
  """Thresholds that noise passes here and there, as fitted ones are."""
  thresholds = variables['inputs']['encode']['thresholds']
  levels = np.linspace(60, 200, thresholds.shape[-1]).astype(np.int32)
  encode = {'thresholds': jnp.broadcast_to(levels, thresholds.shape)}
  return variables | {'inputs': {'encode': encode}}


@pytest.mark.parametrize('rule', rules.RULES)
def test_every_parameter_learns(rule):
  model = network(rule)
  variables = spread(tiny.initialized(model, q(), train=False))

  def loss(params):
    logits, _ = model.apply(
      variables | {'params': params}, q(), train=True, progress=0.5,
      mutable=['batch_stats'],
    )
    return -jax.nn.log_softmax(logits)[jnp.arange(4), jnp.arange(4)].sum()

  value, gradients = tiny.jitted(jax.value_and_grad(loss))(variables['params'])
  assert np.isfinite(value)
  still = [
    jax.tree_util.keystr(path)
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients)
    if not np.any(gradient)
  ]
  assert still == []


@pytest.mark.parametrize('rule', rules.RULES)
def test_products_are_those_of_our_network(rule):
  ours = profile.profile(tiny.network(variant='binary'), **SHAPE)
  found = profile.profile(network(rule), **SHAPE)
  assert found['binary_macs'] == ours['binary_macs']
  assert found['macs_by_width'].keys() == {'1x1', '1x32'}


@pytest.mark.parametrize('rule', rules.RULES)
def test_it_is_not_exported(rule):
  model = network(rule)
  variables = model.init(jax.random.key(0), q(), train=False)
  with pytest.raises(errors.UserError, match='stem is RuleConv.*no integer'):
    trace.trace(model, variables, input_bits=8, **SHAPE)


def test_refused():
  with pytest.raises(errors.UserError, match="rule='foo' does not exist; .*ou"):
    network('foo')
  for variant in ('float', 'overflow'):
    with pytest.raises(errors.UserError, match=f'no variant={variant}'):
      network('dorefa', variant)
