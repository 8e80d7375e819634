"""TC-ResNet: temporal convolutions, mel bins as channels, with shortcuts.

Choi et al., "Temporal Convolution for Real-time Keyword Spotting on Mobile
Devices", 2019 (arXiv 1904.03814).

Shape letters: B batch, T frames, F features, C channels, N classes.
"""

from typing import Any

import jax

from bnn_jax.models import toolbox
from bnn_jax.models import variants

# Channels of the first convolution and of each block; a block that changes
# them has stride 2.
SIZES = {
  '8': (16, 24, 32, 48),
  '8-1.5': (24, 36, 48, 72),
  '14': (16, 24, 24, 32, 32, 48, 48),
  '14-1.5': (24, 36, 36, 48, 48, 72, 72),
}


class TcResNet(toolbox.Network):
  """The network.

  Attributes:
    channels: of the first convolution and of each block.
    tools: its layers.
  """

  channels: tuple[int, ...]
  tools: toolbox.Toolbox

  def classify(self, q: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `q` `[B, T, F]` uint8 to logits `[B, N]`."""
    x = self.tools.unit(
      self.channels[0], (3,), norm='affine', activation='relu', first=True,
      name='conv',
    )(self.tools.frames(q), mode)
    for i, channels in enumerate(self.channels[1:]):
      x = self._block(x, channels, f'block{i}', mode)
    # Of whole channels, which is a dropout behind the mean over time.
    x = self.tools.dropout(0.5, channels=True, name='dropout')(
      x, train=mode.train
    )
    classifier = self.tools.classifier(bias=False, name='classifier')
    return classifier(x, train=mode.train)

  def _block(self, x, channels, name, mode):
    """Two convolutions and the shortcut around them."""
    unit, shortcut, stride = self.tools.unit, x, 1
    if channels != x.shape[-1]:
      stride = 2
      shortcut = unit(
        channels, (1,), stride, norm='affine', activation='relu',
        name=f'{name}_down',
      )(x, mode)
    y = unit(
      channels, (9,), stride, norm='affine', activation='relu',
      name=f'{name}_conv0',
    )(x, mode)
    y = unit(channels, (9,), norm='affine', name=f'{name}_conv1')(y, mode)
    total = self.tools.add(name=f'{name}_add')(shortcut, y)
    return self.tools.hold()(
      self.tools.activation('relu', name=f'{name}_activation')(
        total, train=mode.train
      )
    )


def build(size: str, variant: str, classes: int, **settings: Any) -> TcResNet:
  """Makes the network; see `variants.make` for all but `size`."""
  tools = variants.make(variant, classes, **settings)
  return TcResNet(toolbox.size(SIZES, size), tools)
