"""Pieces of C source: arrays, literals and comments."""

import re

import numpy as np

_COLUMNS = 80


def array(kind: str, name: str, values: np.ndarray) -> str:
  """A constant array, in lines of 80 columns.

  Args:
    kind: type of the elements.
    name: of the array.
    values: integers of any shape.
  """
  lines, line = [], ' '
  for value in np.asarray(values).ravel().tolist():
    item = f' {_literal(kind, value)},'
    if len(line) + len(item) > _COLUMNS:
      lines.append(line)
      line = ' '
    line += item
  head = f'static const {kind} {name}[{np.size(values)}] = {{'
  return '\n'.join([head, *lines, line, '};'])


def _literal(kind: str, value: int) -> str:
  if kind == 'uint64_t':
    return f'UINT64_C(0x{value:x})'
  if value == -(2**31):
    return '(-2147483647 - 1)'
  return str(value)


def string(text: str) -> str:
  """A string literal of the text in UTF-8, whatever it holds."""
  def escaped(byte):
    char = chr(byte)
    plain = char.isascii() and char.isprintable() and char not in '"\\?'
    return char if plain else f'\\{byte:03o}'

  return '"' + ''.join(map(escaped, text.encode(errors='replace'))) + '"'


def comment(text: str) -> str:
  """A name as a comment, without what could end it."""
  return '/* ' + re.sub(r'[^\w/.-]', '_', text, flags=re.ASCII) + ' */'
