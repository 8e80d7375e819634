"""MHAtt-RNN: recurrent units, and attention from the middle frame.

Rybakov et al., "Streaming Keyword Spotting on Mobile Devices", Interspeech 2020
(arXiv 2005.06720), after Andrade et al. 2018 (arXiv 1808.08929). Recurrence and
attention are no part of the arithmetic of docs/arithmetic.md: the stream of
variant 'overflow' is real, and no binary variant is exported.

Shape letters: B batch, T frames, F features, H heads, C channels, N classes.
"""

from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bnn_jax.models import recurrent
from bnn_jax.models import toolbox
from bnn_jax.models import variants


class Size(NamedTuple):
  """Shape of a network.

  Attributes:
    dense: outputs of the hidden layers behind the attention; all but the first
      are without activation.
    convolutions: their channels.
    units: of each direction of both recurrent layers.
    heads: H.
  """

  dense: tuple[int, ...]
  convolutions: tuple[int, ...] = (10, 1)
  units: int = 128
  heads: int = 4


# Of the paper, and of the authors' later experiments.
SIZES = {'paper': Size((64, 32)), 'new': Size((64,))}


class MhattRnn(toolbox.Network):
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
        channels, (5, 1), bias=True, activation='relu', first=i == 0,
        name=f'conv{i}',
      )(x, mode)
      x = tools.far_norm('affine', name=f'norm{i}')(
        x, train=mode.train, frozen=mode.frozen
      )
    x = x.reshape(*x.shape[:2], -1)
    for i in range(2):
      x = recurrent.Bidirectional(self.size.units, tools, name=f'gru{i}')(
        x, mode
      )
    x = self._attend(x, mode)
    x = tools.dropout(0.2, name='dropout')(x, train=mode.train)
    for i, width in enumerate(self.size.dense):
      x = tools.unit(
        width, bias=True, activation=None if i else 'relu', name=f'dense{i}'
      )(x, mode)
    return tools.classifier(name='classifier')(x, train=mode.train)

  def _attend(self, x, mode):
    """Means over time by each head's weights, `[B, T, C]` to `[B, H C]`."""
    channels, heads = x.shape[-1], self.size.heads
    query = self.tools.unit(heads * channels, bias=True, name='query')(
      x[:, x.shape[1] // 2], mode
    )
    query = query.reshape(-1, heads, channels)
    weights = jax.nn.softmax(jnp.einsum('bhc,btc->bht', query, x))
    attended = jnp.einsum('bht,btc->bhc', weights, x)
    return attended.reshape(-1, heads * channels)


def build(size: str, variant: str, classes: int, **settings: Any) -> MhattRnn:
  """Makes the network; see `variants.make` for all but `size`."""
  tools = variants.make(variant, classes, integers=False, **settings)
  return MhattRnn(toolbox.size(SIZES, size), tools)
