"""From a Flax model and its variables to the list of its layers.

The model runs once, abstractly, while its calls are recorded: what a layer
reads is connected with what gave it by the identity of the array. So all that
changes a number between q and the logits has to be a layer of `LEAVES`. A
module that has no integer form may say why: its class attribute `NOT_EXPORTED`
is what the layer does, such as 'weighs frames by a softmax'.
"""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np

from bnn_jax import errors
from bnn_jax.export import specs
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import activations
from bnn_jax.nn import geometry
from bnn_jax.nn import integer
from bnn_jax.nn import layers
from bnn_jax.nn import pooling
from bnn_jax.nn import shift_norm
from bnn_jax.nn import stream_layers

Path = tuple[str, ...]


class Call(NamedTuple):
  """One call of a layer.

  Attributes:
    layer: unbound.
    path: of the layer.
    inputs: names of the arrays that it reads.
    shape: of the first of them, `[1, *spatial, C]`.
    output_shape: of what it gives.
  """

  layer: Any
  path: Path
  inputs: tuple[str, ...]
  shape: tuple[int, ...]
  output_shape: tuple[int, ...]

  @property
  def name(self) -> str:
    """Of its output: the path with slashes."""
    return '/'.join(self.path)


def trace(
  model: nn.Module,
  variables: Mapping[str, Any],
  *,
  frames: int,
  bins: int,
  input_bits: int,
) -> tuple[specs.Layer, ...]:
  """Lists the layers of a network as it is deployed.

  Args:
    model: the network.
    variables: its collections `params`, `deployed` and `inputs`.
    frames: T of its input.
    bins: F of its input.
    input_bits: B of its input.

  Returns:
    The layers in the order of their computation; nothing is folded.

  Raises:
    UserError: something that it computes is no layer of `LEAVES`, or has no
      integer form with its settings.
  """
  variables = jax.device_get(dict(variables))
  calls = _record(model, variables, frames, bins)

  return tuple(
    LEAVES[type(call.layer)](
      call, _values(variables, call.path) | {'input_bits': input_bits}
    )
    for call in calls
  )


def _values(variables: Mapping[str, Any], path: Path) -> dict[str, Any]:
  """Latent weights and integers of the layer at `path`, by their names."""
  params, fitted, deployed = (
    _at(variables.get(collection, {}), path)
    for collection in ('params', 'inputs', 'deployed')
  )
  # A dense layer keeps its weights one level below.
  latent = params.get('product', params).get(layers.LATENT)
  return {layers.LATENT: latent, **fitted, **deployed}


def _at(tree: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
  for name in path:
    tree = tree.get(name, {})
  return tree


def _record(
  model: nn.Module, variables: Mapping[str, Any], frames: int, bins: int
) -> list[Call]:
  """The calls of exportable layers, connected."""
  calls: list[Call] = []
  # The arrays are kept with their names, so that no identity is used twice.
  names: dict[int, tuple[Any, str]] = {}
  other: list[tuple[str, str]] = []
  reasons: list[str] = []
  problems: list[str] = []
  depth = 0

  def name_of(reader: str, x: Any) -> str:
    if id(x) in names:
      return names[id(x)][1]
    problems.append(_unknown(reader, other))
    return ''

  def record(call, args, kwargs, context):
    nonlocal depth
    layer = context.module
    if context.method_name != '__call__' or depth:
      return call(*args, **kwargs)
    if isinstance(layer, stream_layers.Materialize):
      output = call(*args, **kwargs)
      if id(args[0]) in names:
        names[id(output)] = output, names[id(args[0])][1]
      return output
    path = '/'.join(layer.path)
    if type(layer) not in LEAVES:
      if hasattr(layer, 'NOT_EXPORTED'):
        reasons.append(_refusal(path, layer.NOT_EXPORTED))
      before = len(calls), len(other)
      output = call(*args, **kwargs)
      if before == (len(calls), len(other)) and all(
        output is not x for x in args
      ):
        other.append((path, type(layer).__name__))
      return output
    inputs = tuple(name_of(path, x) for x in args)
    depth += 1
    output = call(*args, **kwargs)
    depth -= 1
    found = Call(
      layer.clone(parent=None), layer.path, inputs, args[0].shape, output.shape
    )
    calls.append(found)
    names[id(output)] = output, found.name
    return output

  def run(q):
    names[id(q)] = q, specs.INPUT
    with nn.intercept_methods(record):
      logits = model.apply(variables, q, train=False)
    name_of('the output', logits)
    return logits

  jax.eval_shape(run, jax.ShapeDtypeStruct((1, frames, bins), 'uint8'))
  if problems:
    raise errors.UserError((reasons or problems)[0])
  return calls


def _refusal(layer: str, reason: str) -> str:
  return (
    f'the network cannot be exported: layer {layer} {reason}, which is no part '
    'of docs/arithmetic.md, section 7; run its checkpoint with --mode=evaluate.'
  )


def _unknown(reader: str, other: list[tuple[str, str]]) -> str:
  """Why what `reader` reads has no name."""
  if other:
    path, kind = other[0]
    return (
      f'the network cannot be exported: {path} is {kind}, which has no integer '
      'form; train it with model.variant=overflow, model.rule=ours and another '
      'model.norm_variant than real.'
    )
  return (
    f'the network cannot be exported: {reader} reads an array that no '
    'exportable layer made; let a layer of bnn_jax.nn compute it.'
  )


def _bits(latent: np.ndarray) -> np.ndarray:
  """Weights `[..., C, N]` as bits `[N, ..., C]`."""
  return np.moveaxis((latent >= 0).astype(np.uint8), -1, 0)


def _stream(stream: integer.StreamFormat) -> specs.Stream:
  return specs.Stream(stream.bits, stream.fraction_bits)


def _register(
  accumulators: layers.Accumulators, path: Path
) -> specs.Accumulator:
  found: accumulator_lib.Accumulator = accumulators.at('/'.join(path))
  return specs.Accumulator(
    int(found.bits), found.overflow_mode, int(found.simd), found.unit
  )


def _thermometer(call: Call, values: dict[str, Any]) -> specs.Layer:
  silence = tuple(call.layer.silence)
  return specs.Thermometer(
    call.name, call.inputs, values['input_bits'], values['thresholds'],
    silence if any(silence) else None,
  )


def _conv(call: Call, values: dict[str, Any]) -> specs.Layer:
  layer, latent = call.layer, values[layers.LATENT]
  shape = geometry.geometry(
    call.shape, latent.shape, layer.strides, layer.padding, layer.dilation,
    layer.groups,
  )
  return specs.Conv(
    call.name, call.inputs, shape.kernel, shape.strides, shape.padding,
    shape.dilation, shape.groups, _register(layer.accumulator, call.path),
    _bits(latent), _preload(layer.accumulator, call.path, values),
  )


def _preload(
  accumulators: layers.Accumulators, path: Path, values: dict[str, Any]
) -> np.ndarray | None:
  """What the registers start at, if it is learned."""
  if 'preload' not in values:
    return None
  found = accumulators.at('/'.join(path))
  return np.clip(values['preload'], found.minimum, found.maximum)


def _dense(call: Call, values: dict[str, Any]) -> specs.Layer:
  register = _register(call.layer.accumulator, (*call.path, 'product'))
  return specs.Conv(
    call.name, call.inputs, (), (), (), (), 1, register,
    _bits(values[layers.LATENT]),
  )


def _norm(call: Call, values: dict[str, Any]) -> specs.Layer:
  return specs.ShiftBatchNorm(
    call.name, call.inputs, _stream(call.layer.stream), values['shift'],
    values['bias'],
  )


def _shortcut(call: Call, values: dict[str, Any]) -> specs.Layer:
  del values
  axes = len(call.shape) - 2
  strides = geometry.per_axis(call.layer.strides, axes, 'strides')
  crop = call.layer.crop
  return specs.Shortcut(
    call.name, call.inputs, strides, call.layer.channels,
    crop and tuple(map(tuple, crop)),
  )


def _slice(call: Call, values: dict[str, Any]) -> specs.Layer:
  del values
  return specs.Slice(
    call.name, call.inputs, call.layer.start, call.layer.channels
  )


def _reshape(call: Call, values: dict[str, Any]) -> specs.Layer:
  del values
  return specs.Reshape(call.name, call.inputs, call.output_shape[1:])


def _max_pool(call: Call, values: dict[str, Any]) -> specs.Layer:
  del values
  return specs.MaxPool(call.name, call.inputs, tuple(call.layer.window))


def _average_pool(call: Call, values: dict[str, Any]) -> specs.Layer:
  del values
  window = tuple(call.layer.window)
  if reason := pooling.no_integers(window):
    raise errors.UserError(_refusal(call.name, reason))
  return specs.AveragePool(call.name, call.inputs, window)


def _add(call: Call, values: dict[str, Any]) -> specs.Layer:
  del values
  return specs.Add(call.name, call.inputs, _stream(call.layer.stream))


def _prelu(call: Call, values: dict[str, Any]) -> specs.Layer:
  return specs.ShiftPReLU(
    call.name, call.inputs, _stream(call.layer.stream), values['k'],
    values['g'], values['h'],
  )


def _rsign(call: Call, values: dict[str, Any]) -> specs.Layer:
  return specs.RSign(
    call.name, call.inputs, _stream(call.layer.stream), values['theta']
  )


def _classifier(call: Call, values: dict[str, Any]) -> specs.Layer:
  return specs.Classifier(
    call.name, call.inputs, _stream(call.layer.stream),
    _bits(values[layers.LATENT]), values['bias'],
  )


LEAVES: dict[type[nn.Module], Callable[[Call, dict[str, Any]], specs.Layer]] = {
  layers.Thermometer: _thermometer,
  layers.BinaryConv: _conv,
  layers.BinaryDense: _dense,
  shift_norm.ShiftBatchNorm: _norm,
  activations.RSign: _rsign,
  activations.ShiftPReLU: _prelu,
  layers.BinaryClassifier: _classifier,
  stream_layers.Shortcut: _shortcut,
  stream_layers.Slice: _slice,
  stream_layers.Reshape: _reshape,
  pooling.MaxPool: _max_pool,
  pooling.IntegerAveragePool: _average_pool,
  stream_layers.Add: _add,
}
