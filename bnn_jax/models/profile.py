"""What a network costs, counted from the shapes of its traced layers."""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

from flax import traverse_util
import flax.linen as nn
import jax

from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import constants
from bnn_jax.nn import float_layers
from bnn_jax.nn import integer
from bnn_jax.nn import layers


@dataclasses.dataclass(frozen=True)
class LayerProfile:
  """One layer of products.

  Attributes:
    path: such as 'block0/conv'.
    kind: the layer's class.
    output_shape: of one clip.
    operands: K of one output.
    parameters: weights.
    weight_bits: of one weight: 1 or 32.
    macs: multiply-accumulates for one clip.
    accumulator_bits: width of its register; None for real sums.
    safe_bits: narrowest register that no input can overflow; None likewise.
  """

  path: str
  kind: str
  output_shape: tuple[int, ...]
  operands: int
  parameters: int
  weight_bits: int
  macs: int
  accumulator_bits: int | None
  safe_bits: int | None


def profile(
  model: nn.Module, *, frames: int, bins: int, input_bits: int = 8
) -> dict[str, Any]:
  """Profiles a network.

  Args:
    model: the network.
    frames: T of its input.
    bins: F of its input.
    input_bits: of its quantized input.

  Returns:
    `parameters` (that training learns, by number), `memory_bits` (of what is
    deployed: the integers of a binarized layer in the width that they need,
    parameters of any other layer in 32 bits), `binary_macs`, `real_macs`, and
    `layers`, a list of `LayerProfile` as dictionaries.
  """
  rows: list[LayerProfile] = []
  deployed: dict[tuple[str, ...], int] = {}

  def record(call, args, kwargs, context):
    output = call(*args, **kwargs)
    if context.method_name == '__call__':
      layer, x_shape = context.module, args[0].shape
      row = _row(layer, x_shape, output)
      rows.extend([row] if row else [])
      bits = deployed_bits(layer, x_shape, input_bits)
      deployed.update({} if bits is None else {layer.path: bits})
    return output

  def trace(q):
    return model.init(jax.random.key(0), q, train=True)

  q = jax.ShapeDtypeStruct((1, frames, bins), 'uint8')
  with nn.intercept_methods(record):
    variables = jax.eval_shape(trace, q)
  sizes = {
    path: value.size
    for path, value in traverse_util.flatten_dict(variables['params']).items()
  }
  real = sum(size for path, size in sizes.items() if path[:-1] not in deployed)
  return {
    'parameters': sum(sizes.values()),
    'memory_bits': sum(deployed.values()) + 32 * real,
    'binary_macs': sum(r.macs for r in rows if r.weight_bits == 1),
    'real_macs': sum(r.macs for r in rows if r.weight_bits > 1),
    'layers': [dataclasses.asdict(row) for row in rows],
  }


def deployed_bits(
  layer: nn.Module, x_shape: Sequence[int], input_bits: int
) -> int | None:
  """Bits of the integers that a binarized layer is deployed as.

  Args:
    layer: any layer, bound.
    x_shape: `[..., C]` of its input.
    input_bits: of the network's quantized input.

  Returns:
    None for a layer that is deployed with its real parameters, or has none.
  """
  channels = x_shape[-1]
  match layer:
    case layers.BinaryConv():
      operands = math.prod(layer.kernel_size) * (channels // layer.groups)
      register = layer.accumulator.at('/'.join(layer.path))
      preload = register.bits if layer.learn_preload else 0
      return (operands + preload) * layer.features
    case layers.ShiftBatchNorm():
      shift = (integer.SHIFT_MAX - integer.SHIFT_MIN).bit_length()
      bias = (constants.BIAS_MAX - constants.BIAS_MIN).bit_length()
      return channels * (shift + bias)
    case layers.ShiftPReLU():
      shift = constants.PRELU_SHIFT_MAX.bit_length()
      return channels * (shift + 2 * layer.stream.bits)
    case layers.RSign():
      # One value more than the stream has: the threshold that is never met.
      return channels * (layer.stream.bits + 1)
    case layers.Thermometer():
      return channels * layer.levels * input_bits
    case layers.BinaryClassifier():
      return layer.classes * (channels + constants.CLASSIFIER_BIAS_BITS)
  return None


def _row(
  layer: nn.Module, x_shape: Sequence[int], output: Any
) -> LayerProfile | None:
  """The profile of a layer of products; None for any other."""
  path = '/'.join(layer.path)
  if isinstance(layer, layers.BinaryConv | float_layers.FloatConv):
    operands = math.prod(layer.kernel_size) * x_shape[-1] // layer.groups
  elif isinstance(layer, layers.BinaryClassifier | float_layers.Classifier):
    operands = x_shape[-1]
  else:
    return None
  outputs = math.prod(output.shape[1:])
  binary = isinstance(layer, layers.BinaryConv | layers.BinaryClassifier)
  accumulator_bits = safe_bits = None
  if isinstance(layer, layers.BinaryConv):
    register = layer.accumulator.at(path)
    w_shape = (*layer.kernel_size, x_shape[-1] // layer.groups, layer.features)
    accumulator_bits = register.bits
    safe_bits = accumulator_lib.safe_bits(w_shape, register)
  return LayerProfile(
    path=path,
    kind=type(layer).__name__,
    output_shape=tuple(output.shape[1:]),
    operands=operands,
    parameters=operands * output.shape[-1],
    weight_bits=1 if binary else 32,
    macs=operands * outputs,
    accumulator_bits=accumulator_bits,
    safe_bits=safe_bits,
  )
