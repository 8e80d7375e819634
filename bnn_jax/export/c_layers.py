"""Each layer as C: its constants, and a function."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

import numpy as np

from bnn_jax.export import c_conv
from bnn_jax.export import c_memory
from bnn_jax.export import c_text
from bnn_jax.export import c_types
from bnn_jax.export import check
from bnn_jax.export import specs

_PRELU_ONE = 7


class Printed(NamedTuple):
  """A layer's text, and the line of `bnn_run` that runs it."""

  text: str
  call: str


def _plane(values: Sequence[int], absent: int = 1) -> tuple[int, int]:
  """What belongs to time and to frequency, which may be absent."""
  time, frequency = (*values, absent, absent)[:2]
  return time, frequency


class Printer:
  """Prints the layers of one network.

  Attributes:
    values: what `check.check` tells of its arrays.
    kinds: its types.
    offsets: places of its arrays.
  """

  def __init__(
    self, values: Mapping[str, check.Value], kinds: c_types.Types,
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

  def _extent(self, name: str) -> tuple[int, int]:
    return c_memory.extent(self.values[name])

  def _call(self, function: str, *arguments: object) -> list[str]:
    """A call, an argument a line."""
    rows = ',\n'.join(f'      {argument}' for argument in arguments)
    return [f'  {function}(', f'{rows});']

  def _thermometer(self, name, layer):
    frames, bins = self.values[layer.inputs[0]].shape
    before, behind = layer.around
    arrays = [c_text.array('uint8_t', f'{name}_thresholds', layer.thresholds)]
    return arrays, self._call(
      'thermometer', 'q', f'{name}_thresholds', before, frames, behind, bins,
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
    positions, channels = self._extent(layer.inputs[0])
    outputs, _ = self._extent(layer.name)
    # Without a kernel, all positions are like frames.
    read, given = (positions,), (outputs,)
    if layer.kernel:
      read = self.values[layer.inputs[0]].shape[:-1]
      given = self.values[layer.name].shape[:-1]
    fields = dict(zip(('frames', 'bins'), _plane(read), strict=True))
    for key, values, absent in (
      ('taps', layer.kernel, 1), ('stride', layer.strides, 1),
      ('dilation', layer.dilation, 1),
      ('before', [pair[0] for pair in layer.padding], 0),
    ):
      fields[key], fields[f'bin_{key}'] = _plane(values, absent)
    fields |= {
      'place_bytes': c_memory.bytes_of(channels),
      'positions': outputs,
      'columns': _plane(given)[1],
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
    factors, n = c_types.factors(layer)
    arrays = [
      c_text.array('Factor', f'{name}_factors', factors),
      c_text.array('int16_t', f'{name}_biases', layer.bias),
    ]
    return arrays, self._call(
      'shift_batch_norm', self._place(layer.inputs[0]), f'{name}_factors',
      f'{name}_biases', n, layer.stream.bits, *self._extent(layer.name),
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
      *self._extent(layer.name), self._place(layer.name),
    )

  def _shortcut(self, name, layer):
    del name
    *spatial, kept = self.values[layer.inputs[0]].shape
    *output, channels = self.values[layer.name].shape
    width = _plane(spatial)[1]
    step, bin_step = _plane(layer.strides)
    top, left = _plane([edge[0] for edge in layer.edges], 0)
    x = self._place(layer.inputs[0])
    if top or left:
      x = f'{x} + {(top * width + left) * kept}'
    return [], self._call(
      'shortcut', x, step * width * kept, bin_step * kept, *_plane(output),
      kept, channels, self._place(layer.name),
    )

  def _slice(self, name, layer):
    del name
    return [], self._call(
      'slice_channels', self._place(layer.inputs[0]), layer.start,
      *self._extent(layer.inputs[0]), layer.channels, self._place(layer.name),
    )

  def _reshape(self, name, layer):
    del name
    x, y = self._place(layer.inputs[0]), self._place(layer.name)
    value = self.values[layer.name]
    if value.kind == 'bits':
      return [], self._call(
        'reshape_bits', x, *self._extent(layer.inputs[0]), value.shape[-1], y
      )
    if x == y:
      return [], ['  /* It is there. */']
    return [], self._call('reshape_stream', x, c_memory.size(value), y)

  def _max_pool(self, name, layer):
    del name
    return [], self._call('max_pool', *self._windows(layer))

  def _average_pool(self, name, layer):
    del name
    *arguments, channels, y = self._windows(layer)
    return [], self._call(
      'average_pool', *arguments, layer.shift, channels, y
    )

  def _windows(self, layer):
    """The arguments of `max_pool`."""
    *spatial, channels = self.values[layer.inputs[0]].shape
    output = self.values[layer.name].shape[:-1]
    return (
      self._place(layer.inputs[0]), _plane(spatial)[1], *_plane(output),
      *_plane(layer.window), channels, self._place(layer.name),
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
      *self._extent(layer.name), self._place(layer.name),
    )

  def _rsign(self, name, layer):
    arrays = [c_text.array('Level', f'{name}_theta', layer.theta)]
    return arrays, self._call(
      'rsign', self._place(layer.inputs[0]), f'{name}_theta',
      *self._extent(layer.name), self._place(layer.name),
    )

  def _classifier(self, name, layer):
    signs = 2 * layer.weights.astype(np.int64) - 1
    arrays = [
      c_text.array('int8_t', f'{name}_weights', signs),
      c_text.array('int32_t', f'{name}_biases', layer.bias),
    ]
    return arrays, self._call(
      'classifier', self._place(layer.inputs[0]), f'{name}_weights',
      f'{name}_biases', *self._extent(layer.inputs[0]), 'logits',
    )
