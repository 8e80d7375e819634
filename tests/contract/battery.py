"""Stored cases with stored integers: a readable file, one case a line.

Operands are strings of + and -, row-major. `python -m tests.contract.battery`
writes the expected integers anew from the oracle, after a change of the
contract; a test holds the file and the oracle equal.
"""

import json
import pathlib
from typing import Any

import numpy as np

from tests.contract import cases
from tests.contract import oracle

FILE = pathlib.Path(__file__).with_name('battery.json')


def load() -> dict[str, tuple[cases.Case, cases.Observation]]:
  """Cases and what is expected of them, by name."""
  rows = json.loads(FILE.read_text())
  return {row['name']: (decode(row), expectation(row)) for row in rows}


def decode(row: dict[str, Any]) -> cases.Case:
  return cases.Case(
      x=operand(row['x'], row['x_shape']),
      w=operand(row['w'], row['w_shape']),
      machine=oracle.Machine(*row['machine']),
      preload=row['preload'],
      geometry=row['geometry'],
  )


def operand(text: str, shape: list[int]) -> np.ndarray:
  return np.reshape([{'+': 1, '-': -1}[c] for c in text], shape)


def expectation(row: dict[str, Any]) -> cases.Observation:
  return cases.Observation(row['results'], tuple(row['telemetry']))


def main() -> None:
  rows = json.loads(FILE.read_text())
  for row in rows:
    observed = cases.oracle_engine(decode(row))
    row |= {'results': observed.results, 'telemetry': observed.telemetry}
  lines = ',\n'.join(json.dumps(row) for row in rows)
  new = FILE.with_suffix('.new')
  new.write_text(f'[\n{lines}\n]\n')
  new.rename(FILE)


if __name__ == '__main__':
  main()
