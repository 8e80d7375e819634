"""Area and clock of the array, by Yosys and OpenSTA on a library of cells.

Wires are ideal and memories are no part of it: numbers are for comparing arrays
with each other.
"""

from collections.abc import Sequence
import dataclasses
import pathlib
import re
import tempfile

from bnn_jax import errors
from bnn_jax.accelerator import fields
from bnn_jax.accelerator import nangate
from bnn_jax.accelerator import tools

PROGRAMS = ('yosys', 'sta')
# OpenSTA takes it for all nets where nothing is simulated.
ACTIVITY = 0.2
# 'full_deep' has one register more than 'full'; 'none' leaves the units out.
NORMS = ('none', 'threshold', 'shift', 'full', 'full_deep')
# Ways to map logic to cells that are as good as each other, so that what they
# differ in is the noise of the tool. The first one is Yosys's own.
_CLEAN = 'strash; &get -n; &fraig -x; &put; scorr; dc2; '
_SIZE = 'buffer; upsize -D {period}; dnsize -D {period}'
SCRIPTS = (
  f'{_CLEAN}strash; &get -n; &dch -f; &nf -D {{period}}; &put; {_SIZE}',
  f'{_CLEAN}dc2; dc2; strash; &get -n; &dch -f; &nf -D {{period}}; &put; '
  f'{_SIZE}',
  f'{_CLEAN}strash; dch -f; map -B 0.9 -D {{period}}; topo; {_SIZE}',
)


@dataclasses.dataclass(frozen=True)
class Library:
  """Cells of a process.

  Attributes:
    name: of it.
    liberty: its file.
    driver: the cell that drives every input.
    load: of every output, in fF.
    nand: area of a NAND of two inputs, the unit of `Measured.gates`.
    period: clock in ns that mapping aims at.
    install: the command that brings it.
  """

  name: str
  liberty: pathlib.Path
  driver: str
  load: float
  nand: float
  period: float
  install: str = tools.INSTALL


OSU018 = Library(
  'OSU 180 nm',
  pathlib.Path('/usr/share/qflow/tech/osu018/osu018_stdcells.lib'),
  'BUFX2', 10.0, 24.0, 3.0,
)
NANGATE45 = Library(
  'Nangate 45 nm', nangate.folder() / 'stdcells.lib', 'BUF_X2', 10.0, 0.798,
  1.0, nangate.INSTALL,
)
LIBRARIES = {'osu018': OSU018, 'nangate45': NANGATE45}


@dataclasses.dataclass(frozen=True)
class Point:
  """An array.

  Attributes:
    bits: P of its accumulators.
    overflow_mode: 'wrap' or 'saturate'.
    norm: one of `NORMS`.
    simd: lanes of a word.
    pes: elements.
    lanes: normalization units.
    span: levels of the popcount tree between two registers.
  """

  bits: int
  overflow_mode: str
  norm: str
  simd: int
  pes: int = 1
  lanes: int = 1
  span: int = 2

  top = 'array'

  def parameters(self) -> dict[str, int]:
    """Those of array.v."""
    if self.norm not in NORMS or self.overflow_mode not in ('wrap', 'saturate'):
      raise errors.UserError(
        f'norm={self.norm} with overflow_mode={self.overflow_mode} is no '
        f'array; choose norm from {", ".join(NORMS)} and wrap or saturate.'
      )
    _check_bits(self.bits)
    return {
      'PES': self.pes,
      'LANES': self.lanes,
      'SIMD': self.simd,
      'BITS': self.bits,
      'SATURATE': int(self.overflow_mode == 'saturate'),
      'SPAN': self.span,
      'SHIFT': int(self.norm == 'shift'),
      'THRESHOLD': int(self.norm == 'threshold'),
      'FULL': int(self.norm in ('full', 'full_deep')),
      'DEEP': int(self.norm == 'full_deep'),
    }


@dataclasses.dataclass(frozen=True)
class Unit:
  """A normalization unit alone.

  Attributes:
    norm: one of `NORMS` but 'none'.
    bits: P of the register that it reads.
  """

  norm: str
  bits: int

  @property
  def top(self) -> str:
    """Its module."""
    return f'bn_{self.norm.removesuffix("_deep")}'

  def parameters(self) -> dict[str, int]:
    """Those of its module."""
    if self.norm == 'none' or self.norm not in NORMS:
      raise errors.UserError(
        f'norm={self.norm} is no unit; choose one of {", ".join(NORMS[1:])}.'
      )
    _check_bits(self.bits)
    deep = {'DEEP': 1} if self.norm == 'full_deep' else {}
    return {'BITS': self.bits} | deep


def _check_bits(bits: int) -> None:
  if not 2 <= bits <= 24:
    raise errors.UserError(
      f'bits={bits} is no accumulator; give 2 to 24 (docs/arithmetic.md).'
    )


@dataclasses.dataclass(frozen=True)
class Measured:
  """What a mapped array is like.

  Attributes:
    area: of its cells, in um2.
    gates: the same in NANDs of two inputs.
    path: longest from register to register, or of a port, in ns, with setup.
    power: mW at a clock of 1 / path and `ACTIVITY`.
  """

  area: float
  gates: float
  path: float
  power: float


def measure(
  point: Point | Unit, library: Library = OSU018, script: str = SCRIPTS[0]
) -> Measured:
  """Maps an array, or one of its units, to cells.

  Args:
    point: what is mapped.
    library: the cells.
    script: one of `SCRIPTS`.

  Returns:
    Its area, path and power.

  Raises:
    UserError: a tool or the library is missing, or fails.
  """
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    area = netlist(point, folder, library, script)
    path = _slack(point.top, library, folder, 0.0)
    power = _power(point.top, library, folder, path)
  return Measured(area, area / library.nand, path, power)


def netlist(
  point: Point | Unit, folder: pathlib.Path, library: Library = OSU018,
  script: str = SCRIPTS[0],
) -> float:
  """Writes the cells that an array is mapped to, as `netlist.v`.

  Args:
    point: what is mapped.
    folder: where it writes.
    library: the cells.
    script: one of `SCRIPTS`.

  Returns:
    The area of all cells, in um2.

  Raises:
    UserError: a tool or the library is missing, or fails.
  """
  parameters = point.parameters()
  tools.require(PROGRAMS)
  if not library.liberty.exists():
    raise errors.UserError(
      f'{library.liberty}, the cells of {library.name}, does not exist; '
      f'install them with {library.install}.'
    )
  return _map(point.top, parameters, library, script, folder)


def versions() -> dict[str, str]:
  """What the tools call themselves, by their names."""
  tools.require(PROGRAMS)
  here = pathlib.Path()
  return {
    'yosys': tools.run(['yosys', '-V'], here).strip(),
    'sta': tools.run(['sta', '-version'], here).strip(),
  }


def read_commands(top: str, parameters: dict[str, int]) -> list[str]:
  """Commands of Yosys that read a module and set its parameters."""
  settings = ' '.join(
    f'-set {name} {value}' for name, value in parameters.items()
  )
  sources = ' '.join(
    str(fields.RTL / f'{name}.v')
    for name in (
      'array', 'pe', 'popcount', 'bn_full', 'bn_shift', 'bn_threshold'
    )
  )
  return [f'read_verilog {sources}', f'chparam {settings} {top}']


def _map(
  top: str, parameters: dict[str, int], library: Library, script: str,
  folder: pathlib.Path,
) -> float:
  (folder / 'ports').write_text(
    f'set_driving_cell {library.driver}\n'
    f'set_load {library.load} [all_outputs]\n'
  )
  period = f'{library.period * 1000:.0f}'
  (folder / 'mapping').write_text(script.format(period=period) + '\n')
  commands = [
    *read_commands(top, parameters),
    f'synth -flatten -top {top}',
    f'dfflibmap -liberty {library.liberty}',
    f'abc -liberty {library.liberty} -constr ports -script mapping',
    'opt_clean',
    f'tee -o area stat -liberty {library.liberty}',
    'write_verilog -noattr -noexpr netlist.v',
  ]
  tools.run(['yosys', '-q', '-p', '; '.join(commands)], folder)
  text = (folder / 'area').read_text()
  found = re.search(r'Chip area for module \S+: (\S+)', text)
  if found is None:
    raise errors.UserError(
      f'yosys gave no area of {top} {parameters}; install its tested release '
      f'with {tools.INSTALL}.'
    )
  return float(found[1])


def _sta(
  top: str, library: Library, folder: pathlib.Path, period: float,
  commands: Sequence[str],
) -> str:
  script = [
    f'read_liberty {library.liberty}',
    'read_verilog netlist.v',
    f'link_design {top}',
    f'create_clock -period {period} clk',
    'set_input_delay 0 -clock clk [all_inputs]',
    'set_output_delay 0 -clock clk [all_outputs]',
    *commands,
    'exit',
  ]
  (folder / 'sta.tcl').write_text('\n'.join(script) + '\n')
  return tools.run(['sta', '-no_splash', '-exit', 'sta.tcl'], folder)


def _slack(
  top: str, library: Library, folder: pathlib.Path, period: float
) -> float:
  """The longest path: what is missing to it in a clock of `period`."""
  said = _sta(top, library, folder, period, [
    'report_checks -path_delay max -digits 4'
  ])
  found = re.search(r'(-?[\d.]+)\s+slack', said)
  if found is None:
    raise errors.UserError(
      f'sta found no path in the array; install its tested release with '
      f'{tools.INSTALL}.'
    )
  return period - float(found[1])


def _power(
  top: str, library: Library, folder: pathlib.Path, period: float
) -> float:
  said = _sta(top, library, folder, period, [
    f'set_power_activity -global -activity {ACTIVITY}',
    'report_power -digits 6',
  ])
  total = next(
    line for line in said.splitlines() if line.startswith('Total')
  )
  return float(total.split()[4]) * 1000
