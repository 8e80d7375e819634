"""Convolutions by whichever products of the backend are fast."""

import functools

import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import devices
from bnn_jax.nn import geometry as geometry_lib


def convolve(
  x: jax.Array,
  w: jax.Array,
  shape: geometry_lib.Geometry,
  *,
  fill: int,
  precision: lax.Precision | None = None,
) -> jax.Array:
  """A convolution over one or two axes.

  Args:
    x: `[B, *spatial, C]`.
    w: `[*kernel, C // G, N]`.
    shape: its geometry.
    fill: what padded positions hold.
    precision: of the products.

  Returns:
    `[B, *output, N]`.
  """
  x = geometry_lib.pad(x, shape, fill)
  image = len(shape.kernel) == 2 and shape.groups == 1
  run = _folded if image and devices.backend() == 'cpu' else _convolution
  return run(x, w, shape, precision)


@functools.partial(jax.checkpoint, static_argnums=(2, 3))
def _folded(x, w, shape, precision):
  """A convolution over the first axis alone, the second being batch.

  Taps along the second axis become channels, which the backward pass gathers
  again rather than hold them. XLA's CPU backend is slow at the gradients of
  weights over two axes.
  """
  step, reach = shape.strides[1], shape.dilation[1]
  width = (x.shape[2] - (shape.kernel[1] - 1) * reach - 1) // step + 1
  x = jnp.swapaxes(x, 1, 2)
  taps = jnp.concatenate([
    x[:, tap * reach :: step][:, :width] for tap in range(shape.kernel[1])
  ], axis=-1)
  y = _convolution(
    taps.reshape(-1, *taps.shape[2:]), w.reshape(w.shape[0], -1, w.shape[-1]),
    geometry_lib.first_axis(shape), precision,
  )
  y = y.reshape(x.shape[0], width, *y.shape[1:])
  return jnp.swapaxes(y, 1, 2)


def _convolution(x, w, shape, precision):
  axes = 'HW'[: len(shape.kernel)]
  return lax.conv_general_dilated(
    x, w, shape.strides, 'VALID', rhs_dilation=shape.dilation,
    dimension_numbers=(f'N{axes}C', f'{axes}IO', f'N{axes}C'),
    feature_group_count=shape.groups, precision=precision,
  )
