"""cnn-one-fstride4: one convolution over all frames, and dense layers.

Sainath and Parada, "Convolutional Neural Networks for Small-footprint Keyword
Spotting", Interspeech 2015; sizes as in the code of TC-ResNet. No product has a
bias, and the layers behind the convolution have no activation.

Shape letters: B batch, T frames, F features, N classes.
"""

from typing import Any
from typing import NamedTuple

import jax

from bnn_jax.models import toolbox
from bnn_jax.models import variants
from bnn_jax.nn import stream_layers


class Size(NamedTuple):
  """Shape of a network.

  Attributes:
    channels: of the convolution.
    linear: outputs of the low-rank layer.
    dense: outputs of each further hidden layer.
  """

  channels: int
  linear: int
  dense: tuple[int, ...]


SIZES = {'one-fstride4': Size(186, 32, (128, 128))}


class CnnOneFstride4(toolbox.Network):
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
      self.size.channels, (q.shape[1], 8), (1, 4), padding='VALID',
      activation='relu', first=True, name='conv',
    )(tools.image(q), mode)
    x = tools.dropout(0.5, name='dropout')(x, train=mode.train)
    x = stream_layers.Reshape((-1,), name='flat')(x)
    x = tools.unit(self.size.linear, name='linear')(x, mode)
    for i, width in enumerate(self.size.dense):
      x = tools.unit(width, name=f'dense{i}')(x, mode)
      x = tools.dropout(0.5, name=f'dropout{i}')(x, train=mode.train)
    return tools.classifier(bias=False, name='classifier')(x, train=mode.train)


def build(
  size: str, variant: str, classes: int, **settings: Any
) -> CnnOneFstride4:
  """Makes the network; see `variants.make` for all but `size`."""
  tools = variants.make(variant, classes, **settings)
  return CnnOneFstride4(toolbox.size(SIZES, size), tools)
