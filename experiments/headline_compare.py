"""Our networks against binary twins of published ones at equal accuracy."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from bnn_jax.accelerator import areas
from experiments import headline_costs
from experiments import headline_networks
from experiments import headline_results


class Match(NamedTuple):
  """Our network on its array beside a twin on the usual one.

  Attributes:
    ours: the smallest of our networks that is surely not below the twin.
    arrangement: of the units of both, the one that is better for the twin.
    less: by each of `headline_costs.MEASURES`, 1 minus our share of the twin's.
    faster: by each of `headline_costs.SPEEDS`, our speed by the twin's minus
      1; None where our network cannot run on such words.
    waterfall: see `headline_costs.waterfall`.
    bound: the same as `less` by 'area_time' and 'cells', and as `faster` by
      'area', against an array that is better suited to the twin
      (`headline_networks.generous`).
    threshold: as `less` by 'area_time', were each sum of the twin followed by a
      sign alone, so that 16 bits and thresholds could do.
    weights: bits of our weights by those of the twin.
  """

  ours: headline_results.Result
  arrangement: str
  less: dict[str, float]
  faster: dict[str, float | None]
  waterfall: dict[str, float]
  bound: dict[str, float]
  threshold: float
  weights: float


class Comparison(NamedTuple):
  """What is said of a twin.

  Attributes:
    twin: its result.
    match: None where its marks forbid it, or none of ours is as accurate.
  """

  twin: headline_results.Result
  match: Match | None

  @property
  def reason(self) -> str:
    """Why there is no match; '' where there is one."""
    if self.match:
      return ''
    if self.twin.unfit:
      return self.twin.unfit
    return 'no network of ours is as accurate'


def compare(
  accuracies: headline_results.Accuracies, parts: areas.Areas
) -> list[Comparison]:
  """Compares with each twin.

  Args:
    accuracies: of twins and ours.
    parts: measured.

  Returns:
    A comparison for each twin, in their order.

  Raises:
    UserError: a part has not been measured.
  """
  ours = {
    result: headline_costs.points(result.rows, result.machine, parts)
    for result in accuracies.ours
  }
  return [
    Comparison(twin, _match(twin, ours, parts)) for twin in accuracies.twins
  ]


_Points = Mapping[str, Mapping[int, headline_costs.Point]]


def _match(
  twin: headline_results.Result,
  ours: Mapping[headline_results.Result, _Points], parts: areas.Areas,
) -> Match | None:
  if twin.unfit:
    return None
  rows = headline_networks.layers(twin.name, 'binary')
  theirs, arrangement = _at_best(rows, headline_costs.USUAL, parts)
  found = {result: points[arrangement] for result, points in ours.items()}
  costs = {
    result: headline_costs.best(points).area_time
    for result, points in found.items()
  }
  chosen = headline_results.smallest(list(ours), costs, twin)
  if chosen is None:
    return None
  best = headline_costs.best(found[chosen])
  our_rows = chosen.rows
  speed_ups = headline_costs.speed_ups(
    best, our_rows, theirs, rows, found[chosen].get(theirs.array.simd), parts,
    headline_costs.unit_numbers(our_rows, best.array.simd),
  )
  threshold, _ = _at_best(rows, headline_costs.THRESHOLD, parts)
  return Match(
    ours=chosen,
    arrangement=arrangement,
    less=_less(best, theirs),
    faster={
      name: None if found is None else found - 1
      for name, found in speed_ups.items()
    },
    waterfall=headline_costs.waterfall(
      theirs, our_rows, chosen.machine, arrangement, parts
    ),
    bound=_bound(rows, best, our_rows, parts),
    threshold=1 - best.area_time / threshold.area_time,
    weights=headline_costs.weight_bits(our_rows)
    / headline_costs.weight_bits(rows),
  )


def _at_best(
  rows: headline_costs.Rows, machine: headline_costs.Machine,
  parts: areas.Areas,
) -> tuple[headline_costs.Point, str]:
  """A network in the arrangement that is better for it, and its name."""
  found = {
    arrangement: headline_costs.best(points) for arrangement, points
    in headline_costs.points(rows, machine, parts).items()
  }
  arrangement = min(found, key=lambda name: found[name].area_time)
  return found[arrangement], arrangement


def _less(
  ours: headline_costs.Point, theirs: headline_costs.Point
) -> dict[str, float]:
  others = theirs.measures()
  return {
    name: 1 - value / others[name] for name, value in ours.measures().items()
  }


def _bound(
  rows: headline_costs.Rows, ours: headline_costs.Point,
  our_rows: headline_costs.Rows, parts: areas.Areas,
) -> dict[str, float]:
  suited = headline_networks.generous(rows)
  theirs, _ = _at_best(suited, headline_costs.USUAL, parts)
  speed_ups = headline_costs.speed_ups(
    ours, our_rows, theirs, suited, None, parts,
    headline_costs.unit_numbers(our_rows, ours.array.simd),
  )
  faster, less = speed_ups['area'], _less(ours, theirs)
  assert faster is not None
  return {
    'area_time': less['area_time'], 'cells': less['cells'], 'area': faster - 1,
  }


def of_the_ten(comparisons: Sequence[Comparison]) -> list[Comparison]:
  """Those with a match whose method is one of the ten."""
  ten = headline_results.qualifying([each.twin.name for each in comparisons])
  return [
    each for each in comparisons if each.match and each.twin.name.method in ten
  ]
