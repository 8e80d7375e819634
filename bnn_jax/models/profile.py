"""What a network costs, counted from the shapes of its traced layers."""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax

from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import float_layers
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


def profile(model: nn.Module, *, frames: int, bins: int) -> dict[str, Any]:
  """Profiles a network.

  Args:
    model: the network.
    frames: T of its input.
    bins: F of its input.

  Returns:
    `parameters` (all, by number), `memory_bits` (of all: binary weights 1 bit,
    everything else 32 in training's form), `binary_macs`, `real_macs`, and
    `layers`, a list of `LayerProfile` as dictionaries.
  """
  rows: list[LayerProfile] = []

  def record(call, args, kwargs, context):
    output = call(*args, **kwargs)
    if context.method_name == '__call__':
      row = _row(context.module, args[0].shape, output)
      rows.extend([row] if row else [])
    return output

  def trace(q):
    return model.init(jax.random.key(0), q, train=True)

  q = jax.ShapeDtypeStruct((1, frames, bins), 'uint8')
  with nn.intercept_methods(record):
    variables = jax.eval_shape(trace, q)
  parameters = sum(v.size for v in jax.tree.leaves(variables['params']))
  binary = sum(row.parameters for row in rows if row.weight_bits == 1)
  return {
    'parameters': parameters,
    'memory_bits': binary + 32 * (parameters - binary),
    'binary_macs': sum(r.macs for r in rows if r.weight_bits == 1),
    'real_macs': sum(r.macs for r in rows if r.weight_bits > 1),
    'layers': [dataclasses.asdict(row) for row in rows],
  }


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
