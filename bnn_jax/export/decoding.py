"""Values of a JSON document, each by its type; a decoder raises ValueError."""

from collections.abc import Callable
from typing import Any
from typing import NoReturn

from bnn_jax import errors
from bnn_jax.export import limits


def fail(where: str, field: str, problem: str) -> NoReturn:
  """Refuses a field of the object that `where` names with a UserError."""
  raise errors.UserError(
    f'{where}, field {field}: {problem}; export the network again.'
  )


def refuse_absence(where: str, field: str) -> NoReturn:
  """Refuses that a field is not there with a UserError."""
  raise errors.UserError(
    f'{where}, field {field} is missing; export the network again.'
  )


def field(
  row: Any, name: str, decoder: Callable[[Any], Any], where: str
) -> Any:
  """A field of an object.

  Args:
    row: what should be the object.
    name: of the field.
    decoder: what the field is made with; it raises ValueError on another type.
    where: what an error calls the object.

  Raises:
    UserError: the field is missing or of another type.
  """
  if not isinstance(row, dict) or name not in row:
    refuse_absence(where, name)
  try:
    return decoder(row[name])
  except ValueError as error:
    raise errors.UserError(
      f'{where}, field {name}: {str(row[name])[:60]!r} is {error}; export the '
      'network again.'
    ) from error


def typed(kind: type, name: str) -> Callable[[Any], Any]:
  """Makes the decoder of a type of Python's that is called `name`."""
  def decoder(value):
    if not isinstance(value, kind):
      raise ValueError(f'no {name}')
    return value
  return decoder


text = typed(str, 'text')
boolean = typed(bool, 'boolean')
items = typed(list, 'list')
mapping = typed(dict, 'object')


def count(value: Any) -> int:
  """A number of bits or bytes."""
  if isinstance(value, bool) or not isinstance(value, int) or value < 0:
    raise ValueError('no number of things')
  if value > 8 * limits.DATA:
    raise ValueError('out of range')
  return value


def integer(value: Any) -> int:
  """An integer within its limit."""
  if isinstance(value, bool) or not isinstance(value, int):
    raise ValueError('no integer')
  if abs(value) > limits.INTEGER:
    raise ValueError('out of range')
  return value


def real(value: Any) -> float:
  """A number with a point or an exponent."""
  if not isinstance(value, float):
    raise ValueError('no real number')
  return value


def integers(value: Any) -> tuple[int, ...]:
  """A list of them."""
  return tuple(map(integer, items(value)))


def texts(value: Any) -> tuple[str, ...]:
  """A list of texts."""
  return tuple(map(text, items(value)))


def pair(value: Any) -> tuple[int, ...]:
  """A list of two integers."""
  two = integers(value)
  if len(two) != 2:
    raise ValueError('no pair')
  return two


def pairs(value: Any) -> tuple[tuple[int, ...], ...]:
  """A list of pairs."""
  return tuple(map(pair, items(value)))


def record(kind: Any, **decoders: Callable[[Any], Any]):
  """Makes the decoder of a class of exactly these fields."""
  def decoder(value):
    if set(mapping(value)) != set(decoders):
      raise ValueError(f'no object of {", ".join(decoders)}')
    return kind(**{name: d(value[name]) for name, d in decoders.items()})
  return decoder
