"""Where the C engine keeps each array, so that those no longer read make room.

There is one region for each kind of array, since C must not see one place as
two types.
"""

from collections.abc import Mapping
import math
from typing import NamedTuple

from bnn_jax.export import check
from bnn_jax.export import specs

REGIONS = ('bits', 'result', 'stream')
# Their output may take the place of an input of the same size.
_ELEMENTWISE = (specs.Add, specs.ShiftPReLU, specs.Reshape)


class Memory(NamedTuple):
  """Places of a network's arrays.

  Attributes:
    offsets: of each array, by its name, in elements of its region; a byte
      holds eight bits of one position.
    sizes: of each region, in elements.
  """

  offsets: dict[str, int]
  sizes: dict[str, int]


def bytes_of(channels: int) -> int:
  """Bytes of the bits of one position."""
  return -(-channels // 8)


def extent(value: check.Value) -> tuple[int, int]:
  """Positions and channels of an array `[*spatial, C]`."""
  *spatial, channels = value.shape
  return math.prod(spatial), channels


def size(value: check.Value) -> int:
  """Elements of an array in its region."""
  positions, channels = extent(value)
  return positions * (bytes_of(channels) if value.kind == 'bits' else channels)


def allocate(
  model: specs.Model, values: Mapping[str, check.Value], keep: bool
) -> Memory:
  """Gives each array a place, the lowest that is free.

  Args:
    model: the network.
    values: what `check.check` tells of its arrays.
    keep: give no place twice, so that all can be read at the end.

  Returns:
    The places of all arrays but q and the logits.
  """
  last = {
    name: i for i, layer in enumerate(model.layers) for name in layer.inputs
  }
  offsets: dict[str, int] = {}
  # No array of C is empty.
  sizes = dict.fromkeys(REGIONS, 1)
  for i, layer in enumerate(model.layers[:-1]):
    value = values[layer.name]
    live = [
      name for name in offsets
      if values[name].kind == value.kind and (keep or last.get(name, 0) >= i)
    ]
    offset = _inherited(layer, live, last, i, values, offsets)
    if keep or offset is None:
      taken = [(offsets[name], size(values[name])) for name in live]
      offset = _lowest(taken, size(value))
    offsets[layer.name] = offset
    end = offset + size(value)
    sizes[value.kind] = max(sizes[value.kind], end)
  return Memory(offsets, sizes)


def _inherited(layer, live, last, i, values, offsets) -> int | None:
  """The place of an input that only this layer still reads."""
  # Bits move when a position begins elsewhere.
  moves = values[layer.name].kind == 'bits'
  if moves or not isinstance(layer, _ELEMENTWISE):
    return None
  for name in layer.inputs:
    alike = size(values[name]) == size(values[layer.name])
    if name in live and last[name] == i and alike:
      return offsets[name]
  return None


def _lowest(taken: list[tuple[int, int]], wanted: int) -> int:
  """The lowest offset at which `wanted` elements are free."""
  offset = 0
  for start, length in sorted(taken):
    if offset + wanted <= start:
      break
    offset = max(offset, start + length)
  return offset
