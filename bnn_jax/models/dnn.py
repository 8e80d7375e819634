"""DNN: fully connected layers on the whole clip.

Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017
(arXiv 1711.07128). Three equal layers of biases and ReLU, and a classifier.

Shape letters: B batch, T frames, F features, N classes.
"""

from typing import Any

import jax

from bnn_jax.models import toolbox
from bnn_jax.models import variants
from bnn_jax.nn import stream_layers

# Outputs of each layer.
SIZES = {
  'S': (144, 144, 144),
  'M': (256, 256, 256),
  'L': (436, 436, 436),
}


class Dnn(toolbox.Network):
  """The network.

  Attributes:
    widths: outputs of each hidden layer.
    tools: its layers.
  """

  widths: tuple[int, ...]
  tools: toolbox.Toolbox

  def classify(self, q: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `q` `[B, T, F]` uint8 to logits `[B, N]`."""
    x = stream_layers.Reshape((-1,), name='flat')(self.tools.frames(q))
    for i, width in enumerate(self.widths):
      x = self.tools.unit(
        width, bias=True, activation='relu', first=i == 0, name=f'dense{i}'
      )(x, mode)
    return self.tools.classifier(name='classifier')(x, train=mode.train)


def build(size: str, variant: str, classes: int, **settings: Any) -> Dnn:
  """Makes the network; see `variants.make` for all but `size`."""
  tools = variants.make(variant, classes, **settings)
  return Dnn(toolbox.size(SIZES, size), tools)
