import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bnn_jax import errors
from bnn_jax.training import optimizers


def moved(kind, gradients, rate=0.1, weight_decay=0.0, momentum=0.9):
  """Two weights that start at 1 and -2, after a step for each gradient."""
  optimizer = optimizers.make(
    kind, rate, weight_decay=weight_decay, momentum=momentum
  )
  params = {'w': jnp.array([1.0, -2.0])}
  state = optimizer.init(params)
  for gradient in gradients:
    updates, state = optimizer.update(
      {'w': jnp.array(gradient)}, state, params
    )
    params = optax.apply_updates(params, updates)
  return np.asarray(params['w'], np.float64)


def test_momentum_by_hand():
  # Velocities 1, -1 and then 0.9 + 1, -0.9 + 0.
  found = moved('sgd', [[1.0, -1.0], [1.0, 0.0]])
  np.testing.assert_allclose(found, [1 - 0.29, -2 + 0.19], rtol=1e-6)


def test_weight_decay_of_sgd_is_part_of_the_gradient():
  # 0.5 w and then, with momentum, 0.9 times it and 0.5 of the moved w.
  found = moved('sgd', [[0.0, 0.0]] * 2, weight_decay=0.5)
  np.testing.assert_allclose(found[0], 0.95 - 0.1 * (0.45 + 0.475), rtol=1e-6)


def test_novograd_by_hand():
  """A layer's gradient is divided by the root of its mean squared norm."""
  found = moved(
    'novograd', [[3.0, 4.0], [0.0, 5.0]], weight_decay=0.5, momentum=0.5
  )
  # First 3/5 + 0.5 and 4/5 - 1; the norms of both steps are 5.
  first = np.array([1.0, -2.0]) - 0.1 * np.array([1.1, -0.2])
  velocity = 0.5 * np.array([1.1, -0.2]) + np.array([0, 1]) + 0.5 * first
  np.testing.assert_allclose(found, first - 0.1 * velocity, rtol=1e-5)


def test_weight_decay_of_adamw_is_apart():
  found = moved('adamw', [[0.0, 0.0]], weight_decay=0.5)
  np.testing.assert_allclose(found, [0.95, -1.9], rtol=1e-6)


@pytest.mark.parametrize('kind, momentum, message', [
  ('adam', 0.9, "optimizer.kind='adam' does not exist; choose one of adamw"),
  ('sgd', 1.0, 'optimizer.momentum=1.0 is no decay'),
  ('adamw', -0.1, 'optimizer.momentum=-0.1 is no decay'),
])
def test_refused(kind, momentum, message):
  with pytest.raises(errors.UserError, match=message):
    optimizers.make(kind, 0.1, weight_decay=0.0, momentum=momentum)
