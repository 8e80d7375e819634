import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bnn_jax.nn import accumulator
from bnn_jax.training import collaboration
from bnn_jax.training import losses
from tests import tiny
from tests.training import test_steps

NARROW = accumulator.Accumulator(bits=4, overflow_mode='wrap')
EXACT = accumulator.Accumulator(bits=4, overflow_mode='exact')


def branch(logits, *margins):
  sown = {f'sign{i}': {'margin': (m,)} for i, m in enumerate(margins)}
  return collaboration.Branch(jnp.array(logits), {'margins': sown})


def make(**weights):
  fields = dict.fromkeys(collaboration.WEIGHTS, 0.0)
  return collaboration.Collaboration(
    tiny.network(EXACT), label_smoothing=0.1, temperature=2.0,
    **(fields | weights),
  )


def losses_of(weights):
  """Loss and gradient of two branches of one clip."""
  labels = jnp.array([0])

  def loss(values):
    p, u, x, v = values
    narrow, exact = branch([p], u), branch([x], v)
    return make(**weights).guide(narrow, exact, labels)[0]

  values = [
    jnp.array([1.0, 0.0]), jnp.array([0.5, -2.0]),
    jnp.array([0.5, 1.5]), jnp.array([-1.0, 0.0]),
  ]
  return jax.value_and_grad(loss)(values)


def test_bits():
  loss, (p, u, x, v) = losses_of({'bits_weight': 3.0})
  # The exact bits are -1 and +1, sign(0) being +1.
  wanted = (np.log1p(np.exp(0.5)) + np.log1p(np.exp(2.0))) / 2
  assert float(loss) == pytest.approx(3 * wanted)
  assert u[0] > 0 > u[1]
  assert not p.any() and not x.any() and not v.any()


def test_logits():
  loss, (p, u, x, v) = losses_of({'logits_weight': 3.0})
  wanted = losses.distillation(
    jnp.array([[1.0, 0.0]]), jnp.array([[0.5, 1.5]]), 2.0
  )
  assert float(loss) == pytest.approx(3 * float(wanted[0]))
  assert p.any()
  assert not u.any() and not x.any() and not v.any()


def test_cross_entropy():
  loss, (p, u, x, v) = losses_of({'cross_entropy_weight': 3.0})
  wanted = losses.cross_entropy(jnp.array([[0.5, 1.5]]), jnp.array([0]), 0.1)
  assert float(loss) == pytest.approx(3 * float(wanted[0]))
  assert x.any()
  assert not p.any() and not u.any() and not v.any()


def test_a_guide_alone_may_be_anything():
  infinite = branch([[jnp.inf, 0.0]], jnp.array([1.0]))
  narrow = branch([[0.0, 0.0]], jnp.array([1.0]))

  def loss(factor):
    exact = jax.tree.map(lambda leaf: factor * leaf, infinite)
    guide = make(bits_weight=1.0).guide
    return guide(narrow, exact, jnp.array([0]))[0]

  # Without a weight its cross entropy is neither added nor differentiated.
  value, gradient = jax.value_and_grad(loss)(1.0)
  assert float(value) == pytest.approx(np.log1p(np.exp(-1.0)))
  assert float(gradient) == 0.0


def test_frozen_statistics_end_it():
  weights = dict.fromkeys(collaboration.WEIGHTS, 1.0)
  both = branch([[1.0, 0.0]], jnp.array([1.0]))
  for frozen in (False, True):
    loss, terms = make(**weights).guide(both, both, jnp.array([0]), frozen)
    assert (float(loss) == 0.0) == frozen
    assert all(float(term) > 0 for term in terms.values())


def test_layers_count_the_same():
  one, many = jnp.array([1.0]), jnp.full(7, -1.0)
  narrow = branch([[0.0, 0.0]], one, many)
  exact = branch([[0.0, 0.0]], one, -many)
  loss, _ = make(bits_weight=1.0).guide(narrow, exact, jnp.array([0]))
  wanted = (np.log1p(np.exp(-1.0)) + np.log1p(np.exp(1.0))) / 2
  assert float(loss) == pytest.approx(wanted)


def test_a_step_with_the_exact_branch():
  """The exact branch is that of the same weights, its statistics apart."""
  model, optimizer = tiny.network(NARROW), optax.adam(0.1)
  start = tiny.state(model)
  q, labels = test_steps.quantized(start, 10)
  step = test_steps.update_step(
    model, optimizer, branches=make(cross_entropy_weight=3.0)
  )
  state, found = step(start, q, labels)
  found = found.compute()

  def branch_of(register):
    run = tiny.jitted(lambda variables, q: tiny.network(register).apply(
      variables, q, train=True, progress=0.0, mutable=['batch_stats']
    ))
    logits, changed = run(start.variables(), q)
    entropy = losses.cross_entropy(logits, labels, 0.1).mean()
    return float(entropy), changed['batch_stats']

  narrow, statistics = branch_of(NARROW)
  exact, others = branch_of(EXACT)
  assert narrow != pytest.approx(exact, rel=1e-3)
  assert found['cross_entropy'] == pytest.approx(narrow, rel=1e-5)
  assert found['exact_cross_entropy'] == pytest.approx(exact, rel=1e-5)
  total = narrow + 3 * exact + 2 * found['penalty']
  assert found['loss'] == pytest.approx(total, rel=1e-5)

  def near(one, other):
    return jax.tree.all(jax.tree.map(
      lambda a, b: np.allclose(a, b, rtol=1e-4, atol=1e-6), one, other
    ))

  assert near(state.batch_stats, statistics)
  assert not near(state.batch_stats, others)


@pytest.mark.parametrize('weights', [
  {'bits_weight': 2.0}, {'cross_entropy_weight': 2.0}, {'logits_weight': 2.0},
])
def test_a_step_descends_along_the_guidance(weights):
  model, optimizer = tiny.network(NARROW), optax.sgd(0.1)
  start = tiny.state(model)
  start = start.replace(opt_state=optimizer.init(start.params))
  q, labels = test_steps.quantized(start, 10)
  branches = make(**weights)

  def params_after(branches):
    step = test_steps.update_step(model, optimizer, branches=branches)
    return step(start, q, labels)[0].params

  def guidance(params):
    narrow, exact = (
      collaboration.Branch(*network.apply(
        start.variables() | {'params': params}, q, train=True, progress=0.0,
        mutable=['batch_stats', 'margins'],
      ))
      for network in (model, branches.network)
    )
    return branches.guide(narrow, exact, labels)[0]

  wanted = tiny.jitted(jax.grad(guidance))(start.params)
  found = jax.tree.map(
    lambda with_, without: (without - with_) / 0.1,
    params_after(branches), params_after(None),
  )
  pairs = zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True)
  for one, other in pairs:
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
  assert any(np.abs(leaf).max() > 1e-2 for leaf in jax.tree.leaves(wanted))
