"""Marks on a traced computation that tell what its products cost.

A trace holds shapes and element types, but not that a float32 is a sign, nor
that a product serves only to simulate a register. Whoever computes such a
thing does so under a mark, a named scope, which changes nothing of the
computation; `bnn_jax.models.costs` reads the marks. The innermost one of a
kind holds.
"""

from collections.abc import Iterable
import contextlib
from typing import NamedTuple

import jax

_LAYER = '@layer='
_OPERANDS = '@operands='
_REGISTER = '@register='
_ELEMENTWISE = '@elementwise='
_SIMULATION = '@simulation'


class Register(NamedTuple):
  """Where the sums of some products are held.

  Attributes:
    operands: K of one output.
    bits: width of the register.
    safe_bits: narrowest register that no input can overflow.
  """

  operands: int
  bits: int
  safe_bits: int


class Marks(NamedTuple):
  """What the marks around an operation say.

  Attributes:
    layer: path of the module, such as 'block0/conv'; '' for the network.
    operands: bits of a weight and of an input; None where not marked.
    register: that of the sums; None for real ones.
    elementwise: each multiplication of elements is a multiply-accumulate, so
      many of which make an output; 0 where it is none.
    simulation: no product in here belongs to the network.
  """

  layer: str = ''
  operands: tuple[int, int] | None = None
  register: Register | None = None
  elementwise: int = 0
  simulation: bool = False


def layer(path: str) -> contextlib.AbstractContextManager:
  """What is traced in here belongs to the module at `path`."""
  return jax.named_scope(_LAYER + path)


def operands(
  weight_bits: int, input_bits: int
) -> contextlib.AbstractContextManager:
  """Products in here are of operands that are deployed in so many bits."""
  return jax.named_scope(f'{_OPERANDS}{weight_bits},{input_bits}')


def register(
  operands: int, bits: int, safe_bits: int
) -> contextlib.AbstractContextManager:
  """Sums in here go through a register; arguments as of `Register`."""
  return jax.named_scope(f'{_REGISTER}{operands},{bits},{safe_bits}')


def elementwise(terms: int) -> contextlib.AbstractContextManager:
  """So many multiplications of elements in here are summed to an output."""
  return jax.named_scope(f'{_ELEMENTWISE}{terms}')


def simulation() -> contextlib.AbstractContextManager:
  """Products in here repeat others, to imitate how a machine sums them."""
  return jax.named_scope(_SIMULATION)


def read(names: Iterable[str], outer: Marks) -> Marks:
  """Reads the marks among scopes.

  Args:
    names: of the scopes around an operation, the outermost first.
    outer: marks around all of them.

  Returns:
    All marks of the operation.
  """
  marks = outer
  for name in names:
    if name.startswith(_LAYER):
      marks = marks._replace(layer=name.removeprefix(_LAYER))
    elif name.startswith(_OPERANDS):
      weight, value = _numbers(name, _OPERANDS)
      marks = marks._replace(operands=(weight, value))
    elif name.startswith(_REGISTER):
      marks = marks._replace(register=Register(*_numbers(name, _REGISTER)))
    elif name.startswith(_ELEMENTWISE):
      terms, = _numbers(name, _ELEMENTWISE)
      marks = marks._replace(elementwise=terms)
    elif name == _SIMULATION:
      marks = marks._replace(simulation=True)
  return marks


def _numbers(name: str, kind: str) -> list[int]:
  return [int(number) for number in name.removeprefix(kind).split(',')]
