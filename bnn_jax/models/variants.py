"""The layers of each variant of a published method.

A method's binary networks are its file with other constructors. What they
change, and nothing else:

- Convolutions, dense layers, recurrent and attention projections have weights
  and inputs of +-1 and sum them in an accumulator. Attention scores, softmax
  and the element-wise part of gates stay real.
- A sign with a learned threshold stands in front of each product, and a PReLU
  where the paper has a ReLU: behind a ReLU nothing is negative, and a sign of
  it would be +1 throughout.
- A batch normalization stands right behind each product, in place of its bias
  and of the paper's normalizations, since a sum of K products of +-1 has a
  deviation of sqrt(K).
- The input is encoded by thermometers. The last layer has weights of +-1 and
  reads the numbers of the stream.
- There is no dropout: signs are noise enough, and a stream of integers has no
  place for its factor.

Variants: 'float', as published; 'binary', with registers that never overflow
and real normalizations; 'binary_firstlast8', the same with weights and inputs
of 8 bits in the first and last layer, as most papers have it; 'overflow', with
the registers given and shift batch norm. In 'overflow' the stream holds the
integers of docs/arithmetic.md, section 7, unless the method has parts that the
section does not know; its stream then is real.

Shape letters: B batch, C channels, K operands, N classes.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax

from bnn_jax import errors
from bnn_jax.models import toolbox
from bnn_jax.nn import activations
from bnn_jax.nn import float_layers
from bnn_jax.nn import integer
from bnn_jax.nn import layers
from bnn_jax.nn import pooling
from bnn_jax.nn import quantized_layers
from bnn_jax.nn import shift_norm
from bnn_jax.nn import stream_layers
from bnn_jax.nn import twin_layers

VARIANTS = ('float', 'binary', 'overflow', 'binary_firstlast8')


def make(
  variant: str,
  classes: int,
  *,
  accumulator: layers.Accumulators,
  stream: integer.StreamFormat,
  levels: int,
  norm_variant: str,
  weight_gradient: str,
  activation_gradient: str,
  learn_preload: bool = False,
  gate_share: float = 0.0,
  integers: bool = True,
) -> toolbox.Toolbox:
  """Makes the constructors of a variant.

  Args:
    variant: one of `VARIANTS`.
    classes: N.
    accumulator: of all products, or by their paths.
    stream: format of integers of the stream.
    levels: thermometer thresholds of each mel bin.
    norm_variant: of `shift_norm.ShiftBatchNorm`.
    weight_gradient: pseudo-gradient of the weights' signs.
    activation_gradient: pseudo-gradient of the activations' signs.
    learn_preload: of `layers.BinaryConv`.
    gate_share: of `layers.BinaryConv`.
    integers: whether the method can do with a stream of integers.

  Returns:
    The constructors.

  Raises:
    UserError: a variant that does not exist.
  """
  if variant not in VARIANTS:
    raise errors.UserError(
      f'variant={variant!r} does not exist for this network; choose one of '
      f'{", ".join(VARIANTS)}.'
    )
  if variant == 'float':
    return as_published(classes)
  product = functools.partial(
    _binary_product, accumulator=accumulator,
    weight_gradient=weight_gradient, learn_preload=learn_preload,
    gate_share=gate_share,
  )
  binary = _binary(classes, product, levels, activation_gradient)
  if variant == 'binary_firstlast8':
    return _with_8_bits(binary, stream)
  if variant == 'binary':
    return binary
  norm = (
    shift_norm.ShiftBatchNorm if integers else twin_layers.RealShiftBatchNorm
  )
  binary = dataclasses.replace(
    binary, norm=lambda kind, name: norm(stream, norm_variant, name=name)
  )
  if integers:
    return _with_integers(binary, stream, activation_gradient)
  return binary


def as_published(classes: int) -> toolbox.Toolbox:
  """The constructors of the published network; `classes` is N."""
  return toolbox.Toolbox(
    classes=classes,
    encode=float_layers.Scale,
    first=float_layers.FloatConv,
    product=float_layers.FloatConv,
    norm=_float_norm,
    far_norm=_float_norm,
    activation=_float_activation,
    sign=float_layers.Identity,
    add=float_layers.Add,
    average=pooling.AveragePool,
    classifier=functools.partial(float_layers.Classifier, classes),
    dropout=float_layers.Dropout,
    gain=_nothing,
    hold=float_layers.Identity,
  )


def _binary(classes, product, levels, activation_gradient) -> toolbox.Toolbox:
  """Binary products, real stream."""
  return toolbox.Toolbox(
    classes=classes,
    encode=functools.partial(layers.Thermometer, levels),
    first=product,
    product=product,
    norm=lambda kind, name: float_layers.BatchNorm(name=name),
    far_norm=_nothing,
    activation=_real_activation,
    sign=functools.partial(
      twin_layers.RealSign, gradient=activation_gradient
    ),
    add=float_layers.Add,
    average=pooling.AveragePool,
    classifier=_without_bias_field(
      functools.partial(twin_layers.SignClassifier, classes)
    ),
    dropout=_nothing,
    gain=twin_layers.Gain,
    hold=stream_layers.Materialize,
  )


def _with_8_bits(
  binary: toolbox.Toolbox, stream: integer.StreamFormat
) -> toolbox.Toolbox:
  """The same with 8-bit operands in the first and last layer."""
  return dataclasses.replace(
    binary,
    encode=float_layers.Scale,
    first=_without_bias_field(quantized_layers.QuantizedConv),
    classifier=_without_bias_field(functools.partial(
      quantized_layers.QuantizedClassifier, binary.classes, stream=stream
    )),
  )


def _with_integers(binary, stream, gradient) -> toolbox.Toolbox:
  """The same with a stream of integers."""
  return dataclasses.replace(
    binary,
    activation=functools.partial(_integer_activation, stream=stream),
    sign=functools.partial(activations.RSign, stream, gradient),
    add=functools.partial(stream_layers.Add, stream),
    average=pooling.IntegerAveragePool,
    classifier=_without_bias_field(
      functools.partial(layers.BinaryClassifier, binary.classes, stream)
    ),
  )


def _binary_product(features, kernel, *, bias, **fields):
  """A convolution whose bias, if it has any, is the normalization's."""
  del bias
  return layers.BinaryConv(features, kernel, **fields)


def _without_bias_field(
  constructor: toolbox.Constructor,
) -> toolbox.Constructor:
  """A constructor that takes `bias` and does not heed it."""
  def construct(*args, bias=True, **fields):
    """The same layer with a bias or without."""
    del bias
    return constructor(*args, **fields)
  return construct


def _nothing(*args: Any, name: str | None = None, **fields: Any) -> nn.Module:
  """Stands where a variant has no such layer."""
  del args, fields
  return float_layers.Identity(name=name)


_FLOAT_NORMS: dict[str, toolbox.Constructor] = {
  'affine': float_layers.BatchNorm,
  'center': functools.partial(float_layers.BatchNorm, scale=False),
  'plain': functools.partial(
    float_layers.BatchNorm, scale=False, center=False
  ),
}
_SMOOTH: dict[str, Callable[[jax.Array], jax.Array]] = {
  'silu': jax.nn.silu,
  'gelu': functools.partial(jax.nn.gelu, approximate=False),
}


_PRELUS: dict[str, toolbox.Constructor] = {
  name: float_layers.PReLU for name in ('relu', 'prelu', 'shared_prelu')
}


def _float_norm(kind: str | None, name: str) -> nn.Module:
  if kind is None:
    return _nothing(name=name)
  return _FLOAT_NORMS[kind](name=name)


def _float_activation(kind: str | None, name: str) -> nn.Module:
  if kind == 'relu':
    return float_layers.Elementwise(jax.nn.relu, name=name)
  if kind == 'shared_prelu':
    return float_layers.PReLU(shared=True, name=name)
  return _real_activation(kind, name)


def _real_activation(kind: str | None, name: str) -> nn.Module:
  """A PReLU, but for what stays as the paper has it."""
  if kind is None:
    return _nothing(name=name)
  if kind in _SMOOTH:
    return float_layers.Elementwise(_SMOOTH[kind], name=name)
  return _PRELUS[kind](name=name)


def _integer_activation(
  kind: str | None, name: str, *, stream: integer.StreamFormat
) -> nn.Module:
  if kind is None:
    return _nothing(name=name)
  return activations.ShiftPReLU(stream, name=name)
