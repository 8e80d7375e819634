"""MatchboxNet: time-channel separable convolutions with dense shortcuts.

Majumdar and Ginsburg, "MatchboxNet: 1D Time-Channel Separable Convolutional
Neural Network Architecture for Speech Commands Recognition", Interspeech 2020
(arXiv 2004.08531). Clips are padded to 128 frames, as the published code does;
it pads features of 0, and this q = 0, their low end, which is silence in bins
of log mel energy and is not in MFCC.

Shape letters: B batch, T frames, F features, C channels, N classes.
"""

from typing import Any
from typing import NamedTuple

import jax

from bnn_jax.models import toolbox
from bnn_jax.models import variants

_FRAMES = 128


class Size(NamedTuple):
  """Shape of a network.

  Attributes:
    repeats: R, separable convolutions of each block.
    channels: C of the blocks; before and behind them it is `wide`.
    wide: see there.
    kernels: in front of the blocks, of each of them, and behind.
  """

  repeats: int
  channels: int = 64
  wide: int = 128
  kernels: tuple[int, ...] = (11, 13, 15, 17, 29)


SIZES = {'3x1x64': Size(1), '3x2x64': Size(2)}


class MatchboxNet(toolbox.Network):
  """The network.

  Attributes:
    size: its shape.
    tools: its layers.
  """

  size: Size
  tools: toolbox.Toolbox

  def classify(self, q: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `q` `[B, T, F]` uint8 to logits `[B, N]`."""
    tools, wide = self.tools, self.size.wide
    before, *inside, behind = self.size.kernels
    x = self._separable(
      tools.frames(q, _silence(q.shape[1])), wide, before, 'prologue', mode,
      first=True,
    )
    for i, kernel in enumerate(inside):
      x = self._block(x, kernel, f'block{i}', mode)
    x = self._separable(x, wide, behind, 'epilogue', mode, dilation=2)
    x = tools.unit(
      wide, (1,), norm='affine', activation='relu', name='epilogue_conv'
    )(x, mode)
    return tools.classifier(name='classifier')(x, train=mode.train)

  def _block(self, x, kernel, name, mode):
    """Separable convolutions with a dense shortcut around them."""
    channels, tools = self.size.channels, self.tools
    shortcut = tools.unit(
      channels, (1,), norm='affine', name=f'{name}_shortcut'
    )(x, mode)
    last = self.size.repeats - 1
    for i in range(self.size.repeats):
      x = self._separable(
        x, channels, kernel, f'{name}_{i}', mode,
        activation='relu' if i < last else None,
      )
    total = tools.add(name=f'{name}_add')(shortcut, x)
    y = tools.activation('relu', name=f'{name}_activation')(
      total, train=mode.train
    )
    return tools.hold()(y)

  def _separable(
    self, x, channels, kernel, name, mode, *, dilation=1, first=False,
    activation='relu',
  ):
    """A depthwise convolution and a pointwise one."""
    x = self.tools.unit(
      x.shape[-1], (kernel,), dilation=dilation, groups=x.shape[-1],
      first=first, name=f'{name}_depthwise',
    )(x, mode)
    return self.tools.unit(
      channels, (1,), norm='affine', activation=activation,
      name=f'{name}_pointwise',
    )(x, mode)


def _silence(frames: int) -> tuple[int, int]:
  """Silent frames on both sides of fewer than 128."""
  missing = max(_FRAMES - frames, 0)
  return missing // 2, missing - missing // 2


def build(
  size: str, variant: str, classes: int, **settings: Any
) -> MatchboxNet:
  """Makes the network; see `variants.make` for all but `size`."""
  tools = variants.make(variant, classes, **settings)
  return MatchboxNet(toolbox.size(SIZES, size), tools)
