"""Accuracies that networks are compared at, of a file of results.

The file is JSON: `data` and `command` tell where it comes from, and each of
`rows` has

  method, size, variant    'float', 'binary' or 'overflow'
  accumulator              {'bits': 7, 'overflow_mode': 'wrap', 'simd': 64};
                           null where nothing overflows
  accuracy                 {'mean': 0.93, 'deviation': 0.002, 'seeds': 3}
  undertrained             whether its float network stayed too far behind
"""

from collections.abc import Mapping
from collections.abc import Sequence
import json
import pathlib
from typing import Any
from typing import NamedTuple

from bnn_jax import errors
from bnn_jax.models import methods
from experiments import headline_costs
from experiments import headline_networks

# Methods of the ten without which nothing is claimed.
ENOUGH = 6
# Lanes of a word where a file does not tell them: those of `configs.kws`.
_SIMD = 64


class Result(NamedTuple):
  """A trained network.

  Attributes:
    name: of it.
    variant: 'float', 'binary' or 'overflow'.
    bits: of its accumulators; None where nothing overflows.
    overflow_mode: of them.
    simd: lanes of a word in training.
    mean: share of test clips that it gets right, over seeds.
    deviation: of it; None of a single seed.
    seeds: their number.
    undertrained: supports no claim.
  """

  name: headline_networks.Name
  variant: str
  bits: int | None
  overflow_mode: str
  simd: int
  mean: float
  deviation: float | None
  seeds: int
  undertrained: bool

  @property
  def machine(self) -> headline_costs.Machine:
    """What a network that is trained through overflow runs on."""
    assert self.bits is not None
    return headline_costs.register(
      self.bits, self.overflow_mode, simd=self.simd
    )

  def __str__(self):
    register = f' {self.overflow_mode} {self.bits}' if self.bits else ''
    return f'{self.name}{register}'


class Accuracies(NamedTuple):
  """Results of one data set.

  Attributes:
    data: its name.
    command: that made them.
    twins: the binary networks of published methods.
    ours: of our networks, those that overflow.
  """

  data: str
  command: str
  twins: tuple[Result, ...]
  ours: tuple[Result, ...]


def read(path: pathlib.Path) -> Accuracies:
  """Reads a file of results.

  Args:
    path: the file, see the module's head.

  Returns:
    What of it is compared.

  Raises:
    UserError: no such file, or something in it is missing or no accuracy.
  """
  try:
    content = json.loads(path.read_text())
    results = [_result(row) for row in content['rows']]
    data, command = content['data'], content['command']
  except OSError as error:
    raise errors.UserError(
      f'{path} cannot be read ({error.strerror}); give the JSON that '
      'experiments.compare wrote.'
    ) from error
  except (KeyError, TypeError, json.JSONDecodeError) as error:
    raise errors.UserError(
      f'{path} is no file of results ({error!r}); give the JSON that '
      'experiments.compare wrote.'
    ) from error
  behind = {result.name for result in results if result.undertrained}
  twins = [
    result._replace(undertrained=result.name in behind) for result in results
    if result.variant == 'binary' and result.name.method in methods.BUILDERS
  ]
  ours = [
    result for result in results if result.variant == 'overflow'
    and result.name.method == headline_networks.OURS
  ]
  return Accuracies(data, command, tuple(twins), tuple(ours))


def _result(row: Mapping[str, Any]) -> Result:
  register = row['accumulator'] or {}
  accuracy = row['accuracy']
  name = headline_networks.Name(row['method'], row['size'])
  if not 0 <= accuracy['mean'] <= 1:
    raise errors.UserError(
      f'the accuracy of {name}, {accuracy["mean"]}, is no share; give 0.93 for '
      '93 %.'
    )
  narrow = row['variant'] == 'overflow'
  return Result(
    name, row['variant'], register['bits'] if narrow else None,
    register['overflow_mode'] if narrow else 'exact',
    register.get('simd', _SIMD), accuracy['mean'], accuracy['deviation'],
    accuracy['seeds'], bool(row['undertrained']),
  )


def smallest(
  ours: Sequence[Result], costs: Mapping[Result, float], accuracy: float
) -> Result | None:
  """The smallest of our networks that is not below an accuracy.

  Args:
    ours: results.
    costs: area times time of each, which chooses among registers of one size.
    accuracy: to reach.

  Returns:
    The result, or None where no network reaches it.
  """
  reached = [result for result in ours if result.mean >= accuracy]
  return min(reached, default=None, key=lambda result: (
    headline_networks.SIZES.index(result.name.size), costs[result]
  ))


def qualifying(compared: Sequence[headline_networks.Name]) -> list[str]:
  """The methods of the ten that have a comparison."""
  ten = {name.method for name in headline_networks.TEN}
  return sorted({name.method for name in compared} & ten)
