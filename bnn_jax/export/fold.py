"""A normalization whose numbers only a sign reads becomes one comparison."""

from collections.abc import Sequence
import dataclasses

import numpy as np

from bnn_jax.export import specs


def simplify(layers: Sequence[specs.Layer]) -> tuple[specs.Layer, ...]:
  """Folds what can be folded and leaves out what does nothing.

  Args:
    layers: of a network, in the order of their computation.

  Returns:
    Layers that give the same arrays under the same names.
  """
  return fold(skip_identities(layers))


def skip_identities(
  layers: Sequence[specs.Layer],
) -> tuple[specs.Layer, ...]:
  """Leaves out shortcuts that neither stride nor crop nor widen.

  The channels of a stream are those of the layer that a shortcut is added to;
  a shortcut of stride 1 that appends nothing passes its input on.
  """
  channels: dict[str, int] = {}
  renamed: dict[str, str] = {}
  kept: list[specs.Layer] = []
  for layer in layers:
    inputs = tuple(renamed.get(name, name) for name in layer.inputs)
    layer = dataclasses.replace(layer, inputs=inputs)
    before = channels.get(inputs[0], 0)
    channels[layer.name] = _channels(layer, before)
    if (isinstance(layer, specs.Shortcut) and set(layer.strides) <= {1}
        and not layer.crop and layer.channels == before):
      renamed[layer.name] = inputs[0]
    else:
      kept.append(layer)
  return tuple(kept)


def _channels(layer: specs.Layer, before: int) -> int:
  match layer:
    case specs.Thermometer():
      return layer.thresholds.size
    case specs.Conv() | specs.Classifier():
      return len(layer.weights)
    case specs.Shortcut() | specs.Slice():
      return layer.channels
    case specs.Reshape():
      return layer.shape[-1]
  return before


def fold(layers: Sequence[specs.Layer]) -> tuple[specs.Layer, ...]:
  """Folds each normalization of a convolution that one sign alone reads.

  Args:
    layers: of a network, in the order of their computation.

  Returns:
    The layers, where such a sign is a `Threshold` of its name that reads the
    convolution, and its normalization is gone.
  """
  by_name = {layer.name: layer for layer in layers}
  folded: dict[str, specs.Layer] = {}
  dropped = set()
  for layer in layers:
    norm = by_name.get(layer.inputs[0])
    if not isinstance(layer, specs.RSign) or not isinstance(
      norm, specs.ShiftBatchNorm
    ):
      continue
    readers = [one for one in layers if norm.name in one.inputs]
    conv = by_name.get(norm.inputs[0])
    if len(readers) == 1 and isinstance(conv, specs.Conv):
      thresholds = register_thresholds(conv, norm, layer)
      folded[layer.name] = specs.Threshold(
        layer.name, norm.inputs, conv.register_bits, thresholds
      )
      dropped.add(norm.name)
  return tuple(
    folded.get(layer.name, layer) for layer in layers
    if layer.name not in dropped
  )


def register_thresholds(
  conv: specs.Conv, norm: specs.ShiftBatchNorm, sign: specs.RSign
) -> np.ndarray:
  """The smallest register value of each channel that gives the bit +1.

  sat_R(shift(a, s) + b) does not fall as the register rises, so it is found by
  bisection (`docs/arithmetic.md`, section 6).

  Args:
    conv: whose register is compared.
    norm: its normalization.
    sign: its sign.

  Returns:
    int32 `[C]` in [-2^(P-1), 2^(P-1)]; the highest is never met.
  """
  half = 2 ** (conv.register_bits - 1)
  low = np.full(norm.shift.shape, -half, np.int64)
  high = np.full(norm.shift.shape, half, np.int64)
  while (low < high).any():
    middle = (low + high) // 2
    met = _normalized(conv, norm, middle) >= sign.theta
    high = np.where(met & (low < high), middle, high)
    low = np.where(~met & (low < high), middle + 1, low)
  return low.astype(np.int32)


def _normalized(
  conv: specs.Conv, norm: specs.ShiftBatchNorm, register: np.ndarray
) -> np.ndarray:
  """What the normalization makes of register values `[C]`."""
  a = register
  if conv.accumulator.unit == 'popcount':
    a = 2 * register - conv.odd_words
  s = norm.shift.astype(np.int64)
  shifted = (a << np.maximum(s, 0)) >> np.maximum(-s, 0)
  limit = 2 ** (norm.stream.bits - 1)
  return np.clip(shifted + norm.bias, -limit, limit - 1)
