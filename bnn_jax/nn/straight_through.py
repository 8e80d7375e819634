"""The one derivative rule that all integer operations share."""

import jax
import jax.numpy as jnp


@jax.custom_vjp
def straight_through(value: jax.Array, surrogate: jax.Array) -> jax.Array:
  """Forward `value`; backward the gradient of `surrogate`.

  Forward: value. Backward: d/d value = 0, d/d surrogate = 1 (Bengio et al.
  2013). Where the surrogate is linear in its operands, its forward value is
  never needed, and XLA removes its computation.

  Args:
    value: what is computed.
    surrogate: a differentiable stand-in of the same shape and dtype.

  Returns:
    `value`.
  """
  del surrogate
  return value


def _forward(value, surrogate):
  del surrogate
  return value, None


def _backward(_, gradient):
  return jnp.zeros_like(gradient), gradient


straight_through.defvjp(_forward, _backward)
