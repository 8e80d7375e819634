"""Accuracies that networks are compared at, as `experiments.compare` has them.

It writes JSON with a `title`, which names the data, and `rows`. Of a row are
read: `name`, `size` and `variant` of the network; `accumulator_bits` and
`overflow_mode`; `accuracy` and `deviation` in percent, over `seeds`; `command`;
and its `marks`, some of which forbid to claim anything.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import json
import math
import pathlib
from typing import Any
from typing import NamedTuple

from bnn_jax import errors
from bnn_jax.models import methods
from experiments import headline_costs
from experiments import headline_networks

# Methods of the ten without which nothing is claimed.
ENOUGH = 6
# Marks of a twin with which nothing is claimed.
UNFIT = ('not run', 'float not run', 'undertrained', 'did not learn')
# Lanes of a word in training, as `configs.kws` has them.
SIMD = 64


class Result(NamedTuple):
  """A trained network.

  Attributes:
    name: of it.
    bits: of its accumulators.
    overflow_mode: of them.
    accuracy: share of clips that it gets right, over seeds.
    deviation: of it; None of a single seed.
    seeds: their number.
    unfit: those of its marks that are in `UNFIT`, by commas.
    command: of its training.
  """

  name: headline_networks.Name
  bits: int
  overflow_mode: str
  accuracy: float
  deviation: float | None
  seeds: int
  unfit: str
  command: str

  @property
  def standard_error(self) -> float:
    """Of the accuracy; 0 of a single seed."""
    return (self.deviation or 0.0) / self.seeds**0.5 if self.seeds else 0.0

  @property
  def machine(self) -> headline_costs.Machine:
    """What a network that is trained through overflow runs on."""
    return headline_costs.register(self.bits, self.overflow_mode, simd=SIMD)

  @property
  def rows(self) -> headline_costs.Rows:
    """Of its profile, which of ours depends on the register."""
    return headline_networks.layers(
      self.name, 'overflow',
      f'accumulator_bits={self.bits},overflow_mode={self.overflow_mode}',
    )

  def __str__(self):
    if self.overflow_mode == 'exact':
      return str(self.name)
    return f'{self.name}, {self.overflow_mode} {self.bits}'


class Accuracies(NamedTuple):
  """Results of one data set.

  Attributes:
    title: the data set's name, and what else the file tells of all.
    twins: the binary networks of published methods, run or not.
    ours: of our networks, those that overflow.
  """

  title: str
  twins: tuple[Result, ...]
  ours: tuple[Result, ...]


def read(path: pathlib.Path) -> Accuracies:
  """Reads a file of results.

  Args:
    path: the file, see the module's head.

  Returns:
    What of it is compared.

  Raises:
    UserError: no such file, or it is of another kind.
  """
  try:
    content = json.loads(path.read_text())
    twins = [_result(row) for row in content['rows'] if _is_twin(row)]
    ours = [_result(row) for row in content['rows'] if _is_ours(row)]
    return Accuracies(content['title'], tuple(twins), tuple(ours))
  except OSError as error:
    raise errors.UserError(
      f'{path} cannot be read ({error.strerror}); give the JSON that '
      'experiments.compare wrote.'
    ) from error
  except (KeyError, TypeError, ValueError) as error:
    raise errors.UserError(
      f'{path} is no file of results ({error!r}); give the JSON that '
      'experiments.compare wrote.'
    ) from error


def _is_twin(row: Mapping[str, Any]) -> bool:
  return row['variant'] == 'binary' and row['name'] in methods.BUILDERS


def _is_ours(row: Mapping[str, Any]) -> bool:
  narrow = row['overflow_mode'] in ('wrap', 'saturate')
  return (
    narrow and row['name'] == headline_networks.OURS
    and row['accuracy'] is not None and not _unfit(row)
  )


def _unfit(row: Mapping[str, Any]) -> str:
  return ', '.join(mark for mark in row['marks'] if mark in UNFIT)


def _result(row: Mapping[str, Any]) -> Result:
  deviation = row['deviation']
  return Result(
    headline_networks.Name(row['name'], row['size']), row['accumulator_bits'],
    row['overflow_mode'], (row['accuracy'] or 0.0) / 100,
    None if deviation is None else deviation / 100, row['seeds'],
    _unfit(row), row['command'] or '',
  )


def smallest(
  ours: Sequence[Result], costs: Mapping[Result, float], twin: Result
) -> Result | None:
  """The smallest of our networks that is surely not below a twin.

  It leads by at least the standard error of the difference of both means, to
  which a single seed adds nothing, since its deviation is not known.

  Args:
    ours: results.
    costs: area times time of each, which chooses among registers of one size.
    twin: whose accuracy is to be reached.

  Returns:
    The result, or None where no network reaches it.
  """
  reached = [
    result for result in ours
    if result.accuracy - twin.accuracy
    >= math.hypot(result.standard_error, twin.standard_error)
  ]
  return min(reached, default=None, key=lambda result: (
    headline_networks.SIZES.index(result.name.size), costs[result]
  ))


def qualifying(compared: Sequence[headline_networks.Name]) -> list[str]:
  """The methods of the ten that have a comparison."""
  ten = {name.method for name in headline_networks.TEN}
  return sorted({name.method for name in compared} & ten)
