"""Exact products of +-1 operands in float32, the differentiable ones.

Shape letters: B batch, C input channels, G groups, K operands of one output,
N outputs.
"""

import functools

import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import marks

# Up to this many groups are separate products: XLA's CPU backend has no fast
# product with a batch axis in the middle.
_UNROLLED_GROUPS = 16


def exact(
  x: jax.Array, w: jax.Array, shape: geometry_lib.Geometry
) -> jax.Array:
  """The sums without a register, by whichever products are fast.

  Args:
    x: `[B, *spatial, C]` of +-1.
    w: `[*kernel, C // G, N]` of +-1.
    shape: geometry of the convolution.

  Returns:
    `[B, *output, N]` float32 integers.
  """
  with marks.operands(1, 1):
    return _sums(x, w, shape)


def _sums(x, w, shape):
  if shape.kernel and w.shape[-2] == 1:
    return _depthwise(x, w, shape)
  if shape.kernel and shape.groups == 1:
    return _convolution(x, w, shape)
  kernels = w.reshape(-1, *w.shape[-2:])
  sums = [
    _grouped_dot(
      view.reshape(*view.shape[:-1], shape.groups, -1),
      geometry_lib.grouped_weights(kernel, shape.groups),
    )
    for view, kernel in zip(geometry_lib.taps(x, shape), kernels, strict=True)
  ]
  return functools.reduce(jnp.add, sums)


def _convolution(x, w, shape):
  axes = 'HW'[: len(shape.kernel)]
  return lax.conv_general_dilated(
    geometry_lib.pad(x, shape), w, shape.strides, 'VALID',
    rhs_dilation=shape.dilation,
    dimension_numbers=(f'N{axes}C', f'{axes}IO', f'N{axes}C'),
    precision=lax.Precision.HIGHEST,
  )


def _depthwise(x, w, shape):
  """One input channel an output: shifted multiply-adds beat a convolution."""
  multiplier = w.shape[-1] // shape.groups
  kernels = w.reshape(-1, w.shape[-1])
  views = geometry_lib.taps(x, shape)
  if multiplier > 1:
    views = [jnp.repeat(view, multiplier, axis=-1) for view in views]
  with marks.elementwise():
    return sum(
      view * kernel for view, kernel in zip(views, kernels, strict=True)
    )


def _grouped_dot(x: jax.Array, w: jax.Array) -> jax.Array:
  """`[..., G, K]` by `[G, K, N // G]` to `[..., N]`, exactly."""
  if w.shape[0] <= _UNROLLED_GROUPS:
    return jnp.concatenate(
      [_dot(x[..., group, :], w[group]) for group in range(w.shape[0])], -1
    )
  y = jnp.einsum('...gk,gkn->...gn', x, w, precision=lax.Precision.HIGHEST)
  return y.reshape(*y.shape[:-2], -1)


def _dot(x: jax.Array, w: jax.Array) -> jax.Array:
  # The default precision is TF32 on recent GPUs and bfloat16 on TPUs, which
  # do not hold the gradient's operands.
  return jnp.matmul(x, w, precision=lax.Precision.HIGHEST)
