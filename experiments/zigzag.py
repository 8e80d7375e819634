"""Cycles of convolutions by ZigZag, an independent model of accelerators.

  experiments/zigzag.sh

makes an environment of its own in build/zigzag (450 MB; ZigZag's dependencies
are not those of this package), and runs this file in it. ZigZag (Mei et al.,
"ZigZag: Enlarging Joint Architecture-Mapping Design Space Exploration", IEEE
Transactions on Computers 2021) searches the best order of loops on an array
with the width, the registers and the memories of ours, and counts cycles in a
way of its own. The layers are the convolutions of our network of size M and
others that fill words or passes only in part. It is an error if any differs
from the cycles in which our array has operands by more than 1 %.
"""

import json
import logging
import pathlib
import sys
import tempfile
from typing import Any

from bnn_jax.accelerator import schedule

PES, SIMD, REGISTER = 16, 64, 16
LIMIT = 0.01
# Size M, and a classical block; positions, outputs, channels, taps, stride.
LAYERS = {
  'stem, one part': (25, 96, 80, 3, 4),
  'block 0': (25, 96, 96, 5, 1),
  'block 2': (13, 128, 96, 3, 2),
  'block 3': (13, 128, 128, 3, 1),
  '64 to 64, 3 x 3': (125, 64, 64, 9, 1),
  '64 to 40, 5': (49, 40, 64, 5, 1),
}


def main() -> None:
  """Compares all layers."""
  # It tells of every step of its search.
  logging.disable(logging.INFO)
  worst = 0.0
  for name, layer in LAYERS.items():
    ours, theirs = array_cycles(*layer[:4]), zigzag_cycles(*layer)
    worst = max(worst, abs(theirs / ours - 1))
    print(f'{name:<18}{ours:>7} cycles, ZigZag {theirs:>9.0f} '
          f'({theirs / ours - 1:+.2%})')
  print(f'largest difference: {worst:.2%}')
  if worst > LIMIT:
    sys.exit(1)


def array_cycles(
  positions: int, outputs: int, channels: int, taps: int
) -> int:
  """Cycles in which our array has operands."""
  shape = schedule.Shape(positions, 1, channels, taps, outputs, SIMD)
  run = schedule.passes(shape, PES, PES)
  return run.windows * run.tiles * run.cycles


def zigzag_cycles(
  positions: int, outputs: int, channels: int, taps: int, stride: int
) -> float:
  """The latency that ZigZag finds."""
  from zigzag import api

  layer = {
    'id': 0, 'name': 'conv', 'operator_type': 'Conv',
    'equation': 'O[b][k][ox]+=W[k][c][fx]*I[b][c][ix]',
    'dimension_relations': [f'ix={stride}*ox+1*fx'],
    'loop_dims': ['B', 'K', 'C', 'OX', 'FX'],
    'loop_sizes': [1, outputs, channels, positions, taps],
    'operand_precision': {'W': 1, 'I': 1, 'O': REGISTER, 'O_final': 1},
    'operand_source': {'I': 0, 'W': 0},
  }
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    files = {'array': hardware(), 'mapping': mapping()}
    for file, content in files.items():
      # JSON is YAML.
      (folder / f'{file}.yaml').write_text(json.dumps(content))
    _, latency, *_ = api.get_hardware_performance_zigzag(
      workload=_written(folder, layer),
      accelerator=str(folder / 'array.yaml'),
      mapping=str(folder / 'mapping.yaml'),
      dump_folder=str(folder / 'out'), opt='latency',
      loma_show_progress_bar=False,
    )
  return latency


def _written(folder: pathlib.Path, layer: dict[str, Any]) -> str:
  path = folder / 'workload.yaml'
  path.write_text(json.dumps([layer]))
  return str(path)


def mapping() -> list[dict[str, Any]]:
  """Elements share a word's channels and have an output each."""
  return [{
    'name': 'default',
    'spatial_mapping': {'D1': [f'K, {PES}'], 'D2': [f'C, {SIMD}']},
    'memory_operand_links': {'O': 'O', 'W': 'I2', 'I': 'I1'},
  }]


def hardware() -> dict[str, Any]:
  """Our array: a register for each element, three memories."""
  return {
    'name': 'array',
    'operational_array': {
      'input_precision': [1, 1], 'unit_energy': 0.0, 'unit_area': 1.0,
      'dimensions': ['D1', 'D2'], 'sizes': [PES, SIMD],
    },
    'memories': {
      'register': memory(REGISTER, REGISTER, ['D2'], {
        'O': ('fh', 'tl', 'fl', 'th'),
      }),
      'weights': memory(2**22, PES * SIMD, ['D1', 'D2'], {'I2': ('tl',)}),
      'operands': memory(2**20, SIMD, ['D1', 'D2'], {'I1': ('tl',)}),
      'results': memory(2**22, PES * REGISTER, ['D1', 'D2'], {
        'O': ('tl', 'fl'),
      }),
    },
  }


def memory(
  size: int, width: int, dimensions: list[str],
  directions: dict[str, tuple[str, ...]],
) -> dict[str, Any]:
  """A memory.

  Args:
    size: in bits.
    width: of each port, in bits a cycle.
    dimensions: of the array, that share it.
    directions: for each operand, from (f) and to (t) the level below (l) or
      above (h); each has a port.
  """
  ports = []
  counts = {'read': 0, 'write': 0}
  for operand, each in directions.items():
    for direction in each:
      kind = 'read' if direction[0] == 't' else 'write'
      counts[kind] += 1
      ports.append({
        'name': f'{kind[0]}_port_{counts[kind]}', 'type': kind,
        'bandwidth_min': width, 'bandwidth_max': width,
        'allocation': [f'{operand}, {direction}'],
      })
  return {
    'size': size, 'r_cost': 1.0, 'w_cost': 1.0, 'area': 0.0, 'latency': 1,
    'auto_cost_extraction': False, 'operands': list(directions),
    'ports': ports, 'served_dimensions': dimensions,
  }


if __name__ == '__main__':
  main()
