import jax
import jax.numpy as jnp

from bnn_jax.nn import straight_through


def test_value_forward_surrogate_backward():
  def f(x, y):
    return straight_through.straight_through(x * x, 3 * y)
  assert float(f(2.0, 5.0)) == 4.0
  assert [float(g) for g in jax.grad(f, (0, 1))(2.0, 5.0)] == [0.0, 3.0]


def test_floor():
  x = jnp.array([-0.5, 0.0, 1.75])
  assert straight_through.floor(x).tolist() == [-1.0, 0.0, 1.0]
  gradient = jax.grad(lambda x: straight_through.floor(x).sum())(x)
  assert gradient.tolist() == [1.0, 1.0, 1.0]
