"""Signs and their pseudo-gradients.

Forward, all are sign(x) = +1 if x >= 0 else -1, so sign(0) = sign(-0.0) = +1.
They differ in what stands for d sign / dx. EDE and ReSTE sharpen over training
and take its `progress` from 0 to 1.
"""

from collections.abc import Callable

import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax import errors

Progress = float | jax.Array


@jax.custom_vjp
def binarize(x: jax.Array, slope: jax.Array) -> jax.Array:
  """sign(x), whose gradient is `slope`.

  Forward: +1 where x >= 0, else -1. Backward: d/dx = slope, d/d slope = 0.

  Args:
    x: any shape.
    slope: the same shape.

  Returns:
    +-1 of the dtype of `x`.
  """
  del slope
  return jnp.where(x >= 0, 1, -1).astype(x.dtype)


def _binarize_forward(x, slope):
  return binarize(x, slope), slope


def _binarize_backward(slope, gradient):
  return gradient * slope, jnp.zeros_like(slope)


binarize.defvjp(_binarize_forward, _binarize_backward)


def _hard_tanh(x, progress):
  """1 for |x| <= 1 (Hubara et al. 2016)."""
  del progress
  return (jnp.abs(x) <= 1).astype(x.dtype)


def _approx_sign(x, progress):
  """2 - 2 |x| for |x| <= 1 (Bi-Real net, Liu et al. 2018)."""
  del progress
  return jnp.maximum(2 - 2 * jnp.abs(x), 0)


def _swish_sign(x, progress, beta=5.0):
  """Is b (2 - bx tanh(bx / 2)) / (1 + cosh(bx)) (BNN+, Darabi et al. 2019)."""
  del progress
  # Beyond 40 the slope is under 1e-14 and cosh would overflow.
  z = jnp.clip(beta * x, -40.0, 40.0)
  return beta * (2 - z * jnp.tanh(z / 2)) / (1 + jnp.cosh(z))


def _ede(x, progress):
  """Is k t (1 - tanh(tx)^2), t from 0.1 to 10 (IR-Net, Qin et al. 2020)."""
  t = 10.0 ** (2 * progress - 1)
  k = jnp.maximum(1 / t, 1)
  return k * t * (1 - jnp.tanh(t * x) ** 2)


def _reste(x, progress, largest=3.0, inner=0.1, reach=1.5):
  """|x|^(1/o - 1) / o for |x| <= reach, o from 1 to 3 (ReSTE, Wu et al. 2023).

  Within `inner` of zero, where that grows without bound, the secant inner^(1/o)
  / inner.
  """
  o = 1 + (largest - 1) * progress
  magnitude = jnp.abs(x)
  curve = jnp.maximum(magnitude, inner) ** (1 / o - 1) / o
  slope = jnp.where(magnitude < inner, inner ** (1 / o - 1), curve)
  return jnp.where(magnitude <= reach, slope, 0)


SLOPES: dict[str, Callable[[jax.Array, Progress], jax.Array]] = {
  'hard_tanh': _hard_tanh,
  'approx_sign': _approx_sign,
  'swish_sign': _swish_sign,
  'ede': _ede,
  'reste': _reste,
}


def sign(
  x: jax.Array, gradient: str, progress: Progress = 1.0
) -> jax.Array:
  """Takes the sign, with one of the pseudo-gradients of `SLOPES`.

  Args:
    x: any shape.
    gradient: a name in `SLOPES`.
    progress: share of training done, for those that sharpen.

  Returns:
    +-1 of the shape and dtype of `x`.

  Raises:
    UserError: a pseudo-gradient that does not exist.
  """
  if gradient not in SLOPES:
    raise errors.UserError(
      f'pseudo-gradient {gradient!r} does not exist; '
      f'choose one of {", ".join(SLOPES)}.'
    )
  return binarize(x, lax.stop_gradient(SLOPES[gradient](x, progress)))
