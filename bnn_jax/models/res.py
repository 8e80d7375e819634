"""Res: 3x3 convolutions of equal width with shortcuts, dilated or pooled.

Tang and Lin, "Deep Residual Learning for Small-Footprint Keyword Spotting",
2018 (arXiv 1710.10361). As in the published code, a normalization without
factor and offset follows the ReLU, or the addition behind it. The sizes res8
divide by the 12 positions of their pool, which no shift does, so that they are
not exported.

Shape letters: B batch, T frames, F features, C channels, N classes.
"""

from typing import Any
from typing import NamedTuple

import jax

from bnn_jax.models import toolbox
from bnn_jax.models import variants


class Size(NamedTuple):
  """Shape of a network.

  Attributes:
    channels: C of all layers.
    convolutions: their number behind the first.
    pool: window in time and frequency of a mean behind the first; or None.
    dilated: convolution i is dilated by 2^(i // 3).
  """

  channels: int
  convolutions: int
  pool: tuple[int, int] | None = None
  dilated: bool = False


SIZES = {
  'res8': Size(45, 6, pool=(4, 3)),
  'res8-narrow': Size(19, 6, pool=(4, 3)),
  'res15': Size(45, 13, dilated=True),
  'res15-narrow': Size(19, 13, dilated=True),
  'res26': Size(45, 24, pool=(2, 2)),
  'res26-narrow': Size(19, 24, pool=(2, 2)),
}


class Res(toolbox.Network):
  """The network.

  Attributes:
    size: its shape.
    tools: its layers.
  """

  size: Size
  tools: toolbox.Toolbox

  def classify(self, q: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `q` `[B, T, F]` uint8 to logits `[B, N]`."""
    tools = self.tools
    x = tools.unit(
      self.size.channels, (3, 3), activation='relu', first=True, name='conv0'
    )(tools.image(q), mode)
    if self.size.pool:
      x = tools.average(self.size.pool, name='pool')(x)
    shortcut = x
    for i in range(self.size.convolutions):
      x = tools.unit(
        self.size.channels, (3, 3), activation='relu', name=f'conv{i + 1}',
        dilation=2 ** (i // 3) if self.size.dilated else 1,
      )(x, mode)
      if i % 2 == 1:
        x = tools.hold()(tools.add(name=f'add{i + 1}')(x, shortcut))
        shortcut = x
      x = tools.far_norm('plain', name=f'norm{i + 1}')(
        x, train=mode.train, frozen=mode.frozen
      )
    return tools.classifier(name='classifier')(x, train=mode.train)


def build(size: str, variant: str, classes: int, **settings: Any) -> Res:
  """Makes the network; see `variants.make` for all but `size`."""
  tools = variants.make(variant, classes, **settings)
  return Res(toolbox.size(SIZES, size), tools)
