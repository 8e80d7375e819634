"""How often the loops of a traced computation run."""

import math

from jax.extend import core

from bnn_jax import errors


def trips(equation: core.JaxprEqn) -> int:
  """The number of times that an equation runs what is inside of it.

  Args:
    equation: any equation of a jaxpr.

  Returns:
    The length of a scan, the count of a while loop over a counter, the size
    of a kernel's grid, or 1.

  Raises:
    UserError: a while loop that does not count from one constant to another.
  """
  match equation.primitive.name:
    case 'scan':
      return equation.params['length']
    case 'while':
      return _counted(equation)
    case 'pallas_call':
      return math.prod(equation.params['grid_mapping'].grid)
  return 1


def _counted(equation: core.JaxprEqn) -> int:
  """Trips of `while counter < limit: counter += step`."""
  first, limit, step = _counter(equation)
  if first is None or limit is None or not step:
    raise errors.UserError(
      'a while loop of this network multiplies, and how often it runs is not '
      'known before; write it as jax.lax.scan or nn.scan, whose length is.'
    )
  return max(0, -(-(limit - first) // step))


def _counter(equation: core.JaxprEqn) -> tuple[int | None, ...]:
  """First value, limit and step of a loop's counter; None for no constant."""
  params = equation.params
  condition, body = params['cond_jaxpr'].jaxpr, params['body_jaxpr'].jaxpr
  outer, inner = params['cond_nconsts'], params['body_nconsts']
  if [test.primitive.name for test in condition.eqns] != ['lt']:
    return (None,) * 3
  # Every variable of the condition by what it is outside of the loop, and at
  # the beginning and end of a trip.
  carried = condition.invars[outer:]
  given = equation.invars[:outer] + equation.invars[outer + inner:]
  start = dict(zip(condition.invars, given, strict=True))
  before = dict(zip(carried, body.invars[inner:], strict=True))
  after = dict(zip(carried, body.outvars, strict=True))
  counter, limit = condition.eqns[0].invars
  if isinstance(counter, core.Literal) or counter not in before:
    return (None,) * 3
  if isinstance(limit, core.Var):
    is_constant = limit not in before or before[limit] is after[limit]
    limit = start[limit] if is_constant else None
  step = _step(body, before[counter], after[counter])
  return _constant(start[counter]), _constant(limit), step


def _step(body: core.Jaxpr, before: core.Var, after: core.Var) -> int | None:
  """What a trip adds to a variable."""
  for equation in body.eqns:
    if equation.primitive.name == 'add' and equation.outvars[0] is after:
      constants = {_constant(v) for v in equation.invars if v is not before}
      return constants.pop() if len(constants) == 1 else None
  return None


def _constant(variable: core.Var | core.Literal | None) -> int | None:
  return int(variable.val) if isinstance(variable, core.Literal) else None
