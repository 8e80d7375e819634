"""What a network costs on an array, from operations to area and energy.

Any network has a profile (`bnn_jax.models.profile`), so that a published method
and one of our own are compared on the same array:

  areas.read(path)                              measured parts
  evaluate(profile['layers'], array, parts)     everything, for one array
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from bnn_jax import errors
from bnn_jax.accelerator import areas as areas_lib
from bnn_jax.accelerator import energy
from bnn_jax.accelerator import operations
from bnn_jax.accelerator import schedule
from bnn_jax.accelerator import workload

# Bits of a unit's constants, by its kind, without those of a threshold.
_CONSTANTS = {'shift': 20, 'full': 40, 'full_deep': 40}


@dataclasses.dataclass(frozen=True)
class Array:
  """An array of processing elements.

  Attributes:
    simd: lanes of a word.
    bits: P of the accumulators.
    overflow_mode: 'wrap' or 'saturate'.
    norm: of its units: 'threshold', 'shift', 'full' or 'full_deep', which has
      one register more.
    pes: elements.
    lanes: units: private where they are as many as elements, else shared.
    stream: R of its streams.
    span: levels of the popcount tree between two registers.
    clock: ns of a cycle; None for the longest path of its cells.
  """

  simd: int = 64
  bits: int = 8
  overflow_mode: str = 'wrap'
  norm: str = 'shift'
  pes: int = 16
  lanes: int = 16
  stream: int = 8
  span: int = 2
  clock: float | None = None

  def __post_init__(self):
    if self.norm not in operations.NORMS:
      raise errors.UserError(
        f'norm={self.norm!r} does not exist; choose one of '
        f'{", ".join(operations.NORMS)}.'
      )
    if min(self.simd, self.bits, self.pes, self.lanes) < 1 or (
      self.pes % self.lanes
    ):
      raise errors.UserError(
        f'pes={self.pes}, lanes={self.lanes}, simd={self.simd}, '
        f'bits={self.bits} is no array; give positive numbers, of which lanes '
        'divides pes.'
      )


@dataclasses.dataclass(frozen=True)
class Cost:
  """One inference.

  Attributes:
    operations: of one bit, by kind.
    moved: bits to and from each memory.
    cycles: by layer.
    area: of the array, um2; None where no parts were given, as what follows.
    clock: of a cycle, ns.
    time: s.
    area_time: um2 s.
    operations_energy: pJ of the operations, by the table of 45 nm.
    memory_energy: pJ of the bits moved, by the same table.
    cells_energy: pJ of the array by its cells, at their assumed activity.
  """

  operations: operations.Operations
  moved: Mapping[str, int]
  cycles: Mapping[str, int]
  area: float | None
  clock: float | None
  time: float | None
  area_time: float | None
  operations_energy: float
  memory_energy: float
  cells_energy: float | None

  @property
  def total_cycles(self) -> int:
    """Of all layers."""
    return sum(self.cycles.values())


def evaluate(
  rows: Sequence[Mapping[str, Any]], array: Array,
  parts: areas_lib.Areas | None = None,
) -> Cost:
  """Costs of one inference.

  Args:
    rows: `layers` of the network's profile.
    array: that it runs on.
    parts: measured parts; without them there is no area and, where the array
      does not give a clock, no time.

  Returns:
    The costs.

  Raises:
    UserError: the rows are no profile; a part has not been measured.
  """
  layers = workload.layers(rows)
  counted = operations.count(
    layers, simd=array.simd, bits=array.bits, norm=array.norm,
    stream=array.stream,
  )
  moved = bits_moved(layers, array)
  by_layer = cycles(layers, array)
  mapped = None if parts is None else map_array(array, parts)
  clock = array.clock or (mapped.path if mapped else None)
  time = sum(by_layer.values()) * clock * 1e-9 if clock else None
  return Cost(
    operations=counted, moved=moved, cycles=by_layer,
    area=mapped.area if mapped else None, clock=clock, time=time,
    area_time=mapped.area * time if mapped and time else None,
    operations_energy=_operations_energy(layers, counted, array),
    memory_energy=_memory_energy(rows, layers, moved, array),
    cells_energy=(
      mapped.energy * sum(by_layer.values()) if mapped else None
    ),
  )


def cycles(
  layers: Sequence[workload.Layer], array: Array
) -> dict[str, int]:
  """Cycles of each layer.

  They are those of the Verilog for a network that it can run. Where operands
  have several bits, each pair of a weight's and an input's is a word of its
  own; where only inputs have, they are added as in the classifier.
  """
  found: dict[str, int] = {}
  for layer in layers:
    found[layer.name] = found.get(layer.name, 0) + _layer_cycles(layer, array)
  return found


def _layer_cycles(layer: workload.Layer, array: Array) -> int:
  if layer.adds_numbers:
    return schedule.classifier_cycles(
      layer.outputs, layer.operands, array.lanes
    )
  shape = layer.shape(array.simd)
  weight, value = operations.widths(layer, operations.REAL_BITS)
  shape = dataclasses.replace(shape, taps=shape.taps * weight * value)
  return layer.parts * schedule.step_cycles(
    shape, array.pes, array.lanes, array.span
  )


def bits_moved(
  layers: Sequence[workload.Layer], array: Array
) -> dict[str, int]:
  """Bits to and from each memory, as the Verilog moves them.

  `weights` and `operands` are read in whole rows and words, padding included,
  which the Verilog does not read; `constants` once an output; a number added to
  a stream is read and was written once, an output of a binary layer is written
  as one bit.
  """
  moved = dict.fromkeys(
    ('weights', 'operands', 'constants', 'streams', 'bits'), 0
  )
  constants = _CONSTANTS.get(array.norm, array.bits + 1)
  for layer in layers:
    if layer.adds_numbers:
      moved['weights'] += layer.macs
      moved['streams'] += layer.positions * layer.operands * array.stream
      continue
    weight, value = operations.widths(layer, operations.REAL_BITS)
    run = schedule.passes(layer.shape(array.simd), array.pes, array.lanes)
    steps = layer.parts * weight * value * run.windows
    moved['weights'] += steps * run.tiles * run.words * array.pes * array.simd
    moved['operands'] += steps * run.loads * array.simd
    moved['constants'] += layer.outputs * constants
    moved['streams'] += 2 * layer.additions * array.stream
    moved['bits'] += layer.outputs
  return moved


def map_array(array: Array, parts: areas_lib.Areas) -> areas_lib.Mapped:
  """Area, path and energy of an array; see `areas.Areas.mapped`."""
  return parts.mapped(
    pes=array.pes, lanes=array.lanes, simd=array.simd, bits=array.bits,
    overflow_mode=array.overflow_mode, norm=array.norm,
  )


def _operations_energy(
  layers: Sequence[workload.Layer], counted: operations.Operations,
  array: Array,
) -> float:
  """Multiplications by the table; all others are additions or gates."""
  found = 0.0
  multiplied = counted.multiplications
  if multiplied:
    outputs = multiplied // (operations.SCALE * array.bits)
    found += outputs * energy.multiplication(operations.SCALE, array.bits)
  others = counted.total - multiplied - counted.numbers
  return found + energy.addition(1) * others + sum(
    _numbers_energy(layer) for layer in layers if not layer.is_binary
  )


def _numbers_energy(layer: workload.Layer) -> float:
  weight, value = operations.widths(layer, operations.REAL_BITS)
  growth = (layer.operands - 1).bit_length()
  if weight == 1:
    return layer.macs * energy.addition(value + growth)
  return layer.macs * (
    energy.multiplication(weight, value)
    + energy.addition(weight + value + growth)
  )


def _memory_energy(
  rows: Sequence[Mapping[str, Any]], layers: Sequence[workload.Layer],
  moved: Mapping[str, int], array: Array,
) -> float:
  """Of memories just large enough for the network."""
  products = {layer.name for layer in layers}
  weights = sum(
    layer.macs // layer.positions
    * operations.widths(layer, operations.REAL_BITS)[0]
    for layer in layers
  )
  constants = sum(
    layer.features for layer in layers if layer.is_binary
  ) * _CONSTANTS.get(array.norm, array.bits + 1)
  activations = max(
    row['activation_bits'] for row in rows if row['path'] in products
  )
  streams = array.stream * max(
    layer.outputs // layer.parts for layer in layers
  )
  sizes = {
    'weights': weights, 'operands': activations, 'constants': constants,
    'streams': streams, 'bits': activations,
  }
  return sum(
    energy.memory(moved[name], size / 8) for name, size in sizes.items()
  )
