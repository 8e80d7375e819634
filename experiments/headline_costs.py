"""What networks cost on arrays of 16 elements, each at its best.

On-chip computation is told in four ways:

  operations  (a) of one bit, each weighed alike
  area_time   (b) area of the array by the time that it is busy, um2 s
  cells       (c) energy of the array by its cells, pJ
  table       (c) energy of operations and memories by Horowitz's table, pJ

and speed as the inverse of the time of an inference in three: on the same area,
on as many elements, and on as many elements of as many lanes.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math
from typing import Any
from typing import NamedTuple

from bnn_jax import errors
from bnn_jax.accelerator import areas
from bnn_jax.accelerator import cost
from bnn_jax.accelerator import operations
from bnn_jax.accelerator import workload
from experiments import array_costs

PES = 16
# Numbers of units; with as many as elements, each has its own.
ARRANGEMENTS = {'shared': (1, 2, 4, 8), 'private': (PES,)}
# Those of an array that no Verilog need have, and elements of one unit.
ANY_UNITS = range(1, 65)
_MOST_SHARING = 64
MEASURES = ('operations', 'area_time', 'cells', 'table')
SPEEDS = ('area', 'elements', 'lanes')
# Bits of the published networks' numbers.
FORMS = {'float': 32, 'int8': 8}

Rows = Sequence[Mapping[str, Any]]


class Machine(NamedTuple):
  """An accumulator and its units, at several widths of words.

  Attributes:
    each: accumulator, and kinds of units of which the better one counts.
    simd: lanes of a word that are possible.
  """

  each: array_costs.Machine
  simd: tuple[int, ...] = array_costs.SIMD


class Point(NamedTuple):
  """A network on an array.

  Attributes:
    array: the array.
    area: of it, um2.
    clock: of a cycle, ns.
    cycles: of an inference, by layer.
    time: of an inference, s.
    kinds: operations by kind.
    operations: see `MEASURES`, as all below.
    area_time: um2 s.
    cells: pJ.
    table: pJ.
  """

  array: cost.Array
  area: float
  clock: float
  cycles: Mapping[str, int]
  time: float
  kinds: Mapping[str, int]
  operations: int
  area_time: float
  cells: float
  table: float

  @property
  def total_cycles(self) -> int:
    """Of all layers."""
    return sum(self.cycles.values())

  def measures(self) -> dict[str, float]:
    """On-chip computation, by `MEASURES`."""
    return {name: getattr(self, name) for name in MEASURES}


def point(array: cost.Array, found: cost.Cost) -> Point:
  """A network on an array whose parts are measured."""
  assert found.area and found.clock and found.time
  assert found.area_time and found.cells_energy
  return Point(
    array, found.area, found.clock, found.cycles, found.time,
    dataclasses.asdict(found.operations), found.operations.total,
    found.area_time, found.cells_energy,
    found.operations_energy + found.memory_energy,
  )


USUAL = Machine(array_costs.USUAL)
THRESHOLD = Machine(array_costs.Machine(16, ('threshold',)))


def register(
  bits: int, overflow_mode: str, norms: tuple[str, ...] = ('shift',),
  simd: int = 64,
) -> Machine:
  """The machine of a network that is trained through overflow.

  Args:
    bits: P.
    overflow_mode: 'wrap' or 'saturate'.
    norms: kinds of units.
    simd: lanes of a word in training. Sums that saturate depend on them, so
      they are the only ones that such a network can run on; those that wrap do
      not, and run on any.
  """
  any_lanes = overflow_mode == 'wrap'
  return Machine(
    array_costs.Machine(bits, norms, overflow_mode),
    array_costs.SIMD if any_lanes else (simd,),
  )


def points(
  rows: Rows, machine: Machine, parts: areas.Areas
) -> dict[str, dict[int, Point]]:
  """A network on all arrays of a machine.

  Args:
    rows: `layers` of its profile.
    machine: accumulator and units.
    parts: measured.

  Returns:
    By arrangement and lanes of a word, the array whose number of units is best.

  Raises:
    UserError: a part has not been measured.
  """
  return {
    arrangement: {
      simd: point(*array_costs.best_units(
        rows, simd, machine.each, parts, numbers
      ))
      for simd in machine.simd
    }
    for arrangement, numbers in ARRANGEMENTS.items()
  }


def best(found: Mapping[int, Point]) -> Point:
  """The point of the smallest area times time."""
  return min(found.values(), key=lambda point: point.area_time)


def speed_ups(
  ours: Point, our_rows: Rows, theirs: Point, their_rows: Rows,
  same_lanes: Point | None, parts: areas.Areas,
  numbers: Iterable[int] = ANY_UNITS,
) -> dict[str, float | None]:
  """How many times as fast as another network on its array ours is.

  On the same area, that of the other's array, both have the numbers of elements
  and units that are quickest.

  Args:
    ours: our network, at its best.
    our_rows: `layers` of its profile.
    theirs: the other one, at its best.
    their_rows: `layers` of its profile.
    same_lanes: ours on words of as many lanes as the other's; None where it
      cannot run on such.
    parts: measured.
    numbers: of units that ours may have; the other may have any.

  Returns:
    The speed-up for each of `SPEEDS`; None where there is none.
  """
  limit = theirs.area
  filled = fastest(ours.array, our_rows, limit, numbers, parts)
  refitted = fastest(theirs.array, their_rows, limit, ANY_UNITS, parts)
  before = min(theirs.time, refitted.time)
  return dict(zip(SPEEDS, (
    before / filled.time, theirs.time / ours.time,
    theirs.time / same_lanes.time if same_lanes else None,
  ), strict=True))


def unit_numbers(rows: Rows, simd: int) -> list[int]:
  """Numbers of units with which the Verilog runs a network.

  They are powers of two that divide the lanes of a word and the outputs of
  every channel group.

  Args:
    rows: `layers` of its profile.
    simd: lanes of a word.
  """
  common = math.gcd(simd, *(
    layer.shape(simd).outputs for layer in workload.layers(rows)
    if not layer.adds_numbers
  ))
  largest = common & -common
  return [units for units in ANY_UNITS if largest % units == 0]


def fastest(
  array: cost.Array, rows: Rows, limit: float, numbers: Iterable[int],
  parts: areas.Areas,
) -> Point:
  """A network on the fastest array that an area has room for.

  Args:
    array: whose elements it has; with units of their own if this has such,
      otherwise any number of elements share one.
    rows: `layers` of the network's profile.
    limit: um2.
    numbers: of units that it may have.
    parts: measured.

  Returns:
    The network on that array.

  Raises:
    UserError: not even the fewest elements fit.
  """
  private = array.lanes == array.pes
  filled = [_filled(array, units, limit, private, parts) for units in numbers]
  found = [
    point(each, cost.evaluate(rows, each, parts)) for each in filled if each
  ]
  if not found:
    raise errors.UserError(
      f'no element with its unit fits in {limit:.0f} um2; give a larger area.'
    )
  return min(found, key=lambda point: point.time)


def _filled(
  array: cost.Array, units: int, limit: float, private: bool,
  parts: areas.Areas,
) -> cost.Array | None:
  """The largest array of so many units; None where none fits."""
  made = None
  for share in range(1, 2 if private else _MOST_SHARING + 1):
    larger = dataclasses.replace(array, pes=share * units, lanes=units)
    if cost.map_array(larger, parts).area > limit:
      break
    made = larger
  return made


def moved(
  rows: Rows, found: Mapping[str, Mapping[int, Point]],
  usual: Mapping[int, Point], parts: areas.Areas,
) -> dict[str, float | None]:
  """Speed-ups of a network that is moved from the usual array.

  Args:
    rows: `layers` of its profile.
    found: its points on another machine, by arrangement and lanes.
    usual: those on the usual array, of shared units.
    parts: measured.

  Returns:
    As `speed_ups`, of shared units.
  """
  points, before = found['shared'], best(usual)
  return speed_ups(
    best(points), rows, before, rows, points.get(before.array.simd), parts
  )


def waterfall(
  theirs: Point, our_rows: Rows, ours: Machine, arrangement: str,
  parts: areas.Areas,
) -> dict[str, float]:
  """Where the difference comes from, one step after the other.

  Args:
    theirs: a network on the usual array.
    our_rows: `layers` of our network's profile.
    ours: its machine.
    arrangement: of the units.
    parts: measured.

  Returns:
    Area times time as shares of `theirs`: with our network on the usual array
    ('network'), with our accumulator, too ('width'), and with our units
    ('shift').
  """
  full = Machine(ours.each._replace(norms=USUAL.each.norms), ours.simd)
  steps = {'network': USUAL, 'width': full, 'shift': ours}
  return {
    name: (
      best(points(our_rows, machine, parts)[arrangement]).area_time
      / theirs.area_time
    )
    for name, machine in steps.items()
  }


def weight_bits(rows: Rows) -> int:
  """Weights of a binary network; attention, where both are data, has none."""
  return sum(
    layer.macs // layer.positions for layer in workload.layers(rows)
    if layer.weight_bits == 1
  )


def published_operations(rows: Rows) -> dict[str, int]:
  """Operations of a network as published, by `FORMS`.

  Its normalizations are part of the weights then; numbers of each form are
  multiplied and added as integers of as many bits.
  """
  layers = workload.layers(rows)
  return {
    form: operations.count(
      layers, simd=64, bits=bits, norm='threshold', stream=bits,
      real_bits=bits,
    ).total
    for form, bits in FORMS.items()
  }
