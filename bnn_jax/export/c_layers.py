"""Each layer as C: its constants, a function, and the types of all of them."""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import numpy as np

from bnn_jax.export import c_conv
from bnn_jax.export import c_memory
from bnn_jax.export import c_text
from bnn_jax.export import check
from bnn_jax.export import specs

_SHORT = 2**15 - 1
_INT = 2**31 - 1
_PRELU_ONE = 7


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


class Printed(NamedTuple):
  """A layer's text, and the line of `bnn_run` that runs it."""

  text: str
  call: str


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
  factors = [int(_factors(one)[0].max()) for one in model.layers
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
    factor='int16_t' if max(factors, default=0) <= _SHORT else 'int32_t',
    wide=_narrowest(max(products, default=0)),
  )


def _narrowest(largest: int) -> str:
  """The type that holds a magnitude."""
  if largest <= _SHORT:
    return 'int16_t'
  return 'int32_t' if largest <= _INT else 'int64_t'


def _magnitude(array: np.ndarray | None) -> int:
  return 0 if array is None else int(np.abs(array.astype(np.int64)).max())


def _factors(layer: specs.ShiftBatchNorm) -> tuple[np.ndarray, int]:
  """Factors 2^(s + n) and n, with which floor(a * factor / 2^n)."""
  n = max(0, -int(layer.shift.min()))
  return np.left_shift(1, layer.shift.astype(np.int64) + n), n


def _product(layer, values) -> int:
  """Bound of the normalization's product and sum."""
  conv = values[layer.inputs[0]].conv
  largest = max(map(abs, c_conv.plan(conv).results()))
  return largest * int(_factors(layer)[0].max()) + _magnitude(layer.bias)


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
    'slices': most(len(c_conv.places(made, c_conv.SLICE)) for made in plans),
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


class Printer:
  """Prints the layers of one network.

  Attributes:
    values: what `check.check` tells of its arrays.
    kinds: its types.
    offsets: places of its arrays.
  """

  def __init__(
    self, values: Mapping[str, check.Value], kinds: Types,
    offsets: Mapping[str, int],
  ):
    self.values = values
    self.kinds = kinds
    self.offsets = offsets

  def layer(self, i: int, layer: specs.Layer) -> Printed:
    """One layer, the i-th.

    Args:
      i: its number, which makes names unique.
      layer: the layer.
    """
    name = f'{layer.KIND}_{i}'
    arrays, body = getattr(self, f'_{layer.KIND}')(name, layer)
    signature, arguments = 'void', ''
    if isinstance(layer, specs.Thermometer):
      signature, arguments = 'const uint8_t *q', 'q'
    if isinstance(layer, specs.Classifier):
      signature, arguments = 'int32_t *logits', 'logits'
    head = f'BNN_LAYER void run_{name}({signature}) {{'
    text = '\n'.join(
      [c_text.comment(layer.name), *arrays, '', head, *body, '}', '']
    )
    return Printed(text, f'  run_{name}({arguments});')

  def _place(self, name: str) -> str:
    return f'memory.{self.values[name].kind} + {self.offsets[name]}'

  def _call(self, function: str, *arguments: object) -> list[str]:
    """A call, an argument a line."""
    rows = ',\n'.join(f'      {argument}' for argument in arguments)
    return [f'  {function}(', f'{rows});']

  def _thermometer(self, name, layer):
    frames, bins = self.values[layer.inputs[0]].shape
    arrays = [c_text.array('uint8_t', f'{name}_thresholds', layer.thresholds)]
    return arrays, self._call(
      'thermometer', 'q', f'{name}_thresholds', frames, bins,
      layer.thresholds.shape[1], self._place(layer.name),
    )

  def _conv(self, name, layer):
    made = c_conv.plan(layer)
    constants = self._constants(layer, made)
    x, y = self._place(layer.inputs[0]), self._place(layer.name)
    plain, names = [], []
    for kind, part, weights in (
      ('uint64_t', 'units', c_conv.units(layer, made)),
      ('uint16_t', 'halves', c_conv.halves(layer, made)),
    ):
      names.append(f'{name}_{part}' if weights.size else 'NULL')
      if weights.size:
        plain.append(c_text.array(kind, names[-1], weights))
    preload = 'NULL'
    if layer.preload is not None:
      preload = f'{name}_preload'
      plain.append(c_text.array('Sum', preload, layer.preload))
    call = self._call(
      'conv_words', '&conv', *names, preload, x, y
    )
    if not c_conv.is_for_vectors(layer, made):
      return plain, [*constants, *call]
    arrays, vector_call = self._vectors(name, layer, made, x, y)
    return (
      ['#if LANES', *arrays, '#else', *plain, '#endif'],
      [*constants, '#if LANES', *vector_call, '#else', *call, '#endif'],
    )

  def _constants(self, layer, made):
    frames, channels = self.values[layer.inputs[0]].shape
    # Without a kernel there is one tap.
    axis = {
      'taps': layer.kernel, 'stride': layer.strides, 'dilation': layer.dilation,
    }
    fields = {
      'frames': frames,
      'frame_bytes': c_memory.frame_bytes(channels),
      'positions': self.values[layer.name].shape[0],
      **{key: value[0] if value else 1 for key, value in axis.items()},
      'before': layer.padding[0][0] if layer.padding else 0,
      'groups': layer.groups,
      'lanes': layer.weights.shape[-1],
      'outputs': len(layer.weights) // layer.groups,
      **dataclasses.asdict(made),
    }
    rows = [f'      .{key} = {value},' for key, value in fields.items()]
    return ['  static const Conv conv = {', *rows, '  };']

  def _vectors(self, name, layer, made, x, y):
    weights = c_conv.slices(layer, made)
    groups, slices, stride = weights.shape
    arrays = [c_text.array(
      'uint8_t', f'{name}_weights',
      np.pad(weights.ravel(), (0, c_conv.WIDEST)),
    )]
    preloads = ['NULL', 'NULL']
    if layer.preload is not None:
      rows = layer.preload.reshape(groups, -1)
      rows = np.pad(rows, ((0, 0), (0, stride - rows.shape[1])))
      narrow = made.saturates and made.bits <= 8 and made.full_lanes < 128
      arrays.append(c_text.array(
        'int8_t' if narrow else 'int16_t', f'{name}_preload',
        np.pad(rows.ravel(), (0, c_conv.WIDEST)),
      ))
      preloads[0 if narrow else 1] = f'{name}_preload'
    return arrays, self._call(
      'conv_lanes', '&conv', f'{name}_weights', stride, slices, *preloads, x, y
    )

  def _shift_batch_norm(self, name, layer):
    factors, n = _factors(layer)
    arrays = [
      c_text.array('Factor', f'{name}_factors', factors),
      c_text.array('int16_t', f'{name}_biases', layer.bias),
    ]
    return arrays, self._call(
      'shift_batch_norm', self._place(layer.inputs[0]), f'{name}_factors',
      f'{name}_biases', n, layer.stream.bits, *self.values[layer.name].shape,
      self._place(layer.name),
    )

  def _threshold(self, name, layer):
    made = c_conv.plan(self.values[layer.inputs[0]].conv)
    # In units of the result; a register never reaches more than its largest.
    levels = made.step * layer.thresholds.astype(np.int64) - made.offset
    low, high = made.results()
    arrays = [c_text.array(
      'Result', f'{name}_thresholds', np.clip(levels, low, high + 1)
    )]
    return arrays, self._call(
      'threshold', self._place(layer.inputs[0]), f'{name}_thresholds',
      *self.values[layer.name].shape, self._place(layer.name),
    )

  def _shortcut(self, name, layer):
    del name
    frames, channels = self.values[layer.name].shape
    read = self.values[layer.inputs[0]].shape[-1]
    x = self._place(layer.inputs[0])
    if layer.edges[0][0]:
      x = f'{x} + {layer.edges[0][0] * read}'
    return [], self._call(
      'shortcut', x, layer.strides[0], frames, read, channels,
      self._place(layer.name),
    )

  def _slice(self, name, layer):
    del name
    frames, channels = self.values[layer.inputs[0]].shape
    return [], self._call(
      'slice_channels', self._place(layer.inputs[0]), layer.start, frames,
      channels, layer.channels, self._place(layer.name),
    )

  def _add(self, name, layer):
    del name
    return [], self._call(
      'add', *map(self._place, layer.inputs), layer.stream.bits,
      c_memory.size(self.values[layer.name]), self._place(layer.name),
    )

  def _shift_prelu(self, name, layer):
    slopes = np.left_shift(1, _PRELU_ONE - layer.k.astype(np.int64))
    arrays = [
      c_text.array('Step', f'{name}_slopes', slopes),
      c_text.array('Stream', f'{name}_g', layer.g),
      c_text.array('Stream', f'{name}_h', layer.h),
    ]
    names = [f'{name}_slopes', f'{name}_g', f'{name}_h']
    return arrays, self._call(
      'shift_prelu', self._place(layer.inputs[0]), *names, layer.stream.bits,
      *self.values[layer.name].shape, self._place(layer.name),
    )

  def _rsign(self, name, layer):
    arrays = [c_text.array('Level', f'{name}_theta', layer.theta)]
    return arrays, self._call(
      'rsign', self._place(layer.inputs[0]), f'{name}_theta',
      *self.values[layer.name].shape, self._place(layer.name),
    )

  def _classifier(self, name, layer):
    signs = 2 * layer.weights.astype(np.int64) - 1
    arrays = [
      c_text.array('int8_t', f'{name}_weights', signs),
      c_text.array('int32_t', f'{name}_biases', layer.bias),
    ]
    return arrays, self._call(
      'classifier', self._place(layer.inputs[0]), f'{name}_weights',
      f'{name}_biases', *self.values[layer.inputs[0]].shape, 'logits',
    )
