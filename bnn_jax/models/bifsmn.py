"""BiFSMN: two convolutions and a feed-forward memory network, meant binary.

Qin et al., "BiFSMN: Binary Neural Network for Keyword Spotting", IJCAI 2022
(arXiv 2202.06483), and "BiFSMNv2: Pushing Binary Neural Networks for Keyword
Spotting to Real-Network Performance", 2023 (arXiv 2211.06987). Both have the
same network. Variant 'paper' has the binary products of each, with real scales
and padding by zeros, and a real first and last layer; it is not exported. The
papers' thinning and distillation are left out.

Shape letters: B batch, T frames, F features, C channels, N classes.
"""

import dataclasses
import functools
from typing import Any
from typing import NamedTuple

import flax.linen as nn
import jax

from bnn_jax.models import toolbox
from bnn_jax.models import variants
from bnn_jax.nn import scaled_layers
from bnn_jax.nn import stream_layers


class Size(NamedTuple):
  """Shape of a network.

  Attributes:
    learned: the products of variant 'paper' are those of BiFSMNv2.
    convolutions: their channels.
    memory: channels of the memory blocks.
    hidden: channels between the dense layers of a block.
    blocks: their number.
  """

  learned: bool
  convolutions: tuple[int, ...] = (16, 32)
  memory: int = 128
  hidden: int = 256
  blocks: int = 8


SIZES = {'v1': Size(False), 'v2': Size(True)}


class Bifsmn(toolbox.Network):
  """The network.

  Attributes:
    size: its shape.
    tools: its layers.
  """

  size: Size
  tools: toolbox.Toolbox

  def classify(self, q: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `q` `[B, T, F]` uint8 to logits `[B, N]`."""
    tools, x = self.tools, self.tools.image(q)
    for i, channels in enumerate(self.size.convolutions):
      x = tools.unit(
        channels, (5, 5), 2, ((2, 2), (2, 2)), bias=True, norm='affine',
        activation='shared_prelu', first=i == 0, name=f'conv{i}',
      )(x, mode)
    x = stream_layers.Reshape((x.shape[1], -1), name='frames')(x)
    x = tools.unit(
      self.size.memory, bias=True, activation='shared_prelu', name='dense'
    )(x, mode)
    for i in range(self.size.blocks):
      x = Block(self.size, tools, name=f'block{i}')(x, mode)
    x = stream_layers.Reshape((-1,), name='flat')(x)
    return tools.classifier(name='classifier')(x, train=mode.train)


class Block(nn.Module):
  """A memory of five frames and two dense layers, each with its shortcut.

  Attributes:
    size: of the network.
    tools: its layers.
  """

  size: Size
  tools: toolbox.Toolbox

  @nn.compact
  def __call__(self, x: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `[B, T, C]` to the same shape."""
    tools, memory = self.tools, self.size.memory
    paper = {'bias': True, 'norm': 'affine', 'activation': 'shared_prelu'}
    y = tools.unit(memory, (5,), groups=memory, name='memory', **paper)(
      x, mode
    )
    x = tools.hold()(tools.add(name='memory_add')(x, y))
    y = tools.unit(self.size.hidden, (1,), name='expand', **paper)(x, mode)
    y = tools.unit(memory, (1,), name='reduce', **paper)(y, mode)
    return tools.hold()(tools.add(name='reduce_add')(x, y))


def build(size: str, variant: str, classes: int, **settings: Any) -> Bifsmn:
  """Makes the network; see `variants.make` for all but `size`.

  Args:
    size: a name in `SIZES`.
    variant: one of `variants.VARIANTS`, or 'paper'.
    classes: N.
    **settings: as of `variants.make`.

  Returns:
    The unbound module.

  Raises:
    UserError: a size or variant that does not exist.
  """
  shape = toolbox.size(SIZES, size)
  if variant == 'paper':
    return Bifsmn(shape, _as_published_binary(classes, shape.learned))
  return Bifsmn(shape, variants.make(variant, classes, **settings))


def _as_published_binary(classes: int, learned: bool) -> toolbox.Toolbox:
  """The float network's layers but for all products between first and last."""
  return dataclasses.replace(
    variants.as_published(classes),
    product=functools.partial(scaled_layers.ScaledConv, learned=learned),
  )
