"""Our network: an all-binary residual net over time.

q -> thermometer -> stem -> residual blocks -> sum over time -> classifier.
Every product has +-1 operands; what flows between the blocks is a stream of
narrow integers, to which each block adds one normalized convolution:

  bits = sign(r);  a = conv(bits);  r = activation(saturate(r + norm(a)))

A convolution may be cut into parts along its input channels. Each part has its
own narrow sums, normalization and addition to the stream: the same products,
but operands of an output, and so its overflow, are fewer by their number.

Shape letters: B batch, T frames, F mel bins, C channels, N classes.
"""

from collections.abc import Callable
import dataclasses
import functools
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from bnn_jax import errors
from bnn_jax.models import rules
from bnn_jax.nn import activations
from bnn_jax.nn import float_layers
from bnn_jax.nn import integer
from bnn_jax.nn import layers
from bnn_jax.nn import rounded_norm
from bnn_jax.nn import shift_norm
from bnn_jax.nn import stream_layers

Constructor = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Stage:
  """Blocks that share a shape.

  Attributes:
    channels: C of its stream.
    blocks: how many; the first may change stride and channels.
    kernel: taps of each convolution.
    stride: of the first block.
    dilation: of all its convolutions.
    groups: channel groups of its convolutions.
    parts: of each convolution, see the module's head.
  """

  channels: int
  blocks: int
  kernel: int = 3
  stride: int = 1
  dilation: int = 1
  groups: int = 1
  parts: int = 1


@dataclasses.dataclass(frozen=True)
class Stem:
  """The first convolution, from the encoded input to the stream.

  Attributes:
    channels: C of the stream.
    kernel: taps.
    stride: step between its outputs.
    groups: slices of the mel axis, each for its share of the channels.
    parts: slices of the mel axis, each for all channels.
  """

  channels: int
  kernel: int = 3
  stride: int = 2
  groups: int = 1
  parts: int = 1


class Block(nn.Module):
  """One convolution added to the stream.

  Attributes:
    stage: its shape.
    stride: of this block.
    conv: constructor of the convolution.
    norm: constructor of the normalization.
    activation: constructor of the activation of the stream.
    sign: constructor of the sign that makes the following bits; None where
      no convolution follows.
    add: constructor of the sum of two streams.
    padding: 'SAME' or 'VALID'.
  """

  stage: Stage
  stride: int
  conv: Constructor
  norm: Constructor
  activation: Constructor
  sign: Constructor | None
  add: Constructor
  padding: str = 'SAME'

  @nn.compact
  def __call__(
    self, stream: jax.Array, bits: jax.Array, *, train: bool, **schedule: Any
  ) -> tuple[jax.Array, jax.Array | None]:
    """Adds its convolution.

    Args:
      stream: `[B, T, C]`.
      bits: `[B, T, C]`, the stream's signs.
      train: see `bnn_jax.nn.layers`.
      **schedule: `progress` and `frozen` of the training.

    Returns:
      The new stream and its bits, both `[B, T / stride, channels]`, less the
      frames at the edges where there is no padding.
    """
    shortcut = stream_layers.Shortcut(
      self.stride, self.stage.channels, self._crop(), name='shortcut'
    )(stream)
    layers_behind = _Tail(
      self.stage.parts, self.norm, self.activation, self.sign, self.add,
      name='tail',
    )

    def tail(a):
      return layers_behind(a, shortcut, train=train, **schedule)

    parts = self.stage.parts
    a = self.conv(
      self.stage.channels * parts, (self.stage.kernel,), strides=self.stride,
      dilation=self.stage.dilation, groups=_groups(self.stage, bits),
      padding=self.padding, name='conv',
    )(
      bits,
      following=(lambda a: tail(a)[1]) if self.sign else None,
      train=train, progress=schedule['progress'],
    )
    return tail(a)

  def _crop(self) -> tuple[tuple[int, int], ...] | None:
    """Leaves the shortcut the frames under the kernel's middle."""
    if self.padding == 'SAME':
      return None
    around = (self.stage.kernel - 1) * self.stage.dilation
    return ((around // 2, around - around // 2),)


class _Tail(nn.Module):
  """From a convolution's result to the stream and its bits."""

  parts: int
  norm: Constructor
  activation: Constructor
  sign: Constructor | None
  add: Constructor

  @nn.compact
  def __call__(self, a, shortcut, *, train, progress, frozen):
    a = stream_layers.Materialize()(a)
    y = self.norm(name='norm')(a, train=train, frozen=frozen)
    if shortcut is not None or self.parts > 1:
      y = stream_layers.Materialize()(y)
    total = stream_layers.Materialize()(self._sum(y, shortcut, train))
    stream = self.activation(name='activation')(total, train=train)
    stream = stream_layers.Materialize()(stream)
    if self.sign is None:
      return stream, None
    bits = self.sign(name='sign')(stream, train=train, progress=progress)
    return stream, stream_layers.Materialize()(bits)

  def _sum(self, y, total, train):
    """Adds the parts of `y` to `total`, which may be None, one by one."""
    for i, part in enumerate(self._cut(y, train)):
      if total is None:
        total = part
      else:
        total = self.add(name=f'add{i}')(total, part)
    return total

  def _cut(self, y, train):
    """The parts of `y`; the gradient of one split is quicker than slices'."""
    if self.parts == 1:
      return [y]
    if train:
      return jnp.split(y, self.parts, axis=-1)
    channels = y.shape[-1] // self.parts
    return [
      stream_layers.Slice(i * channels, channels, name=f'part{i}')(y)
      for i in range(self.parts)
    ]


class SpeechResNet(nn.Module):
  """The network.

  Attributes:
    stem: its first convolution.
    stages: its blocks.
    encode: constructor of the input's encoding.
    conv: constructor of the convolutions.
    norm: constructor of the normalizations.
    activation: constructor of the activations of the stream.
    sign: constructor of the signs between stream and convolutions.
    classifier: constructor of the classifier.
    add: constructor of the sum of two streams.
    padding: of the convolutions, 'SAME' or 'VALID'. Without padding, a window
      of a longer input has the logits that it has alone.
  """

  stem: Stem
  stages: tuple[Stage, ...]
  encode: Constructor
  conv: Constructor
  norm: Constructor
  activation: Constructor
  sign: Constructor
  classifier: Constructor
  add: Constructor
  padding: str = 'SAME'

  @nn.compact
  def __call__(
    self,
    q: jax.Array,
    *,
    train: bool,
    progress: float | jax.Array = 1.0,
    frozen: bool | jax.Array = False,
  ) -> jax.Array:
    """Classifies clips.

    Args:
      q: `[B, T, F]` uint8, the quantized features.
      train: compute with parameters, otherwise with deployed integers.
      progress: share of training done.
      frozen: in training, use the running statistics.

    Returns:
      `[B, N]` logits.
    """
    schedule = {'progress': progress, 'frozen': frozen}
    layers_behind = _Tail(
      self.stem.parts, self.norm, self.activation, self.sign, self.add,
      name='stem_tail',
    )

    def tail(a):
      return layers_behind(a, None, train=train, **schedule)

    bits = self.encode(name='encode')(q)
    a = self.conv(
      self.stem.channels * self.stem.parts, (self.stem.kernel,),
      strides=self.stem.stride, groups=_groups(self.stem, bits),
      padding=self.padding, name='stem',
    )(
      bits,
      following=lambda a: tail(a)[1],
      train=train, progress=progress,
    )
    stream, bits = tail(a)
    blocks = _unrolled(self.stages)
    for i, (stage, stride) in enumerate(blocks):
      sign = self.sign if i < len(blocks) - 1 else None
      stream, bits = Block(
        stage, stride, self.conv, self.norm, self.activation, sign, self.add,
        self.padding, name=f'block{i}',
      )(stream, bits, train=train, **schedule)
    return self.classifier(name='classifier')(stream, train=train)


def _groups(shape: Stem | Stage, bits: jax.Array) -> int:
  """Groups of a convolution that is cut into its parts."""
  if shape.groups > 1 < shape.parts:
    raise errors.UserError(
      f'a convolution of {shape.groups} groups is not cut into {shape.parts} '
      'parts; choose model.parts=1 (config string parts=1), or g or p of '
      'model.shape, not both.'
    )
  groups = shape.groups * shape.parts
  if bits.shape[-1] % groups:
    raise errors.UserError(
      f'a convolution of {bits.shape[-1]} input channels cannot be cut into '
      f'{groups} slices (its parts times its groups); choose another '
      'model.parts, or p and g of model.shape.'
    )
  return groups


def _unrolled(stages: tuple[Stage, ...]) -> list[tuple[Stage, int]]:
  """(stage, stride) of every block."""
  return [
    (stage, stage.stride if i == 0 else 1)
    for stage in stages
    for i in range(stage.blocks)
  ]


# Stem and stages by size.
SIZES: dict[str, tuple[Stem, tuple[Stage, ...]]] = {
  'S': (
    Stem(48, kernel=3, stride=4, parts=4),
    (Stage(48, 2, kernel=5), Stage(64, 2, stride=2)),
  ),
  'M': (
    Stem(96, kernel=3, stride=4, parts=4),
    (Stage(96, 2, kernel=5), Stage(128, 2, stride=2)),
  ),
  'L': (
    Stem(192, kernel=3, stride=4, parts=4),
    (Stage(192, 2, kernel=5), Stage(256, 3, stride=2)),
  ),
}


# Letters behind the numbers of a shape, and the fields that they set.
_FIELDS = {
  'k': 'kernel', 's': 'stride', 'd': 'dilation', 'g': 'groups', 'p': 'parts',
}


def parse_shape(shape: str) -> tuple[Stem, tuple[Stage, ...]]:
  """Reads a stem and stages from text.

  Args:
    shape: the stem's channels, then for each stage '-', its channels, 'x' and
      its blocks. A letter and a number behind either set another field: k
      (kernel), s (stride), d (dilation, of stages), g (groups), p (parts).
      '96k3s4p4-96x2k5-128x2s2' is the size M.

  Returns:
    What a value of `SIZES` holds.

  Raises:
    UserError: it is no such text.
  """
  number = '[1-9][0-9]*'
  stem, *stages = shape.split('-')
  is_stem = re.fullmatch(f'{number}([ksgp]{number})*', stem)
  are_stages = [
    re.fullmatch(f'{number}x{number}([ksdgp]{number})*', stage)
    for stage in stages
  ]
  if not (is_stem and stages and all(are_stages)):
    raise errors.UserError(
      f"model.shape={shape!r} is not understood; write a stem and stages such "
      "as '96k3s4p4-96x2k5-128x2s2'."
    )
  return Stem(**_fields(stem)), tuple(
    Stage(blocks=int(re.split('[a-z]', stage)[1]), **_fields(stage))
    for stage in stages
  )


def _fields(text: str) -> dict[str, int]:
  """Channels, and what letters set, of a stem or stage."""
  pairs = re.findall('([ksdgp])([0-9]+)', text)
  fields = {_FIELDS[letter]: int(value) for letter, value in pairs}
  return {'channels': int(re.split('[a-z]', text)[0])} | fields


def build(
  size: str,
  variant: str,
  classes: int,
  *,
  accumulator: layers.Accumulators,
  stream: integer.StreamFormat,
  levels: int,
  norm_variant: str,
  weight_gradient: str,
  activation_gradient: str,
  padding: str = 'same',
  learn_preload: bool = False,
  gate_share: float = 0.0,
  shape: str = '',
  parts: int = 1,
  rule: str = rules.OURS,
) -> SpeechResNet:
  """Makes the network.

  Args:
    size: a name in `SIZES`.
    variant: 'float' (the real-valued twin), 'binary' (exact accumulators of
      the given width) or 'overflow' (the accumulators as given).
    classes: N.
    accumulator: of all convolutions, or by their paths.
    stream: format of the residual stream.
    levels: thermometer thresholds of each mel bin.
    norm_variant: of `shift_norm.ShiftBatchNorm`, or 'real' for a
      `rounded_norm.RoundedBatchNorm`.
    weight_gradient: pseudo-gradient of the weights' signs.
    activation_gradient: pseudo-gradient of the activations' signs.
    padding: 'same', or 'valid' for continuous listening.
    learn_preload: of `layers.BinaryConv`.
    gate_share: of `layers.BinaryConv`.
    shape: instead of the size, see `parse_shape`; '' for the size.
    parts: times those of the size or shape.
    rule: of variant 'binary': `rules.OURS`, or a name in `rules.RULES` for
      the layers of that paper.

  Returns:
    The unbound module.

  Raises:
    UserError: a size or rule that does not exist, a shape that is not
      understood, or a rule of another variant.
  """
  if size not in SIZES:
    raise errors.UserError(
      f'size={size!r} does not exist; choose one of {", ".join(SIZES)}.'
    )
  whole = parse_shape(shape) if shape else SIZES[size]
  stem, stages = _in_parts(parts, *whole)
  if rule != rules.OURS:
    _check_rule(rule, variant)
    return SpeechResNet(
      stem, stages, padding=padding.upper(),
      **rules.constructors(rule, classes, levels),
    )
  if variant == 'float':
    return SpeechResNet(
      stem, stages, encode=float_layers.Scale, conv=float_layers.FloatConv,
      norm=float_layers.BatchNorm, activation=float_layers.PReLU,
      sign=float_layers.Identity,
      classifier=functools.partial(float_layers.Classifier, classes),
      add=float_layers.Add, padding=padding.upper(),
    )
  return SpeechResNet(
    stem, stages,
    encode=functools.partial(layers.Thermometer, levels),
    conv=functools.partial(
      layers.BinaryConv, accumulator=accumulator,
      weight_gradient=weight_gradient, learn_preload=learn_preload,
      gate_share=gate_share,
    ),
    norm=_norm(norm_variant, stream),
    activation=functools.partial(activations.ShiftPReLU, stream=stream),
    sign=functools.partial(
      activations.RSign, stream=stream, gradient=activation_gradient
    ),
    classifier=functools.partial(
      layers.BinaryClassifier, classes, stream=stream
    ),
    add=functools.partial(stream_layers.Add, stream=stream),
    padding=padding.upper(),
  )


def _in_parts(
  parts: int, stem: Stem, stages: tuple[Stage, ...]
) -> tuple[Stem, tuple[Stage, ...]]:
  """The same with so many times the parts."""
  if parts < 1:
    raise errors.UserError(
      f'model.parts={parts} is not positive; set it to at least 1.'
    )
  stem = dataclasses.replace(stem, parts=stem.parts * parts)
  return stem, tuple(
    dataclasses.replace(stage, parts=stage.parts * parts) for stage in stages
  )


def _check_rule(rule: str, variant: str) -> None:
  """Refuses a paper's rule where signs are ours, or none."""
  if variant != 'binary':
    raise errors.UserError(
      f'model.rule={rule!r} is one of exact sums and has no '
      f'variant={variant}; choose variant=binary, or the rule '
      f'{rules.OURS!r}.'
    )


def _norm(variant: str, stream: integer.StreamFormat) -> Constructor:
  """Constructor of the normalizations of a binarized network."""
  if variant == 'real':
    return functools.partial(rounded_norm.RoundedBatchNorm, stream=stream)
  return functools.partial(
    shift_norm.ShiftBatchNorm, stream=stream, variant=variant
  )
