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
  fields = {
    'entropy_weight': 0.0, 'logits_weight': 0.0, 'bits_weight': 0.0
  }
  return collaboration.Collaboration(
    tiny.network(EXACT), label_smoothing=0.1, temperature=2.0,
    **(fields | weights),
  )


def losses_of(weights):
  """Loss and gradient of a narrow and an exact branch, by hand."""
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


def test_entropy():
  loss, (p, u, x, v) = losses_of({'entropy_weight': 3.0})
  wanted = losses.cross_entropy(jnp.array([[0.5, 1.5]]), jnp.array([0]), 0.1)
  assert float(loss) == pytest.approx(3 * float(wanted[0]))
  assert x.any()
  assert not p.any() and not u.any() and not v.any()


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
    model, optimizer, branches=make(entropy_weight=3.0)
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
