"""CRNN: a convolution, gated recurrent units and a dense layer.

Arik et al. 2017 (arXiv 1703.05390) in the sizes of Zhang et al., "Hello Edge:
Keyword Spotting on Microcontrollers", 2017 (arXiv 1711.07128). The recurrence
is no part of the arithmetic of docs/arithmetic.md: the stream of variant
'overflow' is real, and no binary variant is exported.

Shape letters: B batch, T frames, F features, N classes.
"""

from typing import Any
from typing import NamedTuple

import jax

from bnn_jax.models import recurrent
from bnn_jax.models import toolbox
from bnn_jax.models import variants


class Size(NamedTuple):
  """Shape of a network.

  Attributes:
    channels: of the convolution.
    stride: of it, in time and frequency.
    units: of both recurrent layers.
    dense: outputs of the last hidden layer.
  """

  channels: int
  stride: tuple[int, int]
  units: int
  dense: int


SIZES = {
  'S': Size(48, (2, 2), 60, 84),
  'M': Size(128, (2, 2), 76, 164),
  'L': Size(100, (2, 1), 136, 188),
}


class Crnn(toolbox.Network):
  """The network.

  Attributes:
    size: its shape.
    tools: its layers.
  """

  size: Size
  tools: toolbox.Toolbox

  def classify(self, q: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `q` `[B, T, F]` uint8 to logits `[B, N]`."""
    x = self.tools.unit(
      self.size.channels, (10, 4), self.size.stride, 'VALID', bias=True,
      activation='relu', first=True, name='conv',
    )(self.tools.image(q), mode)
    x = x.reshape(*x.shape[:2], -1)
    for i in range(2):
      x = recurrent.Gru(self.size.units, self.tools, name=f'gru{i}')(x, mode)
    x = self.tools.unit(
      self.size.dense, bias=True, activation='relu', name='dense'
    )(x[:, -1], mode)
    return self.tools.classifier(name='classifier')(x, train=mode.train)


def build(size: str, variant: str, classes: int, **settings: Any) -> Crnn:
  """Makes the network; see `variants.make` for all but `size`."""
  tools = variants.make(variant, classes, integers=False, **settings)
  return Crnn(toolbox.size(SIZES, size), tools)
