"""One call of XLA's convolution, and what is to be equal to it."""

import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import geometry


def plain(x, w, shape, fill):
  """A convolution by one call of XLA, with `fill` around it."""
  axes = 'HW'[: len(shape.kernel)]
  return lax.conv_general_dilated(
    geometry.pad(x, shape, fill), w, shape.strides, 'VALID',
    rhs_dilation=shape.dilation,
    dimension_numbers=(f'N{axes}C', f'{axes}IO', f'N{axes}C'),
    feature_group_count=shape.groups,
  )


def derivatives(sums, x, w):
  """Sums, their tangents and the slopes of their squares."""
  slopes = jax.grad(lambda *o: jnp.sum(sums(*o) ** 2), (0, 1))(x, w)
  return *jax.jvp(sums, (x, w), (x[::-1], w[..., ::-1])), *slopes
