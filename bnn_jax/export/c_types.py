"""The integers that hold the numbers of one network in C."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from bnn_jax.export import c_conv
from bnn_jax.export import check
from bnn_jax.export import specs

_SHORT = 2**15 - 1
_INT = 2**31 - 1


class Types(NamedTuple):
  """The narrowest integers that hold all of a network's, by use.

  Attributes:
    sum: a register before it saturates or is cut.
    tally: unequal lanes of a word.
    result: a convolution's results, and thresholds of them.
    stream: the streams.
    level: thresholds of a stream.
    step: of a stream times 2^7.
    factor: 2^s of a normalization, times what makes all integers.
    wide: such a product, with its bias.
  """

  sum: str
  tally: str
  result: str
  stream: str
  level: str
  step: str
  factor: str
  wide: str


def bytes_of(kind: str) -> int:
  """Size of a type such as 'int16_t'."""
  return int(kind.strip('uint_')) // 8


def types(model: specs.Model, values: Mapping[str, check.Value]) -> Types:
  """Chooses the types of a network.

  Args:
    model: the network.
    values: what `check.check` tells of its arrays.
  """
  convs = [one for one in model.layers if isinstance(one, specs.Conv)]
  plans = [c_conv.plan(one) for one in convs]
  sums = max((
    made.largest_sum(_magnitude(one.preload))
    for one, made in zip(convs, plans, strict=True)
  ), default=0)
  results = max((max(map(abs, made.results())) for made in plans), default=0)
  streams = [value.stream for value in values.values() if value.stream]
  bits = max((stream.bits for stream in streams), default=2)
  products = [_product(one, values) for one in model.layers
              if isinstance(one, specs.ShiftBatchNorm)]
  scales = [int(factors(one)[0].max()) for one in model.layers
            if isinstance(one, specs.ShiftBatchNorm)]
  # One value more than the largest result is a threshold that is never met.
  short = sums <= _SHORT
  return Types(
    sum='int16_t' if short else 'int32_t',
    tally='uint16_t' if short else 'uint32_t',
    result='int16_t' if results < _SHORT else 'int32_t',
    stream='int8_t' if bits <= 8 else 'int16_t',
    level='int16_t' if bits <= 15 else 'int32_t',
    step='int16_t' if bits <= 8 else 'int32_t',
    factor='int16_t' if max(scales, default=0) <= _SHORT else 'int32_t',
    wide=_narrowest(max(products, default=0)),
  )


def _narrowest(largest: int) -> str:
  """The type that holds a magnitude."""
  if largest <= _SHORT:
    return 'int16_t'
  return 'int32_t' if largest <= _INT else 'int64_t'


def _magnitude(array: np.ndarray | None) -> int:
  return 0 if array is None else int(np.abs(array.astype(np.int64)).max())


def factors(layer: specs.ShiftBatchNorm) -> tuple[np.ndarray, int]:
  """Powers of two that shift by multiplying, since C shifts no negatives.

  Args:
    layer: the normalization.

  Returns:
    2^(s + n) `[C]`, and n, for which shift(a, s) = floor(a * 2^(s + n) / 2^n).
  """
  n = max(0, -int(layer.shift.min()))
  return np.left_shift(1, layer.shift.astype(np.int64) + n), n


def _product(layer, values) -> int:
  """Bound of the normalization's product and sum."""
  conv = values[layer.inputs[0]].conv
  largest = max(map(abs, c_conv.plan(conv).results()))
  return largest * int(factors(layer)[0].max()) + _magnitude(layer.bias)


def scratch(
  model: specs.Model, values: Mapping[str, check.Value]
) -> dict[str, int]:
  """Elements of the arrays that hold one output or one frame.

  Args:
    model: the network.
    values: what `check.check` tells of its arrays.
  """
  convs = [one for one in model.layers if isinstance(one, specs.Conv)]
  plans = [c_conv.plan(one) for one in convs]

  def most(numbers):
    return max([1, *numbers])

  return {
    'units': most(
      len(c_conv.places(made, c_conv.UNIT, least=c_conv.NARROW + 1))
      for made in plans
    ),
    'halves': most(
      len(c_conv.places(made, c_conv.HALF, most=c_conv.NARROW))
      for made in plans
    ),
    'slices': most(
      len(c_conv.places(made, c_conv.SLICE))
      for one, made in zip(convs, plans, strict=True)
      if c_conv.is_for_vectors(one, made)
    ),
    'outputs': most(len(one.weights) // one.groups for one in convs),
    # One byte more, which a unit that begins within a byte reads.
    'operands': most(sum(one.words) // 8 + 2 for one in convs),
    'channels': most(
      values[layer.name].shape[-1] for layer in model.layers
    ),
  }


def typedefs(kinds: Types, sizes: Mapping[str, int]) -> str:
  """The types' names in C, and the constants of the convolutions."""
  lines = [
    f'typedef {kind} {name.capitalize()};'
    for name, kind in kinds._asdict().items()
  ]
  return '\n'.join([
    *lines, '', f'#define BNN_MOST_SLICES {sizes["slices"]}',
    f'#define BNN_NARROW {c_conv.NARROW}',
  ])
