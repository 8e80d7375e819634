"""cnn-trad-fpool3: two convolutions, a low-rank layer and a dense one.

Sainath and Parada, "Convolutional Neural Networks for Small-footprint Keyword
Spotting", Interspeech 2015; sizes as in the code of TC-ResNet. No product has a
bias, and the layers behind the convolutions have no activation.

Shape letters: B batch, T frames, F features, N classes.
"""

from typing import Any
from typing import NamedTuple

import jax

from bnn_jax.models import toolbox
from bnn_jax.models import variants
from bnn_jax.nn import pooling
from bnn_jax.nn import stream_layers


class Size(NamedTuple):
  """Shape of a network.

  Attributes:
    channels: of both convolutions.
    linear: outputs of the low-rank layer.
    dense: outputs of the last hidden layer.
  """

  channels: int
  linear: int
  dense: int


SIZES = {'trad-fpool3': Size(64, 32, 128)}


class CnnTradFpool3(toolbox.Network):
  """The network.

  Attributes:
    size: its shape.
    tools: its layers.
  """

  size: Size
  tools: toolbox.Toolbox

  def classify(self, q: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `q` `[B, T, F]` uint8 to logits `[B, N]`."""
    tools, unit = self.tools, self.tools.unit
    convolution = {'padding': 'VALID', 'activation': 'relu'}
    x = unit(
      self.size.channels, (20, 8), first=True, name='conv0', **convolution
    )(tools.image(q), mode)
    x = tools.dropout(0.5, name='dropout0')(x, train=mode.train)
    x = pooling.MaxPool((1, 3), name='pool')(x)
    x = unit(self.size.channels, (10, 4), name='conv1', **convolution)(x, mode)
    x = tools.dropout(0.5, name='dropout1')(x, train=mode.train)
    x = stream_layers.Reshape((-1,), name='flat')(x)
    x = unit(self.size.linear, name='linear')(x, mode)
    x = unit(self.size.dense, name='dense')(x, mode)
    return tools.classifier(bias=False, name='classifier')(x, train=mode.train)


def build(
  size: str, variant: str, classes: int, **settings: Any
) -> CnnTradFpool3:
  """Makes the network; see `variants.make` for all but `size`."""
  tools = variants.make(variant, classes, **settings)
  return CnnTradFpool3(toolbox.size(SIZES, size), tools)
