"""Whether the layers of an exported network fit together.

Shape letters: C input channels, N outputs, T frames, F mel bins.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import itertools
import math
from typing import NoReturn

import numpy as np

from bnn_jax import errors
from bnn_jax.export import limits
from bnn_jax.export import settings
from bnn_jax.export import specs


@dataclasses.dataclass(frozen=True)
class Value:
  """What is known of the array that a layer gives.

  Attributes:
    shape: of one clip, channels last.
    kind: 'input', 'bits', 'result', 'stream' or 'logits'.
    stream: its format, of a stream.
    conv: what made it, of a result.
  """

  shape: tuple[int, ...]
  kind: str
  stream: specs.Stream | None = None
  conv: specs.Conv | None = None


def check(model: specs.Model) -> dict[str, Value]:
  """Checks a network.

  Args:
    model: the network.

  Returns:
    What each layer gives, by its name, and the input.

  Raises:
    UserError: a layer does not fit the arrays that it reads, or an array of
      its own, or a setting of the front end is not possible; the message
      names the layer and the field.
  """
  form = model.input
  _check_input(form)
  settings.check(model.front_end)
  values = {specs.INPUT: Value((form.frames, form.bins), 'input')}
  for layer in model.layers:
    if layer.name in values:
      _fail(layer, 'name', 'is that of an earlier array')
    _check_arrays(layer)
    inputs = _inputs(layer, values)
    if isinstance(layer, specs.Thermometer):
      _check_thresholds(layer, form.bits)
    value = _value(layer, inputs)
    if math.prod(value.shape) > limits.VALUES or min(value.shape) < 1:
      _fail(layer, 'shape', f'{list(value.shape)} is not possible')
    values[layer.name] = value
  if not model.layers or not isinstance(model.layers[-1], specs.Classifier):
    raise errors.UserError(
      'layers: the last one is no classifier; export the network again.'
    )
  classes = len(model.layers[-1].bias)
  if classes != len(model.class_names):
    raise errors.UserError(
      f'class_names: {len(model.class_names)} names do not fit {classes} '
      'logits; export the network again.'
    )
  return values


def _fail(layer: specs.Layer, field: str, problem: str) -> NoReturn:
  raise errors.UserError(
    f'layer {layer.name}, field {field}: {problem}; export the network again.'
  )


def _check_input(form: specs.Input) -> None:
  if not (1 <= form.bits <= 8 and -100 <= form.exponent <= 100
          and math.isfinite(form.lo)):
    raise errors.UserError(
      f'input: {form.bits} bits with lo={form.lo} and '
      f'exponent={form.exponent} are not possible; export the network again.'
    )
  size = form.frames * form.bins
  if min(form.frames, form.bins) < 1 or size > limits.VALUES:
    raise errors.UserError(
      f'input: {form.frames} frames of {form.bins} bins are not possible; '
      'export the network again.'
    )


def _check_arrays(layer: specs.Layer) -> None:
  """Number of axes, and values within their width."""
  for name, width in layer.widths().items():
    array = getattr(layer, name)
    if array.ndim != len(width.axes) or not array.size:
      _fail(layer, name, f'shape {list(array.shape)} is not {width.axes}')
    low, high = range_of(width)
    if int(array.min()) < low or int(array.max()) > high:
      _fail(layer, name, f'a value is not in [{low}, {high}]')
  if isinstance(layer, specs.RSign):
    _check_threshold(layer, 'theta', layer.theta, layer.stream.bits)
  if isinstance(layer, specs.Threshold):
    _check_threshold(
      layer, 'thresholds', layer.thresholds, layer.register_bits
    )


def range_of(width: specs.Width) -> tuple[int, int]:
  """Lowest and highest value of a width."""
  if width.signed:
    return -(2 ** (width.bits - 1)), 2 ** (width.bits - 1) - 1
  return 0, 2**width.bits - 1


def _check_threshold(layer, name: str, array: np.ndarray, bits: int) -> None:
  limit = 2 ** (bits - 1)
  if int(array.min()) < -limit or int(array.max()) > limit:
    _fail(layer, name, f'a threshold is not in [{-limit}, {limit}]')


def _check_thresholds(layer: specs.Thermometer, bits: int) -> None:
  if layer.input_bits != bits:
    _fail(layer, 'input_bits', f'{layer.input_bits} is not {bits} of q')
  rows = layer.thresholds
  if rows.min() < 1 or (np.diff(rows, axis=1) < 1).any():
    _fail(layer, 'thresholds', 'a row does not ascend from 1 or more')
  _check_edges(layer, 'silence', [layer.around])


def _check_edges(layer, name: str, pairs) -> None:
  edges = (0, *itertools.chain.from_iterable(pairs))
  if min(edges) < 0 or max(edges) > limits.EDGE:
    _fail(layer, name, f'{pairs} is not possible')


def _inputs(
  layer: specs.Layer, values: Mapping[str, Value]
) -> list[Value]:
  expected = 2 if isinstance(layer, specs.Add) else 1
  if len(layer.inputs) != expected:
    _fail(layer, 'inputs', f'there are {len(layer.inputs)}, not {expected}')
  for name in layer.inputs:
    if name not in values:
      _fail(layer, 'inputs', f'no earlier layer is named {name!r}')
  return [values[name] for name in layer.inputs]


def _value(layer: specs.Layer, inputs: Sequence[Value]) -> Value:
  """What the layer gives."""
  x = inputs[0]
  channels = x.shape[-1:]
  match layer:
    case specs.Thermometer():
      _need(layer, x, 'input')
      _shape(layer, 'thresholds', layer.thresholds.shape[:1], channels)
      frames = x.shape[0] + sum(layer.around)
      return Value((frames, layer.thresholds.size), 'bits')
    case specs.Conv():
      _need(layer, x, 'bits')
      return Value(_conv_shape(layer, x), 'result', conv=layer)
    case specs.ShiftBatchNorm():
      _need(layer, x, 'result')
      _check_stream(layer, layer.stream)
      _shape(layer, 'shift', layer.shift.shape, channels)
      _shape(layer, 'bias', layer.bias.shape, channels)
      return Value(x.shape, 'stream', layer.stream)
    case specs.Threshold():
      _need(layer, x, 'result')
      _shape(layer, 'thresholds', layer.thresholds.shape, channels)
      if x.conv is None or layer.register_bits != x.conv.register_bits:
        _fail(layer, 'register_bits', 'is not the width of the register')
      return Value(x.shape, 'bits')
    case specs.Shortcut():
      return Value(_shortcut_shape(layer, x), 'stream', x.stream)
    case specs.Slice():
      return Value(_slice_shape(layer, x), 'stream', x.stream)
    case specs.Reshape():
      return Value(_new_shape(layer, x), x.kind, x.stream)
    case specs.MaxPool() | specs.AveragePool():
      return Value(_pool_shape(layer, x), 'stream', x.stream)
    case specs.Add():
      for y in inputs:
        _need(layer, y, 'stream', layer.stream)
        _shape(layer, 'inputs', y.shape, x.shape)
      return Value(x.shape, 'stream', layer.stream)
    case specs.ShiftPReLU():
      _need(layer, x, 'stream', layer.stream)
      for name in layer.widths():
        _shape(layer, name, getattr(layer, name).shape, channels)
      return Value(x.shape, 'stream', layer.stream)
    case specs.RSign():
      _need(layer, x, 'stream', layer.stream)
      _shape(layer, 'theta', layer.theta.shape, channels)
      return Value(x.shape, 'bits')
    case specs.Classifier():
      return _logits(layer, x)


def _need(
  layer: specs.Layer, value: Value, kind: str,
  stream: specs.Stream | None = None,
) -> None:
  if value.kind != kind:
    _fail(layer, 'inputs', f'it reads {value.kind}, not {kind}')
  if stream is not None and value.stream != stream:
    _fail(layer, 'stream', f'{stream} is not the {value.stream} that it reads')


def _shape(layer: specs.Layer, field: str, found, expected) -> None:
  if tuple(found) != tuple(expected):
    _fail(layer, field, f'shape {list(found)} is not {list(expected)}')


def _check_stream(layer: specs.Layer, stream: specs.Stream) -> None:
  least, most = limits.STREAM
  is_possible = least <= stream.bits <= most
  if not (is_possible and 0 <= stream.fraction_bits < stream.bits):
    _fail(layer, 'stream', f'{stream} is not possible')


def _conv_shape(layer: specs.Conv, x: Value) -> tuple[int, ...]:
  _check_accumulator(layer)
  axes = len(layer.kernel)
  for name in ('strides', 'padding', 'dilation'):
    if len(getattr(layer, name)) != axes:
      _fail(layer, name, f'it does not have {axes} axes')
  if axes not in (0, len(x.shape) - 1):
    _fail(layer, 'kernel', f'{axes} axes do not fit an input of {x.shape}')
  sizes = (layer.groups, *layer.kernel, *layer.strides, *layer.dilation)
  if min(sizes) < 1:
    _fail(layer, 'kernel', 'a size is not positive')
  _check_edges(layer, 'padding', layer.padding)
  outputs, *kernel, channels = layer.weights.shape
  _shape(layer, 'weights', kernel, layer.kernel)
  if channels * layer.groups != x.shape[-1] or outputs % layer.groups:
    _fail(layer, 'groups', f'{layer.groups} do not fit {x.shape[-1]} inputs '
          f'and {outputs} outputs of {channels} channels')
  if layer.preload is not None:
    _shape(layer, 'preload', layer.preload.shape, (outputs,))
  if math.prod(layer.weights.shape[1:]) >= limits.OPERANDS:
    _fail(layer, 'weights', 'its sums exceed 24 bits')
  spatial = x.shape[:-1]
  if axes:
    padded = [
      size + sum(pair)
      for size, pair in zip(spatial, layer.padding, strict=True)
    ]
    if math.prod(padded) * x.shape[-1] > limits.VALUES:
      _fail(layer, 'padding', f'{padded} positions are too many')
    spatial = tuple(
      (size - (k - 1) * d - 1) // stride + 1
      for size, k, stride, d in zip(
        padded, layer.kernel, layer.strides, layer.dilation, strict=True
      )
    )
  return (*spatial, outputs)


def _check_accumulator(layer: specs.Conv) -> None:
  register = layer.accumulator
  if register.overflow_mode not in specs.MODES:
    _fail(layer, 'accumulator', f'{register.overflow_mode!r} is no mode')
  if register.unit not in specs.UNITS:
    _fail(layer, 'accumulator', f'{register.unit!r} is no unit')
  least, most = limits.REGISTER
  if not least <= register.bits <= most or register.simd < 1:
    _fail(layer, 'accumulator', f'{register} is not possible')


def _shortcut_shape(layer: specs.Shortcut, x: Value) -> tuple[int, ...]:
  _need(layer, x, 'stream')
  *spatial, channels = x.shape
  if len(layer.strides) != len(spatial) or min(layer.strides, default=1) < 1:
    _fail(layer, 'strides', f'{layer.strides} do not fit {x.shape}')
  if layer.channels < channels:
    _fail(layer, 'channels', f'{layer.channels} are less than {channels}')
  if len(layer.edges) != len(spatial):
    _fail(layer, 'crop', f'{layer.crop} does not fit {x.shape}')
  _check_edges(layer, 'crop', layer.edges)
  output = tuple(
    -(-(size - sum(pair)) // stride)
    for size, stride, pair in zip(
      spatial, layer.strides, layer.edges, strict=True
    )
  )
  return (*output, layer.channels)


def _slice_shape(layer: specs.Slice, x: Value) -> tuple[int, ...]:
  _need(layer, x, 'stream')
  stop = layer.start + layer.channels
  if layer.start < 0 or layer.channels < 1 or stop > x.shape[-1]:
    problem = f'{layer.start} to {stop} are no channels of {x.shape}'
    _fail(layer, 'start', problem)
  return (*x.shape[:-1], layer.channels)


def _new_shape(layer: specs.Reshape, x: Value) -> tuple[int, ...]:
  if x.kind not in ('bits', 'stream'):
    _fail(layer, 'inputs', f'it reads {x.kind}, not bits or stream')
  possible = 1 <= len(layer.shape) <= 3 and min(layer.shape) > 0
  if not possible or math.prod(layer.shape) != math.prod(x.shape):
    _fail(layer, 'shape', f'{list(layer.shape)} does not fit {x.shape}')
  return layer.shape


def _pool_shape(
  layer: specs.MaxPool | specs.AveragePool, x: Value
) -> tuple[int, ...]:
  _need(layer, x, 'stream')
  *spatial, channels = x.shape
  if len(layer.window) != len(spatial) or min(layer.window, default=1) < 1:
    _fail(layer, 'window', f'{layer.window} does not fit {x.shape}')
  count = math.prod(layer.window)
  if isinstance(layer, specs.AveragePool) and count != 2**layer.shift:
    _fail(layer, 'window', f'{count} positions are no power of two')
  if count >= limits.WINDOW:
    _fail(layer, 'window', 'its sums exceed 31 bits')
  steps = zip(spatial, layer.window, strict=True)
  return (*(size // step for size, step in steps), channels)


def _logits(layer: specs.Classifier, x: Value) -> Value:
  _need(layer, x, 'stream', layer.stream)
  _shape(layer, 'weights', layer.weights.shape[1:], x.shape[-1:])
  _shape(layer, 'bias', layer.bias.shape, layer.weights.shape[:1])
  if math.prod(x.shape) * 2 ** (layer.stream.bits - 1) >= limits.SUM:
    _fail(layer, 'stream', 'its sums exceed 31 bits')
  return Value(layer.bias.shape, 'logits')
