"""Layers of a binary network by the rule of a published paper.

What flows between them is real; they have no integer form and are not exported.
Called the same way as `bnn_jax.nn.layers`.
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import binarize
from bnn_jax.nn import geometry
from bnn_jax.nn import integer
from bnn_jax.nn import layers
from bnn_jax.nn import products
from bnn_jax.nn import rule_weights
from bnn_jax.nn import straight_through

Slope = Callable[[jax.Array, binarize.Progress], jax.Array]
Weights = Callable[[jax.Array, binarize.Progress], rule_weights.Weights]


class RuleConv(nn.Module):
  """Convolution of +-1 inputs; other fields as of `layers.BinaryConv`.

  The sums of signs are exact, and then scaled. `bnn_jax.models.costs` counts
  the products of signs and not those with a scale.

  Attributes:
    weights: a function of `bnn_jax.nn.rule_weights`.
    learn_gain: learn a factor of each output.
  """

  features: int
  kernel_size: Sequence[int]
  strides: int | Sequence[int] = 1
  padding: geometry.Padding = 'SAME'
  dilation: int | Sequence[int] = 1
  groups: int = 1
  weights: Weights = rule_weights.plain
  learn_gain: bool = False

  @nn.compact
  def __call__(
    self, x: jax.Array, *, progress: binarize.Progress = 1.0, **unused: Any
  ) -> jax.Array:
    """Convolves `x` `[B, *spatial, C]` of +-1 to `[B, *output, features]`."""
    del unused
    shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
    latent = self.param(layers.LATENT, layers.latent_init, shape)
    made = self.weights(latent, progress)
    y = made.scale * products.exact(
      x, made.signs,
      geometry.geometry(
        x.shape, shape, self.strides, self.padding, self.dilation, self.groups
      ),
    )
    if not self.learn_gain:
      return y
    return y * self.param('gain', nn.initializers.ones, (self.features,))


class RuleSign(nn.Module):
  """Sign of reals.

  Attributes:
    slope: its pseudo-gradient, by the distance from the threshold and the
      share of training done.
    threshold: from where on it is +1.
    learned: each channel learns what is added to the threshold.
  """

  slope: Slope
  threshold: float = 0.0
  learned: bool = False

  @nn.compact
  def __call__(
    self, r: jax.Array, *, progress: binarize.Progress = 1.0, **unused: Any
  ) -> jax.Array:
    """Binarizes `r` `[..., C]` to +-1."""
    del unused
    z = r - self.threshold
    if self.learned:
      z -= self.param('theta', nn.initializers.zeros, r.shape[-1:])
    return binarize.binarize(z, lax.stop_gradient(self.slope(z, progress)))


def window(x: jax.Array, progress: binarize.Progress) -> jax.Array:
  """2 for |x| <= 1/2.

  DoReFa-Net (Zhou et al. 2016) rounds clip(x, 0, 1) to a bit, with slope 1
  inside. As +-1 with the threshold 1/2 that is this slope.
  """
  del progress
  return 2 * (jnp.abs(x) <= 0.5).astype(x.dtype)


def sigmoid(x: jax.Array, progress: binarize.Progress) -> jax.Array:
  """Derivative of twice the sigmoid of 3 x (A&B BNN, Ma et al. 2024)."""
  del progress
  share = jax.nn.sigmoid(3 * x)
  return 6 * share * (1 - share)


class RPReLU(nn.Module):
  """PReLU with learned offsets in front and behind (ReActNet, Liu et al. 2020).

  Attributes:
    shifts: slopes are powers of two (A&B BNN, Ma et al. 2024).
  """

  shifts: bool = False

  @nn.compact
  def __call__(self, y: jax.Array, *, train: bool) -> jax.Array:
    """Activates `y` `[..., C]`."""
    del train
    channels = y.shape[-1:]
    before = self.param('before', nn.initializers.zeros, channels)
    after = self.param('after', nn.initializers.zeros, channels)
    z = y - before
    return jnp.where(z >= 0, z, z * self._slope(channels)) + after

  def _slope(self, channels) -> jax.Array:
    if not self.shifts:
      return self.param('slope', nn.initializers.constant(0.25), channels)
    log2_slope = self.param(
      'log2_slope', nn.initializers.constant(-3.0), channels
    )
    rounded = jnp.floor(log2_slope + 0.5)
    exponent = straight_through.straight_through(rounded, log2_slope)
    # Only the gain carries a derivative; `power_of_two` is exact.
    gain = jnp.exp2(exponent - lax.stop_gradient(exponent))
    return integer.power_of_two(rounded) * gain


class Unchanged(nn.Module):
  """Stands where a rule has no activation."""

  @nn.compact
  def __call__(self, y: jax.Array, *, train: bool) -> jax.Array:
    """Returns `y`."""
    del train
    return y


class Factor(nn.Module):
  """A fixed factor in place of a normalization.

  Attributes:
    factor: such as a power of two.
  """

  factor: float

  @nn.compact
  def __call__(self, a: jax.Array, **unused: Any) -> jax.Array:
    """Scales `a` `[..., C]`."""
    del unused
    return self.factor * a
