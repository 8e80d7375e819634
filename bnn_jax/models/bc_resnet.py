"""BC-ResNet: convolutions over time of the mean over frequency, broadcast.

Kim et al., "Broadcasted Residual Learning for Efficient Keyword Spotting",
Interspeech 2021 (arXiv 2106.04140). Means over frequency, normalization of
sub-bands and SiLU are no part of the arithmetic of docs/arithmetic.md: the
stream of variant 'overflow' is real, and no binary variant is exported.

Shape letters: B batch, T frames, F features, C channels, N classes.
"""

from typing import Any
from typing import ClassVar
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from bnn_jax.models import toolbox
from bnn_jax.models import variants

_SUB_BANDS = 5


class Stage(NamedTuple):
  """Blocks that share a shape.

  Attributes:
    eighths: their channels, in eighths of the network's width.
    blocks: how many.
    stride: of the first, in frequency.
    dilation: in time.
  """

  eighths: int
  blocks: int
  stride: int
  dilation: int


_STAGES = (
  Stage(8, 2, 1, 1), Stage(12, 2, 2, 2), Stage(16, 4, 2, 4), Stage(20, 4, 1, 8)
)

# Width: channels of the first stage.
SIZES = {'1': 8, '1.5': 12, '2': 16, '3': 24, '6': 48, '8': 64}


class BcResNet(toolbox.Network):
  """The network.

  Attributes:
    width: channels of its first stage.
    tools: its layers.
  """

  width: int
  tools: toolbox.Toolbox

  def classify(self, q: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `q` `[B, T, F]` uint8 to logits `[B, N]`."""
    unit = self.tools.unit
    x = unit(
      2 * self.width, (5, 5), (1, 2), ((2, 2), (2, 2)), norm='affine',
      activation='relu', first=True, name='head',
    )(self.tools.image(q), mode)
    for i, stage in enumerate(_STAGES):
      for j in range(stage.blocks):
        stride = stage.stride if j == 0 else 1
        x = Block(
          stage.eighths * self.width // 8, stride, stage.dilation, self.tools,
          name=f'stage{i}_{j}',
        )(x, mode)
    channels = x.shape[-1]
    x = unit(
      channels, (5, 5), padding=((2, 2), (0, 0)), groups=channels,
      name='tail_depthwise',
    )(x, mode)
    x = unit(
      4 * self.width, (1, 1), norm='affine', activation='relu',
      name='tail_pointwise',
    )(x, mode)
    return self.tools.classifier(name='classifier')(x, train=mode.train)


class Block(nn.Module):
  """One block.

  Attributes:
    channels: C of its output; another number than the input's makes it one of
      transition.
    stride: in frequency.
    dilation: in time.
    tools: its layers.
  """

  channels: int
  stride: int
  dilation: int
  tools: toolbox.Toolbox

  @nn.compact
  def __call__(self, x: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `[B, T, F, C]` to `[B, T, F / stride, channels]`."""
    unit, shortcut = self.tools.unit, x
    transition = x.shape[-1] != self.channels
    if transition:
      x = unit(
        self.channels, (1, 1), norm='affine', activation='relu',
        name='transition',
      )(x, mode)
    wide = _SubSpectral(self.channels, self.stride, self.tools, name='wide')(
      x, mode
    )
    y = unit(
      self.channels, (3, 1), dilation=(self.dilation, 1),
      groups=self.channels, norm='affine', activation='silu', name='temporal',
    )(jnp.mean(wide, 2, keepdims=True), mode)
    y = unit(self.channels, (1, 1), name='pointwise')(y, mode)
    y = self.tools.dropout(0.1, channels=True, name='dropout')(
      y, train=mode.train
    )
    y = y + wide if transition else y + wide + shortcut
    y = self.tools.activation('relu', name='activation')(y, train=mode.train)
    return self.tools.hold()(y)


class _SubSpectral(nn.Module):
  """Depthwise over frequency, normalized for each sub-band and channel.

  The normalization (Chang et al. 2021) is one of 5 times as many channels.
  """

  NOT_EXPORTED: ClassVar[str] = (
    'normalizes each sub-band of frequencies by itself (means over frequency '
    'and SiLU follow)'
  )

  channels: int
  stride: int
  tools: toolbox.Toolbox

  @nn.compact
  def __call__(self, x: jax.Array, mode: toolbox.Mode) -> jax.Array:
    tools = self.tools
    bits = tools.sign(name='sign')(
      x, train=mode.train, progress=mode.progress
    )
    a = tools.product(
      self.channels, (1, 3), strides=(1, self.stride),
      padding=((0, 0), (1, 1)), dilation=1, groups=self.channels, bias=False,
      name='product',
    )(tools.hold()(bits), train=mode.train, progress=mode.progress)
    batch, frames, bins, channels = a.shape
    bands = a.reshape(batch, frames, _SUB_BANDS, bins // _SUB_BANDS, channels)
    bands = jnp.swapaxes(bands, 2, 3)
    y = tools.norm('affine', name='norm')(
      tools.hold()(bands.reshape(*bands.shape[:3], -1)),
      train=mode.train, frozen=mode.frozen,
    )
    y = jnp.swapaxes(y.reshape(bands.shape), 2, 3)
    return tools.hold()(y.reshape(a.shape))


def build(size: str, variant: str, classes: int, **settings: Any) -> BcResNet:
  """Makes the network; see `variants.make` for all but `size`."""
  tools = variants.make(variant, classes, integers=False, **settings)
  return BcResNet(toolbox.size(SIZES, size), tools)
