"""Area, clock and power of arrays, put together from measured parts.

`python -m experiments.synthesis_parts` maps each part to cells and stores what
it found; the file names the cells and the releases of the tools. An array is
PES elements, each a sixteenth of a row of 16, LANES units and, where units are
shared, a second register for each element that holds its sum until the unit
takes it. Its clock is that of
its slowest part. `docs/accelerator.md` says how far that is from whole arrays.
"""

from collections.abc import Mapping
import dataclasses
import json
import pathlib
from typing import Any
from typing import NoReturn

from bnn_jax import errors

# Options of the experiment by the field of a part.
_OPTIONS = {'simd': 'simd', 'bits': 'bits', 'overflow_mode': 'modes'}


@dataclasses.dataclass(frozen=True)
class Mapped:
  """An array in cells.

  Attributes:
    area: um2.
    path: the longest, in ns; 1 / path is its clock.
    energy: pJ of a cycle, at the activity that the measurement assumed.
  """

  area: float
  path: float
  energy: float


@dataclasses.dataclass(frozen=True, eq=False)
class Areas:
  """Measured parts.

  Attributes:
    source: the file.
    library: name of the cells.
    tools: their versions.
    rows: of `elements`, `units` and `shared`.
  """

  source: pathlib.Path
  library: str
  tools: Mapping[str, str]
  rows: Mapping[str, list[dict[str, Any]]]

  def mapped(
    self, *, pes: int, lanes: int, simd: int, bits: int, overflow_mode: str,
    norm: str,
  ) -> Mapped:
    """An array of these parts.

    Args:
      pes: elements.
      lanes: units.
      simd: lanes of a word.
      bits: P of the accumulators.
      overflow_mode: 'wrap' or 'saturate'.
      norm: of the units.

    Returns:
      The array.

    Raises:
      UserError: a part has not been measured.
    """
    element = self._row(
      'elements', simd=simd, bits=bits, overflow_mode=overflow_mode
    )
    unit = self._row('units', norm=norm, bits=bits)
    share = pes / element['pes']
    area = share * element['area'] + lanes * unit['area']
    energy = share * _energy(element) + lanes * _energy(unit)
    if lanes < pes:
      held_area, held_energy = self._held()
      area += pes * bits * held_area
      energy += pes * bits * held_energy
    return Mapped(area, max(element['path'], unit['path']), energy)

  def _held(self) -> tuple[float, float]:
    """Area and energy of one bit that waits for a shared unit."""
    shared = self._row('shared')
    private = self._row('elements', **{
      name: shared[name] for name in ('simd', 'bits', 'overflow_mode')
    })
    held = shared['pes'] * shared['bits']
    area = (shared['area'] - private['area']) / held
    return area, (_energy(shared) - _energy(private)) / held

  def _row(self, kind: str, **key: Any) -> dict[str, Any]:
    for row in self.rows[kind]:
      if row.items() >= key.items():
        return row
    options = ''.join(
      f' --{_OPTIONS[name]} {value}' for name, value in key.items()
      if name in _OPTIONS
    )
    wanted = ', '.join(f'{name}={value}' for name, value in key.items())
    self._refuse(f'{kind} of {wanted}' if key else f'{kind} units', options)

  def _refuse(self, wanted: str, options: str) -> NoReturn:
    library = self.source.stem.removeprefix('synthesis_')
    raise errors.UserError(
      f'{self.source} has no {wanted}; measure it with python -m '
      f'experiments.synthesis_parts --library {library}{options}.'
    )


def read(path: pathlib.Path) -> Areas:
  """Reads measured parts.

  Args:
    path: what `experiments.synthesis_parts` wrote.

  Returns:
    The parts.

  Raises:
    UserError: there is no such file.
  """
  if not path.exists():
    raise errors.UserError(
      f'{path} does not exist; make it with python -m '
      'experiments.synthesis_parts.'
    )
  results = json.loads(path.read_text())
  rows = {kind: results[kind] for kind in ('elements', 'units', 'shared')}
  return Areas(path, results['library'], results['tools'], rows)


def _energy(row: Mapping[str, Any]) -> float:
  """Of a cycle, in pJ: power (mW) by the clock (ns) it was measured at."""
  return row['power'] * row['path']
