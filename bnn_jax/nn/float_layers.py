"""Real-valued counterparts of `bnn_jax.nn.layers`, called the same way.

A network takes its layer constructors as fields; with these it is the float
twin of its binarized self.
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from bnn_jax.nn import convolution
from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import marks


class Scale(nn.Module):
  """Integers of the input as real values of about unit variance.

  The mean and the scale `[F]` of each mel bin live in the collection `inputs`,
  which training fills once from a sample of its clips.

  Attributes:
    silence: frames of q = 0 before and after the clip.
  """

  silence: tuple[int, int] = (0, 0)

  @nn.compact
  def __call__(self, q: jax.Array) -> jax.Array:
    """Scales `q` `[B, T, F]` to real values, with silence around them."""
    q = jnp.pad(q, ((0, 0), self.silence, (0, 0)))
    bins = q.shape[-1:]
    mean = self.variable('inputs', 'mean', jnp.zeros, bins)
    scale = self.variable('inputs', 'scale', jnp.ones, bins)
    return (q.astype(jnp.float32) - mean.value) * scale.value


class FloatConv(nn.Module):
  """Convolution, or dense layer; other fields as of `layers.BinaryConv`.

  Attributes:
    bias: adds a learned one.
  """

  features: int
  kernel_size: Sequence[int]
  strides: int | Sequence[int] = 1
  padding: Any = 'SAME'
  dilation: int | Sequence[int] = 1
  groups: int = 1
  bias: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, **unused: Any) -> jax.Array:
    """Convolves `x` `[B, *spatial, C]` to `[B, *output, features]`."""
    del unused
    if not self.kernel_size:
      return nn.Dense(self.features, use_bias=self.bias)(x)
    if 1 < self.groups == x.shape[-1]:
      return self._depthwise(x)
    return nn.Conv(
      self.features, self.kernel_size, self.strides, self.padding,
      kernel_dilation=self.dilation, feature_group_count=self.groups,
      use_bias=self.bias, conv_general_dilated=_convolve,
    )(x)

  def _depthwise(self, x):
    """Shifted multiply-adds: a CPU trains twice as fast as by a convolution."""
    shape = (*self.kernel_size, 1, self.features)
    kernel = self.param('kernel', nn.initializers.lecun_normal(), shape)
    taps = kernel.reshape(-1, self.features)
    geometry = geometry_lib.geometry(
      x.shape, shape, self.strides, self.padding, self.dilation, self.groups
    )
    views = geometry_lib.views(x, geometry, 0)
    multiplier = self.features // self.groups
    if multiplier > 1:
      views = [jnp.repeat(view, multiplier, axis=-1) for view in views]
    with marks.elementwise(len(taps)):
      y = sum(view * tap for view, tap in zip(views, taps, strict=True))
    if not self.bias:
      return y
    return y + self.param('bias', nn.initializers.zeros, (self.features,))


def _convolve(
  x, w, strides, padding, *, rhs_dilation, feature_group_count, precision,
  **unused,
):
  """What `nn.Conv` calls in place of `lax.conv_general_dilated`.

  What it calls with besides is the same for each `FloatConv`.
  """
  del unused
  shape = geometry_lib.geometry(
    x.shape, w.shape, strides, padding, rhs_dilation, feature_group_count
  )
  return convolution.convolve(x, w, shape, fill=0, precision=precision)


class BatchNorm(nn.Module):
  """Batch normalization that can be frozen; fields as of `ShiftBatchNorm`.

  Attributes:
    scale: learns a factor gamma.
    center: learns an offset beta.
  """

  momentum: float = 0.9
  epsilon: float = 1e-5
  scale: bool = True
  center: bool = True

  @nn.compact
  def __call__(
    self,
    a: jax.Array,
    *,
    train: bool,
    frozen: bool | jax.Array = False,
  ) -> jax.Array:
    """Normalizes `a` `[..., C]`, by running statistics where frozen."""
    channels = a.shape[-1:]
    gamma: jax.Array | float = 1.0
    beta: jax.Array | float = 0.0
    if self.scale:
      gamma = self.param('gamma', nn.initializers.ones, channels)
    if self.center:
      beta = self.param('beta', nn.initializers.zeros, channels)
    running = self.variable(
      'batch_stats', 'running',
      lambda: {'mean': jnp.zeros(channels), 'var': jnp.ones(channels)},
    )
    mean, var = running.value['mean'], running.value['var']
    if train:
      axes = tuple(range(a.ndim - 1))
      batch_mean, batch_var = jnp.mean(a, axes), jnp.var(a, axes)
      if not self.is_initializing():
        keep = jnp.where(frozen, 1.0, self.momentum)
        running.value = {
          'mean': keep * mean + (1 - keep) * jax.lax.stop_gradient(batch_mean),
          'var': keep * var + (1 - keep) * jax.lax.stop_gradient(batch_var),
        }
      mean = jnp.where(frozen, mean, batch_mean)
      var = jnp.where(frozen, var, batch_var)
    return (a - mean) * jax.lax.rsqrt(var + self.epsilon) * gamma + beta


class PReLU(nn.Module):
  """PReLU with a learned slope (He et al. 2015).

  Attributes:
    shared: one slope for all channels, not one for each.
  """

  shared: bool = False

  @nn.compact
  def __call__(self, y: jax.Array, *, train: bool) -> jax.Array:
    """Activates `y` `[..., C]`."""
    del train
    shape = (1,) if self.shared else y.shape[-1:]
    slope = self.param('slope', nn.initializers.constant(0.25), shape)
    return jnp.where(y >= 0, y, y * slope)


class Elementwise(nn.Module):
  """A fixed activation.

  Attributes:
    function: such as `jax.nn.relu`.
  """

  function: Callable[[jax.Array], jax.Array]

  @nn.compact
  def __call__(self, y: jax.Array, *, train: bool) -> jax.Array:
    """Activates `y` `[..., C]`."""
    del train
    return self.function(y)


class Dropout(nn.Module):
  """Dropout in training, where the caller gives a generator named 'dropout'.

  Attributes:
    rate: share of the values that are set to 0.
    channels: drops whole channels of a clip, at all positions.
  """

  rate: float
  channels: bool = False

  @nn.compact
  def __call__(self, y: jax.Array, *, train: bool) -> jax.Array:
    """Drops out of `y` `[B, *spatial, C]`."""
    if not train or not self.has_rng('dropout'):
      return y
    axes = tuple(range(1, y.ndim - 1)) if self.channels else ()
    return nn.Dropout(self.rate, axes, deterministic=False)(y)


class Identity(nn.Module):
  """Stands where a binarized network has a sign."""

  @nn.compact
  def __call__(self, r: jax.Array, **unused: Any) -> jax.Array:
    """Returns `r`."""
    del unused
    return r


class Add(nn.Module):
  """Sum of two streams."""

  @nn.compact
  def __call__(self, r: jax.Array, y: jax.Array) -> jax.Array:
    """Adds `r` and `y` `[..., C]`."""
    return r + y


class Classifier(nn.Module):
  """Mean over positions and a dense layer.

  Attributes:
    classes: N.
    bias: adds a learned one.
  """

  classes: int
  bias: bool = True

  @nn.compact
  def __call__(self, r: jax.Array, *, train: bool) -> jax.Array:
    """Classifies `r` `[B, *spatial, C]` to logits `[B, N]`."""
    del train
    pooled = jnp.mean(r, axis=tuple(range(1, r.ndim - 1)))
    return nn.Dense(self.classes, use_bias=self.bias)(pooled)
