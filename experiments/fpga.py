"""Look-up tables and clock of elements on an iCE40, by their accumulators.

  ./launch.sh rtl-tools --with-fpga
  python -m experiments.fpga

maps one element with a unit of its own, places it three times, and writes
experiments/results/fpga.json; a point takes 5 to 30 s of one core.
"""

import argparse
from collections.abc import Sequence
import dataclasses
import itertools
import json
import pathlib

from bnn_jax.accelerator import fpga
from bnn_jax.accelerator import synthesis
from bnn_jax.accelerator import tools
from experiments import program

RESULTS = pathlib.Path(__file__).parent / 'results' / 'fpga.json'
BITS = (16, 8)
NORMS = ('threshold', 'shift', 'full')


def main(arguments: Sequence[str]) -> None:
  """Measures all points, prints and writes them."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--simd', type=int, nargs='+', default=[16])
  parser.add_argument('--out', type=pathlib.Path, default=RESULTS)
  options = parser.parse_args(arguments)
  rows = []
  for simd, bits, norm in itertools.product(options.simd, BITS, NORMS):
    point = synthesis.Point(bits, 'wrap', norm, simd)
    placed = fpga.measure(point)
    rows.append(dataclasses.asdict(point) | dataclasses.asdict(placed))
    print(f'{simd:>3} lanes, {bits:>2} bits, {norm:<10}{placed.luts:>6} LUTs'
          f'{placed.frequency:>8.1f} MHz (+-{placed.spread / 2:.0%})',
          flush=True)
  results = {
    'device': fpga.DEVICE, 'seeds': fpga.SEEDS, 'tools': versions(),
    'rows': rows,
  }
  temporary = options.out.with_suffix('.part')
  temporary.write_text(json.dumps(results, indent=1) + '\n')
  temporary.rename(options.out)


def versions() -> dict[str, str]:
  """What the tools call themselves."""
  here = pathlib.Path()
  return {
    'yosys': tools.run(['yosys', '-V'], here).strip(),
    'nextpnr-ice40': tools.run(
      ['sh', '-c', 'nextpnr-ice40 --version 2>&1'], here
    ).strip(),
  }


if __name__ == '__main__':
  program.run(main)
