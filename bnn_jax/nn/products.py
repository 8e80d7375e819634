"""Exact products of +-1 operands in float32, the differentiable ones.

Sums of +-1 are formed in float32 on every backend. The products of gradients
have a precision of their own, since only one of their operands is +-1.

Shape letters: B batch, C input channels, G groups, K operands of one output,
N outputs.
"""

import functools

import jax
from jax import custom_derivatives
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import devices
from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import marks

# The default precision is TF32 on recent GPUs and bfloat16 on TPUs, which do
# not hold the gradient's operands. HIGH is TF32 on GPUs: eight times as fast
# there as float32, with gradients rounded to 11 bits.
_HIGHEST = lax.Precision.HIGHEST
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
    x, shape = geometry_lib.pad(x, shape), geometry_lib.padded(shape)
    if gradient == _HIGHEST and not _rows_are_fast(w, shape):
      return _sums(x, w, shape, _HIGHEST)
    return _with_gradient(x, w, shape, gradient)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _with_gradient(x, w, shape, gradient):
  """Forward: the exact sums. Derivatives: by ways and precision of their own.

  Without padding, so that sums are linear in each operand.
  """
  del gradient
  return _sums(x, w, shape, _HIGHEST)


def _with_gradient_jvp(shape, gradient, primals, tangents):
  x, w = primals
  dx, dw = tangents
  terms = []
  if not isinstance(dx, custom_derivatives.SymbolicZero):
    terms.append(_sums(dx, w, shape, gradient))
  if not isinstance(dw, custom_derivatives.SymbolicZero):
    weight_sums = _sums_by_rows if _rows_are_fast(w, shape) else _sums
    terms.append(weight_sums(x, dw, shape, gradient))
  return _with_gradient(x, w, shape, gradient), functools.reduce(
    jnp.add, terms
  )


_with_gradient.defjvp(_with_gradient_jvp, symbolic_zeros=True)


def _sums(x, w, shape, precision):
  """`exact`, all its products of one precision."""
  if shape.kernel and w.shape[-2] == 1:
    return _depthwise(x, w, shape)
  if shape.kernel and shape.groups == 1:
    return _convolution(x, w, shape, precision)
  kernels = w.reshape(-1, *w.shape[-2:])
  sums = [
    _grouped_dot(
      view.reshape(*view.shape[:-1], shape.groups, w.shape[-2]),
      geometry_lib.grouped_weights(kernel, shape.groups), precision,
    )
    for view, kernel in zip(geometry_lib.taps(x, shape), kernels, strict=True)
  ]
  return functools.reduce(jnp.add, sums)


def _convolution(x, w, shape, precision):
  axes = 'HW'[: len(shape.kernel)]
  return lax.conv_general_dilated(
    x, w, shape.strides, 'VALID',
    rhs_dilation=shape.dilation,
    dimension_numbers=(f'N{axes}C', f'{axes}IO', f'N{axes}C'),
    precision=precision,
  )


def _rows_are_fast(w, shape):
  """Whether gradients of weights are quicker by rows of the kernel.

  XLA's CPU backend takes two to four times as long for those of a convolution
  over two axes, unless it strides.
  """
  dense = shape.groups == 1 and w.shape[-2] > 1
  return (
    devices.backend() == 'cpu' and dense
    and len(shape.kernel) == 2 and set(shape.strides) == {1}
  )


def _sums_by_rows(x, w, shape, precision):
  """`_sums`, a product for each row of the kernel."""
  views = geometry_lib.taps(x, shape)
  width = shape.kernel[-1]
  rows = [
    jnp.concatenate(views[i : i + width], axis=-1)
    for i in range(0, len(views), width)
  ]
  kernels = w.reshape(len(rows), -1, w.shape[-1])
  return functools.reduce(jnp.add, [
    jnp.matmul(row, kernel, precision=precision)
    for row, kernel in zip(rows, kernels, strict=True)
  ])


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
