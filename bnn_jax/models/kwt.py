"""KWT: a transformer whose tokens are frames.

Berg et al., "Keyword Transformer: A Self-Attention Model for Keyword Spotting",
Interspeech 2021 (arXiv 2104.00769). Attention and layer normalization are no
part of the arithmetic of docs/arithmetic.md: the stream of variant 'overflow'
is real, and no binary variant is exported.

Shape letters: B batch, T tokens, F features, H heads, C channels, N classes.
"""

from typing import Any
from typing import ClassVar
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from bnn_jax.models import toolbox
from bnn_jax.models import variants


class Size(NamedTuple):
  """Shape of a network.

  Attributes:
    channels: C.
    hidden: of the perceptron of each block.
    heads: H.
    blocks: their number.
  """

  channels: int
  hidden: int
  heads: int
  blocks: int = 12


SIZES = {
  '1': Size(64, 256, 1),
  '2': Size(128, 512, 2),
  '3': Size(192, 768, 3),
}


class Kwt(toolbox.Network):
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
    x = self.tools.unit(channels, bias=True, first=True, name='embedding')(
      self.tools.frames(q), mode
    )
    start = nn.initializers.truncated_normal(0.02)
    token = self.param('class_token', start, (1, 1, channels))
    x = jnp.concatenate(
      [jnp.broadcast_to(token, (x.shape[0], 1, channels)), x], axis=1
    )
    x = x + self.param('positions', start, x.shape[1:])
    for i in range(self.size.blocks):
      x = Block(self.size, self.tools, name=f'block{i}')(x, mode)
    return self.tools.classifier(name='classifier')(x[:, 0], train=mode.train)


class Block(nn.Module):
  """Attention and a perceptron, each normalized behind its addition.

  Attributes:
    size: of the network.
    tools: its layers.
  """

  NOT_EXPORTED: ClassVar[str] = (
    'weighs frames by a softmax (layer normalization and GELU follow)'
  )

  size: Size
  tools: toolbox.Toolbox

  @nn.compact
  def __call__(self, x: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `[B, T, C]` to the same shape."""
    unit, channels = self.tools.unit, self.size.channels
    projected = unit(3 * channels, name='query_key_value')(x, mode)
    attended = unit(channels, bias=True, name='output')(
      _attention(projected, self.size.heads), mode
    )
    x = nn.LayerNorm(epsilon=1e-5, name='norm0')(x + attended)
    y = unit(
      self.size.hidden, bias=True, activation='gelu', name='hidden'
    )(x, mode)
    y = unit(channels, bias=True, name='perceptron')(y, mode)
    return nn.LayerNorm(epsilon=1e-5, name='norm1')(x + y)


def _attention(projected: jax.Array, heads: int) -> jax.Array:
  """From queries, keys and values `[B, T, 3 C]` to `[B, T, C]`."""
  batch, tokens, width = projected.shape
  query, key, value = jnp.moveaxis(
    projected.reshape(batch, tokens, 3, heads, width // (3 * heads)), 2, 0
  )
  attended = nn.dot_product_attention(query, key, value)
  return attended.reshape(batch, tokens, -1)


def build(size: str, variant: str, classes: int, **settings: Any) -> Kwt:
  """Makes the network; see `variants.make` for all but `size`."""
  tools = variants.make(variant, classes, integers=False, **settings)
  return Kwt(toolbox.size(SIZES, size), tools)
