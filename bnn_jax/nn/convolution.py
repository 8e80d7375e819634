"""Convolutions by whichever products of the backend are fast."""

import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import devices
from bnn_jax.nn import geometry as geometry_lib


def convolve(
  x: jax.Array,
  w: jax.Array,
  shape: geometry_lib.Geometry,
  precision: lax.Precision | None = None,
  padding: int = 0,
) -> jax.Array:
  """A convolution over one or two axes.

  Args:
    x: `[B, *spatial, C]`.
    w: `[*kernel, C // G, N]`.
    shape: its geometry.
    precision: of the products.
    padding: what padded positions hold.

  Returns:
    `[B, *output, N]`.
  """
  x = geometry_lib.pad(x, shape, padding)
  two = len(shape.kernel) == 2
  if two and shape.groups == 1 and devices.backend() == 'cpu':
    return _folded(x, w, shape, precision)
  return _convolution(
    x, w, shape.strides, shape.dilation, precision, shape.groups
  )


def _folded(x, w, shape, precision):
  """One over the first axis, with the second folded into the batch.

  Taps along the second become channels. XLA's CPU backend is quick at one axis,
  and slow at the gradients of weights over two.
  """
  step, reach = shape.strides[1], shape.dilation[1]
  columns = (x.shape[2] - (shape.kernel[1] - 1) * reach - 1) // step + 1
  x = jnp.swapaxes(x, 1, 2)
  taps = jnp.concatenate([
    x[:, tap * reach :: step][:, :columns] for tap in range(shape.kernel[1])
  ], axis=-1)
  y = _convolution(
    taps.reshape(-1, *taps.shape[2:]),
    w.reshape(w.shape[0], -1, w.shape[-1]),
    shape.strides[:1], shape.dilation[:1], precision, groups=1,
  )
  y = y.reshape(x.shape[0], columns, *y.shape[1:])
  return jnp.swapaxes(y, 1, 2)


def _convolution(x, w, strides, dilation, precision, groups):
  axes = 'HW'[: len(strides)]
  return lax.conv_general_dilated(
    x, w, strides, 'VALID', rhs_dilation=dilation,
    dimension_numbers=(f'N{axes}C', f'{axes}IO', f'N{axes}C'),
    feature_group_count=groups, precision=precision,
  )
