"""Multiply-accumulates of a traced computation, whatever made it.

They are counted in the jaxpr: dot products and convolutions, inside of loops
as often as these run, in calls of any kind, and in the larger branch where a
condition chooses. Batch normalization, activations and pooling have none.
`bnn_jax.nn.marks` tells what shapes and element types do not.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import math
from typing import Any

from jax.extend import core

from bnn_jax.models import loops
from bnn_jax.nn import marks as marks_lib


@dataclasses.dataclass(frozen=True)
class Product:
  """The multiply-accumulates of one operation.

  Attributes:
    layer: path of the module that computes it; '' for the network itself.
    macs: their number.
    operands: terms of one sum.
    weight_bits: of one weight, the right operand.
    input_bits: of one input, the left operand.
    register: of the sums; None for real ones.
  """

  layer: str
  macs: int
  operands: int
  weight_bits: int
  input_bits: int
  register: marks_lib.Register | None

  @property
  def ace(self) -> int:
    """Arithmetic computation effort (Zhang et al. 2022, PokeBNN).

    The multiply-accumulates by the product of their operands' bits.
    """
    return self.macs * self.weight_bits * self.input_bits

  @property
  def bit_operations(self) -> int:
    """The effort, and the additions' bits (Baskin et al. 2021, UNIQ).

    An addition takes as many bits as hold the sum: those of the register, or
    else of both operands and the logarithm of their number.
    """
    growth = (self.operands - 1).bit_length()
    addition = self.weight_bits + self.input_bits + growth
    if self.register is not None:
      addition = self.register.bits
    return self.ace + self.macs * addition


def products(traced: core.ClosedJaxpr) -> list[Product]:
  """Finds the products of a traced computation.

  Args:
    traced: what `jax.make_jaxpr` gives.

  Returns:
    One entry for each operation that multiplies, in the order of the trace.

  Raises:
    UserError: a loop with products whose trip count nothing tells.
  """
  return list(_walk(traced.jaxpr, marks_lib.Marks()))


def total(found: Sequence[Product]) -> int:
  """Multiply-accumulates of them all."""
  return sum(product.macs for product in found)


def by_width(found: Sequence[Product]) -> dict[str, int]:
  """Multiply-accumulates by 'weight bits x input bits', such as '1x8'."""
  macs: dict[str, int] = {}
  for product in found:
    width = f'{product.weight_bits}x{product.input_bits}'
    macs[width] = macs.get(width, 0) + product.macs
  return dict(sorted(macs.items(), key=lambda item: _width_key(item[0])))


def _width_key(width: str) -> list[int]:
  return [int(bits) for bits in width.split('x')]


def _walk(jaxpr: core.Jaxpr, outer: marks_lib.Marks) -> Iterator[Product]:
  for equation in jaxpr.eqns:
    scopes = equation.source_info.name_stack.stack
    marks = marks_lib.read([scope.name for scope in scopes], outer)
    if not marks.simulation:
      yield from _of_equation(equation, marks)


def _of_equation(
  equation: core.JaxprEqn, marks: marks_lib.Marks
) -> Iterator[Product]:
  operands = _operands(equation, marks)
  if operands:
    yield _product(equation, operands, marks)
  elif equation.primitive.name == 'cond':
    branches = [
      list(_walk(branch.jaxpr, marks))
      for branch in equation.params['branches']
    ]
    yield from max(branches, key=total)
  else:
    for jaxpr in _inner(equation.params):
      inside = list(_walk(jaxpr, marks))
      # A loop without products may run as long as it likes.
      times = loops.trips(equation) if inside else 1
      for product in inside:
        yield dataclasses.replace(product, macs=product.macs * times)


def _operands(equation: core.JaxprEqn, marks: marks_lib.Marks) -> int:
  """Multiplications for an output of the operation; 0 where it has none."""
  name = equation.primitive.name
  if name == 'dot_general':
    (contracted, _), _ = equation.params['dimension_numbers']
    shape = _aval(equation.invars[0]).shape
    return math.prod(shape[axis] for axis in contracted)
  if name == 'conv_general_dilated':
    numbers = equation.params['dimension_numbers']
    shape = _aval(equation.invars[1]).shape
    # The kernel's axis of channels is already that of one group.
    return math.prod(shape[axis] for axis in numbers.rhs_spec[1:])
  return int(name == 'mul' and marks.elementwise > 0)


def _product(
  equation: core.JaxprEqn, operands: int, marks: marks_lib.Marks
) -> Product:
  outputs = math.prod(_aval(equation.outvars[0]).shape)
  bits = [8 * _aval(v).dtype.itemsize for v in equation.invars[:2]]
  weight_bits, input_bits = marks.operands or (bits[1], bits[0])
  return Product(
    layer=marks.layer, macs=operands * outputs,
    operands=_summed(operands, marks),
    weight_bits=weight_bits, input_bits=input_bits, register=marks.register,
  )


def _summed(terms: int, marks: marks_lib.Marks) -> int:
  """K of an output, whatever part of it one operation has."""
  if marks.register is not None:
    return marks.register.operands
  return marks.elementwise or terms


def _aval(variable: core.Var | core.Literal) -> Any:
  """Shape and dtype; those of arrays have more than JAX's types say."""
  return variable.aval


def _inner(params: dict[str, Any]) -> Iterator[core.Jaxpr]:
  """The jaxprs that an equation runs."""
  for value in params.values():
    for part in value if isinstance(value, tuple | list) else (value,):
      if isinstance(part, core.ClosedJaxpr):
        yield part.jaxpr
      elif isinstance(part, core.Jaxpr):
        yield part
