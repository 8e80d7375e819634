"""The layer constructors that every published method takes as a field.

A method is written once, as its paper has it; `bnn_jax.models.variants` makes
the constructors of the published network and of its binary ones.

Shape letters: B batch, T frames, F mel bins, C channels, K operands.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any
from typing import NamedTuple
from typing import TypeVar

import flax.linen as nn
import jax

from bnn_jax import errors
from bnn_jax.nn import geometry
from bnn_jax.nn import stream_layers

Constructor = Callable[..., Any]
_Size = TypeVar('_Size')


class Mode(NamedTuple):
  """How a network is called.

  Attributes:
    train: compute with parameters, otherwise with deployed integers.
    progress: share of training done.
    frozen: in training, use the running statistics.
  """

  train: bool
  progress: float | jax.Array
  frozen: bool | jax.Array


class Network(nn.Module):
  """A published network; a subclass has its size and tools, and `classify`."""

  @nn.compact
  def __call__(
    self,
    q: jax.Array,
    *,
    train: bool,
    progress: float | jax.Array = 1.0,
    frozen: bool | jax.Array = False,
  ) -> jax.Array:
    """Classifies clips; as `speech_resnet.SpeechResNet`.

    Args:
      q: `[B, T, F]` uint8.
      train: see `bnn_jax.nn.layers`.
      progress: share of training done.
      frozen: in training, use the running statistics.

    Returns:
      `[B, N]` logits.
    """
    return self.classify(q, Mode(train, progress, frozen))

  def classify(self, q: jax.Array, mode: Mode) -> jax.Array:
    """From `q` `[B, T, F]` uint8 to logits `[B, N]`."""
    raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Toolbox:
  """Constructors of layers; those of the methods below take a `name`, too.

  Attributes:
    classes: N.
    encode: from q `[B, T, F]` to what the first product reads; takes
      `silence`, see `frames`.
    first: the first product; takes features, a kernel and geometry as
      `layers.BinaryConv`, and `bias`.
    product: any other product.
    norm: normalization behind a product, by the paper's: 'affine', 'center'
      (without factor), 'plain' (without factor and offset) or None.
    far_norm: the paper's normalizations that do not follow a product; as
      `norm`.
    activation: by the paper's: 'relu', 'prelu' (a slope for each channel),
      'shared_prelu', 'silu', 'gelu' or None.
    sign: in front of a product.
    add: of two streams.
    average: pool by means; takes the window.
    classifier: takes `bias`.
    dropout: takes the rate, and `channels` to drop whole ones.
    gain: behind a product where no normalization can stand; takes K.
    hold: computes its input once, see `stream_layers.Materialize`.
  """

  classes: int
  encode: Constructor
  first: Constructor
  product: Constructor
  norm: Constructor
  far_norm: Constructor
  activation: Constructor
  sign: Constructor
  add: Constructor
  average: Constructor
  classifier: Constructor
  dropout: Constructor
  gain: Constructor
  hold: Constructor

  def frames(
    self, q: jax.Array, silence: tuple[int, int] = (0, 0)
  ) -> jax.Array:
    """The encoded input for convolutions over time.

    Args:
      q: `[B, T, F]`.
      silence: frames of q = 0 before and after the clip.

    Returns:
      `[B, T, C]`; T with silence.
    """
    return self.encode(silence=silence, name='encode')(q)

  def image(self, q: jax.Array) -> jax.Array:
    """The encoded input for convolutions over both, `[B, T, F, C]`."""
    shape = (*q.shape[1:], -1)
    return stream_layers.Reshape(shape, name='image')(self.frames(q))

  def unit(self, *args: Any, **fields: Any) -> 'Unit':
    """A `Unit` of these constructors."""
    return Unit(self, *args, **fields)


class Unit(nn.Module):
  """Sign, product, normalization and activation.

  Attributes:
    tools: the constructors.
    features: output channels.
    kernel: one size for each spatial axis; () makes a dense layer.
    strides: one for all axes, or one each.
    padding: 'SAME', 'VALID' or (before, after) pairs.
    dilation: one for all axes, or one each.
    groups: channel groups.
    bias: whether the paper's product has one.
    norm: the paper's normalization, see `Toolbox.norm`.
    activation: the paper's, see `Toolbox.activation`.
    first: reads the encoded input.
  """

  tools: Toolbox
  features: int
  kernel: Sequence[int] = ()
  strides: int | Sequence[int] = 1
  padding: geometry.Padding = 'SAME'
  dilation: int | Sequence[int] = 1
  groups: int = 1
  bias: bool = False
  norm: str | None = None
  activation: str | None = None
  first: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
    """Maps `x` `[B, *spatial, C]`, or `[..., C]` if it is dense.

    Args:
      x: the stream, or the encoded input.
      mode: training or evaluation.

    Returns:
      The stream `[B, *output, features]`, or `[..., features]`.
    """
    tools = self.tools
    if not self.first:
      x = tools.sign(name='sign')(
        x, train=mode.train, progress=mode.progress
      )
      x = tools.hold()(x)
    product = (tools.first if self.first else tools.product)(
      self.features, tuple(self.kernel), strides=self.strides,
      padding=self.padding, dilation=self.dilation, groups=self.groups,
      bias=self.bias, name='product',
    )
    a = product(x, train=mode.train, progress=mode.progress)
    y = tools.norm(self.norm, name='norm')(
      tools.hold()(a), train=mode.train, frozen=mode.frozen
    )
    y = tools.activation(self.activation, name='activation')(
      y, train=mode.train
    )
    return tools.hold()(y)


def size(sizes: Mapping[str, _Size], name: str) -> _Size:
  """The entry `name` of a method's table of sizes, or a UserError."""
  if name not in sizes:
    raise errors.UserError(
      f'size={name!r} does not exist; choose one of {", ".join(sizes)}.'
    )
  return sizes[name]
