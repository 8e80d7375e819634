"""Look-up tables and clock of arrays on an FPGA, a Lattice iCE40 HX8K.

An array has more ports than the chip has pins, so that for placing and routing
a chain of registers feeds its inputs and another one takes its outputs.
"""

from collections.abc import Sequence
import dataclasses
import pathlib
import re
import statistics
import tempfile

from bnn_jax import errors
from bnn_jax.accelerator import synthesis
from bnn_jax.accelerator import tools

PROGRAMS = ('yosys', 'nextpnr-ice40')
INSTALL = f'{tools.INSTALL} --with-fpga'
DEVICE = 'iCE40 HX8K'
SEEDS = (1, 2, 3)

_WRAPPER = '''
module wrapper(input clk, input serial, output reg parity);
  reg [{inputs}-1:0] chain;
  wire [{outputs}-1:0] found;
  reg [{outputs}-1:0] held;
  always @(posedge clk) begin
    chain <= {{chain[{inputs}-2:0], serial}};
    held <= chain[0] ? found : {{held[{outputs}-2:0], held[{outputs}-1]}};
    parity <= held[{outputs}-1];
  end
  array array (.clk(clk), {ports});
endmodule
'''


@dataclasses.dataclass(frozen=True)
class Placed:
  """An array on the chip.

  Attributes:
    luts: of four inputs, without the chains.
    registers: likewise.
    frequency: MHz, the median of the seeds.
    spread: largest less smallest frequency, as a share of the median.
  """

  luts: int
  registers: int
  frequency: float
  spread: float


def measure(
  point: synthesis.Point, seeds: Sequence[int] = SEEDS
) -> Placed:
  """Places and routes an array.

  Args:
    point: the array.
    seeds: of the placement.

  Returns:
    What it takes.

  Raises:
    UserError: a tool is missing or fails, as where the array is too large.
  """
  parameters = point.parameters()
  sentence = tools.missing(PROGRAMS)
  if sentence is not None:
    raise errors.UserError(sentence.replace(tools.INSTALL, INSTALL))
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    luts, registers = _map(point, parameters, folder)
    found = [_route(folder, seed) for seed in seeds]
  middle = statistics.median(found)
  return Placed(luts, registers, middle, (max(found) - min(found)) / middle)


def _map(
  point: synthesis.Point, parameters: dict[str, int], folder: pathlib.Path
) -> tuple[int, int]:
  """Writes the chip's netlist; gives look-up tables and registers."""
  read = synthesis.read_commands(point.top, parameters)
  _yosys([*read, 'synth_ice40 -top array', 'tee -o cells stat'], folder)
  counts = {
    name: int(count) for name, count in re.findall(
      r'^ +(SB_\w+) +(\d+)$', (folder / 'cells').read_text(), re.MULTILINE
    )
  }
  (folder / 'wrapper.v').write_text(_wrapper(point))
  wrap = ['read_verilog wrapper.v', 'synth_ice40 -top wrapper -json net.json']
  _yosys([*read, *wrap], folder)
  registers = sum(
    count for name, count in counts.items() if name.startswith('SB_DFF')
  )
  return counts['SB_LUT4'], registers


def _wrapper(point: synthesis.Point) -> str:
  count = point.simd.bit_length()
  inputs = {
    'reset': 1, 'weights': point.pes * point.simd, 'operands': point.simd,
    'enable': 1, 'first': 1, 'last': 1, 'part': 1, 'full_offset': count,
    'part_offset': count, 'preloads': point.pes * point.bits, 'odd': 16,
    'thresholds': point.lanes * (point.bits + 1), 'factors': point.lanes * 16,
    'biases': point.lanes * 24,
  }
  outputs = {
    'slot': 1, 'registers': point.lanes * point.bits, 'bits': point.lanes,
    'y': point.lanes * 8,
  }
  ports = _slices('chain', inputs) + _slices('found', outputs)
  return _WRAPPER.format(
    inputs=sum(inputs.values()), outputs=sum(outputs.values()),
    ports=', '.join(ports),
  )


def _slices(wire: str, widths: dict[str, int]) -> list[str]:
  """Each port on its own bits of a wire."""
  ports, start = [], 0
  for name, width in widths.items():
    ports.append(f'.{name}({wire}[{start}+:{width}])')
    start += width
  return ports


def _yosys(commands: Sequence[str], folder: pathlib.Path) -> None:
  tools.run(['yosys', '-q', '-p', '; '.join(commands)], folder)


def _route(folder: pathlib.Path, seed: int) -> float:
  """The clock in MHz that the last report of the timing names."""
  tools.run(
    ['nextpnr-ice40', '--hx8k', '--package', 'ct256', '--json', 'net.json',
     '--pcf-allow-unconstrained', '--freq', '100', '--timing-allow-fail',
     '--seed', str(seed), '--quiet', '--log', 'log'],
    folder,
  )
  found = re.findall(
    r'Max frequency for clock[^:]*: ([\d.]+) MHz', (folder / 'log').read_text()
  )
  return float(found[-1])
