"""Places of arrays in a memory; they share rows where one is read no more."""

from collections.abc import Sequence
from typing import NamedTuple


class Array(NamedTuple):
  """What needs rows.

  Attributes:
    name: of the array.
    rows: that it needs.
    first: number of the step that writes it.
    last: number of the last step that reads it.
    over: name of an array, read last by the step that writes this one, whose
      rows it may take; '' for none.
  """

  name: str
  rows: int
  first: int
  last: int
  over: str


def places(arrays: Sequence[Array]) -> tuple[dict[str, int], int]:
  """Gives each array the lowest free rows.

  Args:
    arrays: in the order in which they are written.

  Returns:
    The first row of each by its name, and how many rows are needed in all.
  """
  placed: dict[str, tuple[Array, int]] = {}
  for array in arrays:
    if array.over:
      placed[array.name] = array, placed[array.over][1]
      continue
    taken = sorted(
      (base, base + other.rows) for other, base in placed.values()
      if other.last >= array.first
    )
    base = 0
    for start, stop in taken:
      if base + array.rows <= start:
        break
      base = max(base, stop)
    placed[array.name] = array, base
  rows = max((base + array.rows for array, base in placed.values()), default=0)
  return {name: base for name, (_, base) in placed.items()}, rows
