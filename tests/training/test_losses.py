import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.nn import accumulator
from bnn_jax.training import losses


def test_cross_entropy():
  logits = jnp.array([[0.0, jnp.log(3.0)]])
  # Probabilities 1/4 and 3/4; the smoothed label is 0.1 and 0.9.
  expected = -(0.1 * np.log(0.25) + 0.9 * np.log(0.75))
  value = losses.cross_entropy(logits, jnp.array([1]), 0.2)
  assert value.shape == (1,)
  assert float(value[0]) == pytest.approx(expected, rel=1e-6)
  plain = losses.cross_entropy(logits, jnp.array([0]), 0.0)
  assert float(plain[0]) == pytest.approx(np.log(4.0), rel=1e-6)


def test_distillation():
  # At temperature 2 the teacher says 1/4 and 3/4, and the student 1/2 each.
  teacher = jnp.array([[0.0, 2 * jnp.log(3.0)]])
  value = losses.distillation(jnp.zeros((1, 2)), teacher, 2.0)
  assert value.shape == (1,)
  assert float(value[0]) == pytest.approx(4 * np.log(2.0), rel=1e-6)
  # A student who says the same has the teacher's own entropy.
  same = losses.distillation(teacher + 5.0, teacher, 2.0)
  entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
  assert float(same[0]) == pytest.approx(4 * entropy, rel=1e-5)
  # At temperature 1 the teacher says 1/10 and 9/10.
  cold = losses.distillation(jnp.zeros((1, 2)), teacher, 1.0)
  assert float(cold[0]) == pytest.approx(np.log(2.0), rel=1e-6)


def test_distillation_teaches_the_student_alone():
  teacher = jnp.array([[0.0, 2 * jnp.log(3.0)], [1.0, -1.0]])
  student = jnp.array([[0.0, 0.0], [3.0, 3.0]])
  of_student, of_teacher = jax.grad(
    lambda *logits: losses.distillation(*logits, 2.0).sum(), (0, 1)
  )(student, teacher)
  assert not of_teacher.any()
  # temperature * (student's answers - teacher's answers).
  tilted = 1 / (1 + np.exp(-1.0))
  expected = 2 * np.array([[0.25, -0.25], [0.5 - tilted, tilted - 0.5]])
  np.testing.assert_allclose(of_student, expected, atol=1e-6)


@pytest.mark.parametrize('z, penalty', [
  (0.0, 0.0), (0.5, 0.0), (-0.5, 0.0), (0.75, 0.25), (-1.5, 1.0), (3.0, 2.5),
])
def test_hinge(z, penalty):
  assert float(losses.hinge(jnp.array([[z]]), 0.5)) == penalty


def test_penalties_are_means():
  z = jnp.array([[0.0, 1.0], [2.0, -1.0]])
  assert float(losses.hinge(z, 0.5)) == (0.0 + 0.5 + 1.5 + 0.5) / 4
  assert float(losses.periodic(z, 0.5)) == (0.0 + 0.5 + 0.5 + 0.5) / 4


@pytest.mark.parametrize('z, penalty', [
  (0.0, 0.0), (0.75, 0.0), (1.0, 0.25), (1.25, 0.5), (1.5, 0.75), (1.75, 0.5),
  (2.0, 0.25), (2.25, 0.0), (2.5, 0.0), (2.75, 0.0), (3.0, 0.25), (3.5, 0.75),
  (4.5, 0.0), (5.5, 0.75),
])
def test_periodic(z, penalty):
  for sign in (1, -1):
    assert float(losses.periodic(jnp.array([[sign * z]]), 0.75)) == penalty


def test_periodic_without_margin_is_where_wrapping_flips_the_sign():
  register = accumulator.Accumulator(5, 'wrap')
  v = jnp.arange(-100, 101)
  # On multiples of half the range one side's sign is right; both cost nothing.
  v = v[v % 16 != 0]
  flips = (register.register(v) >= 0) != (v >= 0)
  penalty = jax.vmap(lambda z: losses.periodic(z[None, None], 1.0))(v / 16)
  assert ((penalty > 0) == flips).all()
  assert flips.any() and not flips.all()


@pytest.mark.parametrize('z, slope', [
  (0.5, 0.0), (1.0, 1.0), (1.4, 1.0), (1.6, -1.0), (2.5, 0.0), (3.25, 1.0),
  (-1.0, -1.0), (-1.75, 1.0),
])
def test_periodic_pushes_to_the_nearest_right_sign(z, slope):
  gradient = jax.grad(lambda z: losses.periodic(z[None], 0.75))
  assert float(gradient(jnp.array([z]))[0]) == slope


def test_variance():
  # Channel 0: mean 0, deviation 1. Channel 1: mean 2, deviation 0.
  z = jnp.array([[1.0, 2.0], [-1.0, 2.0]])
  # (2 * 1 - 0.5) + 0 for one channel, 0 + (2 - 0.5) for the other.
  assert float(losses.variance(z, 0.5)) == pytest.approx(1.5, rel=1e-6)
  assert float(losses.variance(z, 2.0)) == pytest.approx(0.0, abs=1e-6)
  gradient = jax.grad(losses.variance)(jnp.zeros((4, 2)), 0.5)
  assert np.isfinite(gradient).all()


def test_overflow_penalty_is_a_sum_over_layers():
  sums = {'stem': {'relative': (jnp.array([[2.0]]),)},
          'block': {'conv': {'relative': (jnp.array([[1.0]]),)}}}
  sums = losses.by_layer(sums)
  assert float(losses.overflow_penalty(sums, 'hinge', 0.5)) == 2.0
  assert float(losses.overflow_penalty({}, 'hinge', 0.5)) == 0.0
  shares = dict.fromkeys(sums, 0.25)
  assert float(losses.overflow_penalty(sums, 'hinge', 0.5, shares)) == 0.5
  with pytest.raises(errors.UserError, match="penalty 'foo'.*periodic"):
    losses.overflow_penalty(sums, 'foo', 0.5)


def test_layer_that_is_called_twice_counts_both_times():
  sums = {'gate': {'relative': (jnp.zeros((1, 3)), jnp.ones((1, 3)))}}
  assert losses.persistent_rates(losses.by_layer(sums))['gate'] == 0.5


def test_persistent_rates():
  sums = {
    'stem': {'relative': (jnp.array([[-1.0, 1.0], [0.99, -1.01]]),)},
    'block': {'conv': {'relative': (jnp.array([[0.0]]),)}},
  }
  rates = losses.persistent_rates(losses.by_layer(sums))
  assert {k: float(v) for k, v in rates.items()} == {
    'stem': 0.5, 'block/conv': 0.0,
  }
