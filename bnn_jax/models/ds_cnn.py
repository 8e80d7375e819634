"""DS-CNN: a convolution and depthwise separable ones.

Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017
(arXiv 1711.07128). Every product has a bias and a batch normalization without
factor, as the published code has it.

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
    stride: of the first convolution, in time and frequency.
    blocks: strides of each depthwise separable convolution.
  """

  channels: int
  stride: tuple[int, int]
  blocks: tuple[int, ...]


SIZES = {
  'S': Size(64, (2, 2), (1, 1, 1, 1)),
  'M': Size(172, (2, 1), (2, 1, 1, 1)),
  'L': Size(276, (2, 1), (2, 1, 1, 1, 1)),
}


class DsCnn(toolbox.Network):
  """The network.

  Attributes:
    size: its shape.
    tools: its layers.
  """

  size: Size
  tools: toolbox.Toolbox

  def classify(self, q: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `q` `[B, T, F]` uint8 to logits `[B, N]`."""
    channels = self.size.channels
    paper = {'bias': True, 'norm': 'center', 'activation': 'relu'}
    x = self.tools.unit(
      channels, (10, 4), self.size.stride, first=True, name='conv', **paper
    )(self.tools.image(q), mode)
    for i, stride in enumerate(self.size.blocks):
      x = self.tools.unit(
        channels, (3, 3), stride, groups=channels, name=f'depthwise{i}',
        **paper,
      )(x, mode)
      x = self.tools.unit(
        channels, (1, 1), name=f'pointwise{i}', **paper
      )(x, mode)
    return self.tools.classifier(name='classifier')(x, train=mode.train)


def build(size: str, variant: str, classes: int, **settings: Any) -> DsCnn:
  """Makes the network; see `variants.make` for all but `size`."""
  tools = variants.make(variant, classes, **settings)
  return DsCnn(toolbox.size(SIZES, size), tools)
