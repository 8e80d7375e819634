"""Pieces of HTML. Whatever is a plain `str` gets escaped; `Html` does not."""

from collections.abc import Iterable
from collections.abc import Sequence
import html
import json
from typing import Any


class Html(str):
  """Text that is HTML already."""


class Cell(str):
  """A cell's text whose background shows a share of 1.

  Attributes:
    share: 0 (plain) to 1.
    kind: 'good' or 'bad', the hue.
  """

  share: float
  kind: str

  def __new__(cls, text: str, share: float, kind: str = 'bad'):
    """Returns the text with its share."""
    cell = super().__new__(cls, text)
    cell.share = share
    cell.kind = kind
    return cell


def text(value: Any) -> Html:
  """Returns any value as escaped text, and `Html` as it is."""
  return value if isinstance(value, Html) else Html(html.escape(str(value)))


def join(parts: Iterable[str]) -> Html:
  """Returns the parts one after the other, each escaped by `text`."""
  return Html('\n'.join(text(part) for part in parts))


def tag(name: str, content: Any, **attributes: str) -> Html:
  """Returns an element; `class_` is written class, `aria_label` aria-label."""
  written = ''.join(
    f' {key.strip("_").replace("_", "-")}="{html.escape(value)}"'
    for key, value in attributes.items()
  )
  return Html(f'<{name}{written}>{text(content)}</{name}>')


def section(name: str, title: str, *parts: str) -> Html:
  """Returns a section with a heading, to be linked by its name."""
  return tag('section', join((tag('h2', title), *parts)), id=name)


def table(
  head: Sequence[str],
  rows: Sequence[Sequence[str]],
  foot: Sequence[str] = (),
  texts: int = 1,
  kind: str = '',
) -> Html:
  """Returns a table in a box that scrolls sideways where it is too wide.

  Args:
    head: the columns' names.
    rows: cells, as many as columns.
    foot: a last row of totals.
    texts: how many of the first columns hold text; the others hold numbers.
    kind: a class of the table.
  """
  def row(cells: Sequence[str], element: str) -> Html:
    return tag('tr', join(
      _cell(cell, element, column < texts) for column, cell in enumerate(cells)
    ))

  parts = [
    tag('thead', row(head, 'th')),
    tag('tbody', join(row(cells, 'td') for cells in rows)),
  ]
  if foot:
    parts.append(tag('tfoot', row(foot, 'td')))
  return tag('div', tag('table', join(parts), class_=kind), class_='scroll')


def _cell(cell: str, element: str, is_text: bool) -> Html:
  attributes = {'class_': 'text' if is_text else 'number'}
  if isinstance(cell, Cell) and cell.share > 0:
    attributes['class_'] += f' {cell.kind}'
    attributes['style'] = f'--share:{cell.share:.3f}'
  return tag(element, cell, **attributes)


def facts(pairs: Iterable[tuple[str, Any]]) -> Html:
  """Returns a list of names and their values."""
  return tag('dl', join(
    tag('div', join((tag('dt', name), tag('dd', value))))
    for name, value in pairs
  ), class_='facts')


def tree(value: Any) -> Html:
  """Returns nested dictionaries and lists as nested lists of facts."""
  if isinstance(value, dict) and value:
    return facts((key, tree(item)) for key, item in value.items())
  if isinstance(value, list) and any(isinstance(v, dict) for v in value):
    return facts((str(i), tree(item)) for i, item in enumerate(value))
  return tag('code', json.dumps(value, ensure_ascii=False))
