"""The options of a config string, such as 'smoke,data=folder,seed=3'."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any


def choice(*valid: Any) -> Callable[[str, str], Any]:
  """An option that takes one of `valid`, of which all have one type."""
  def parse(name: str, text: str) -> Any:
    """The value that `text` names."""
    for value in valid:
      if text == str(value):
        return value
    raise ValueError(
      f'{name}={text} is not possible; choose one of '
      f'{", ".join(map(str, valid))}.'
    )
  return parse


def number(kind: type, low: float, high: float) -> Callable[[str, str], Any]:
  """An option that takes an int or float between `low` and `high`."""
  def parse(name: str, text: str) -> Any:
    """The number that `text` says."""
    try:
      value = kind(text)
    except ValueError:
      value = None
    if value is None or not low <= value <= high:
      noun = 'a whole number' if kind is int else 'a number'
      raise ValueError(
        f'{name}={text} is not possible; choose {noun} from {low} to {high}.'
      )
    return value
  return parse


def text(name: str, value: str) -> str:
  """An option that takes any text but none at all."""
  if not value:
    raise ValueError(f'{name}= needs a value behind it.')
  return value


def switch(name: str, value: str) -> bool:
  """An option that stands alone."""
  if value:
    raise ValueError(f'{name} takes no value; write {name} alone.')
  return True


def options(
  string: str, parsers: Mapping[str, Callable[[str, str], Any]]
) -> dict[str, Any]:
  """Reads a config string.

  Args:
    string: options separated by commas, `name` or `name=value`.
    parsers: for each valid name, a function of name and text that gives the
      value or raises a ValueError.

  Returns:
    The values of the options that are there.

  Raises:
    ValueError: an option that does not exist, stands twice, or has a value
      that it cannot have; the message lists what is valid.
  """
  found: dict[str, Any] = {}
  for part in filter(None, string.split(',')):
    name, _, value = part.partition('=')
    if name not in parsers:
      raise ValueError(
        f'config option {name!r} does not exist; choose from '
        f'{", ".join(parsers)}.'
      )
    if name in found:
      raise ValueError(f'config option {name!r} stands twice; keep one.')
    found[name] = parsers[name](name, value)
  return found
