"""Exact products of +-1 operands in float32, the differentiable ones.

Sums of +-1 are formed in float32 on every backend. The products of gradients
have a precision of their own, since only one of their operands is +-1.

Shape letters: B batch, C input channels, G groups, K operands of one output,
N outputs.
"""

import dataclasses
import functools

import jax
from jax import custom_derivatives
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import convolution
from bnn_jax.nn import devices
from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import marks

# The default precision is TF32 on recent GPUs and bfloat16 on TPUs, which do
# not hold the gradient's operands. HIGH is TF32 on GPUs: eight times as fast
# there as float32, with gradients rounded to 11 bits.
_HIGHEST = lax.Precision.HIGHEST
# Groups up to which XLA's CPU backend is quicker at a convolution for each than
# at products of all.
_FEW_GROUPS = 8
# Of the products of gradients by backend; float32 where none is named.
GRADIENT_PRECISION: dict[str, lax.Precision] = {}


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
  gradient = GRADIENT_PRECISION.get(devices.backend(), _HIGHEST)
  with marks.operands(1, 1):
    if gradient == _HIGHEST:
      return _sums(x, w, shape, _HIGHEST)
    return _with_gradient(x, w, shape, gradient)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _with_gradient(x, w, shape, gradient):
  """Forward: the exact sums. Derivatives: the same by `gradient` precision."""
  del gradient
  return _sums(x, w, shape, _HIGHEST)


def _with_gradient_jvp(shape, gradient, primals, tangents):
  x, w = primals
  dx, dw = tangents
  terms = []
  if not isinstance(dx, custom_derivatives.SymbolicZero):
    terms.append(_sums(dx, w, shape, gradient))
  if not isinstance(dw, custom_derivatives.SymbolicZero):
    terms.append(_sums(x, dw, shape, gradient))
  return _with_gradient(x, w, shape, gradient), functools.reduce(
    jnp.add, terms
  )


_with_gradient.defjvp(_with_gradient_jvp, symbolic_zeros=True)


def _sums(x, w, shape, precision):
  """`exact`, all its products of one precision."""
  if shape.kernel and w.shape[-2] == 1:
    return _depthwise(x, w, shape)
  few = _FEW_GROUPS if devices.backend() == 'cpu' else 1
  if shape.kernel and shape.groups <= few:
    return _one_by_one(x, w, shape, precision)
  kernels = w.reshape(-1, *w.shape[-2:])
  sums = [
    _grouped_dot(
      view.reshape(*view.shape[:-1], shape.groups, w.shape[-2]),
      geometry_lib.grouped_weights(kernel, shape.groups), precision,
    )
    for view, kernel in zip(geometry_lib.taps(x, shape), kernels, strict=True)
  ]
  return functools.reduce(jnp.add, sums)


def _one_by_one(x, w, shape, precision):
  """A convolution for each group."""
  alone = dataclasses.replace(shape, groups=1)
  sums = [
    convolution.convolve(view, kernel, alone, fill=-1, precision=precision)
    for view, kernel in zip(
      jnp.split(x, shape.groups, axis=-1), jnp.split(w, shape.groups, axis=-1),
      strict=True,
    )
  ]
  return sums[0] if len(sums) == 1 else jnp.concatenate(sums, axis=-1)


def _depthwise(x, w, shape):
  """One input channel an output: shifted multiply-adds beat a convolution."""
  multiplier = w.shape[-1] // shape.groups
  kernels = w.reshape(-1, w.shape[-1])
  views = geometry_lib.taps(x, shape)
  if multiplier > 1:
    views = [jnp.repeat(view, multiplier, axis=-1) for view in views]
  with marks.elementwise(len(kernels)):
    return sum(
      view * kernel for view, kernel in zip(views, kernels, strict=True)
    )


def _grouped_dot(x: jax.Array, w: jax.Array, precision) -> jax.Array:
  """`[..., G, K]` by `[G, K, N // G]` to `[..., N]`."""
  # XLA's CPU backend is fast where the batch axis of a product comes first.
  groups = jnp.moveaxis(x.reshape(-1, *w.shape[:2]), 1, 0)
  y = jnp.matmul(groups, w, precision=precision)
  return jnp.moveaxis(y, 0, 1).reshape(*x.shape[:-2], w.shape[0] * w.shape[2])
