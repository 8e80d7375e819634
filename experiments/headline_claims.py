"""Sentences about our networks and the twins of published ones."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from experiments import headline_compare
from experiments import headline_networks
from experiments import headline_results

LESS = {
  'operations': 'On-chip computation by (a), bit operations',
  'area_time': 'On-chip computation by (b), area x busy time',
  'cells': 'On-chip computation by (c), energy of the cells',
  'table': 'On-chip computation by (c), energy with memories, by table',
}
FASTER = {
  'area': 'Time of an inference on the same area',
  'elements': 'Time of an inference on 16 elements',
  'lanes': 'Time of an inference on 16 elements of as many lanes',
}
# The same against what a sceptic would ask for, see `headline_compare.Match`.
DOUBTS = {
  'threshold': 'By (b), were the twins on 16 bits with thresholds',
  'bound_area_time': 'By (b), were the twins on arrays that suit them',
  'bound_cells': 'By (c), cells, were the twins on arrays that suit them',
  'bound_area': 'Time on the same area, were twins on arrays that suit them',
}
_SPEEDS = (*FASTER, 'bound_area')
# What the paper reports, and what we aim at.
GOALS = {
  'area_time': (0.491, 0.70), 'cells': (0.491, 0.70), 'table': (0.491, 0.70),
  'area': (0.21, 0.50),
}

_Values = Mapping[headline_networks.Name, float]


def sentences(
  comparisons: Sequence[headline_compare.Comparison]
) -> list[str]:
  """What may be claimed.

  Args:
    comparisons: with all twins.

  Returns:
    Sentences; none of them compares where too few of the ten methods qualify.
  """
  ten = headline_compare.of_the_ten(comparisons)
  methods = headline_results.qualifying([each.twin.name for each in ten])
  missing = list(_missing(comparisons))
  if len(methods) < headline_results.ENOUGH:
    return [
      f'{len(methods)} of the ten methods can be compared '
      f'({", ".join(methods) or "none"}), fewer than '
      f'{headline_results.ENOUGH}: nothing is claimed.', *missing,
    ]
  found = [
    f'Compared with {len(ten)} binary twins of {len(methods)} of the ten '
    'methods, each with the smallest of our networks that leads it by at '
    'least the standard error of the difference.'
  ]
  for measure, words in (LESS | FASTER | DOUBTS).items():
    values = _values(ten, measure)
    if values:
      found.append(_range(words, values, measure in _SPEEDS))
  for measure in GOALS:
    found += _goals(ten, measure)
  found += [_why(each) for each in ten if _fails(each)]
  return found + list(_extras(comparisons, ten)) + missing


def _values(
  comparisons: Sequence[headline_compare.Comparison], measure: str
) -> dict[headline_networks.Name, float]:
  """A measure by the names of twins, without those that lack it."""
  values = {}
  for each in comparisons:
    value = _measures(each)[measure]
    if value is not None:
      values[each.twin.name] = value
  return values


def _measures(
  comparison: headline_compare.Comparison
) -> dict[str, float | None]:
  match = comparison.match
  assert match
  return match.less | match.faster | {
    'threshold': match.threshold,
    **{f'bound_{name}': value for name, value in match.bound.items()},
  }


def _fails(comparison: headline_compare.Comparison) -> bool:
  """Whether any goal is not reached."""
  found = _measures(comparison)
  return any(
    (found[measure] or 0.0) < max(goals) for measure, goals in GOALS.items()
  )


def _range(words: str, values: _Values, is_speed: bool) -> str:
  low = min(values, key=lambda name: values[name])
  high = max(values, key=lambda name: values[name])
  return (
    f'{words}: {amount(values[low], is_speed)} than the best of the '
    f'{len(values)} twins ({low}), {amount(values[high], is_speed)} than the '
    f'worst ({high}).'
  )


def amount(value: float, is_speed: bool) -> str:
  """A difference in words.

  Args:
    value: 1 minus our share of a cost; or our speed by another, minus 1.
    is_speed: whether it is the latter.

  Returns:
    Such as '12.3 % less', '45.6 % slower'.
  """
  more, less = ('slower', 'faster') if is_speed else ('more', 'less')
  return f'{abs(100 * value):,.1f} % {less if value >= 0 else more}'


def _goals(
  ten: Sequence[headline_compare.Comparison], measure: str
) -> Iterator[str]:
  values, is_speed = _values(ten, measure), measure in FASTER
  words = (LESS | FASTER)[measure]
  for goal in GOALS[measure]:
    failed = [name for name, value in values.items() if value < goal]
    kept = len(values) - len(failed)
    sentence = (
      f'{words}: at least {amount(goal, is_speed)} than {kept} of '
      f'{len(values)} twins'
    )
    if failed:
      sentence += ', but not than ' + ', '.join(
        f'{name} ({amount(values[name], is_speed)})' for name in failed
      )
    yield f'{sentence}.'


def _why(comparison: headline_compare.Comparison) -> str:
  """Where the cost of a twin goes, step by step."""
  match = comparison.match
  assert match
  network, width, shift = (
    f'{100 * share:.0f} %' for share in match.waterfall.values()
  )
  return (
    f'Of {comparison.twin.name}: {match.ours} takes {network} of its area x '
    f'time on the same array, {width} with the narrow accumulator, {shift} '
    f'with shift units; it has {100 * match.weights:.0f} % of its bits of '
    'weights.'
  )


def _extras(
  comparisons: Sequence[headline_compare.Comparison],
  ten: Sequence[headline_compare.Comparison],
) -> Iterator[str]:
  for each in comparisons:
    if each.match and each not in ten:
      less, faster = each.match.less['area_time'], each.match.faster['area']
      assert faster is not None
      yield (
        f'Beside the ten: {amount(less, False)} by (b) than {each.twin.name}, '
        f'and {amount(faster, True)} on the same area. {_why(each)}'
      )


def _missing(
  comparisons: Sequence[headline_compare.Comparison]
) -> Iterator[str]:
  reasons: dict[str, list[str]] = {}
  for each in comparisons:
    if each.reason:
      reasons.setdefault(each.reason, []).append(
        f'{each.twin.name} ({100 * each.twin.accuracy:.1f} %)'
        if each.twin.accuracy else str(each.twin.name)
      )
  for reason, names in reasons.items():
    yield f'Not compared, {reason}: {", ".join(names)}.'
