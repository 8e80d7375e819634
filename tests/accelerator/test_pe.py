"""The processing element, many of them in one simulation, in Python integers.

The bench has a row of inputs for each cycle and writes all registers down.
"""

import pathlib
import shutil
from typing import NamedTuple

import numpy as np
import pytest

from bnn_jax.accelerator import fields
from bnn_jax.accelerator import images
from bnn_jax.accelerator import tools
from tests.accelerator import installed
from tests.contract import oracle

HERE = pathlib.Path(__file__).parent
IVERILOG = installed.needs(('iverilog', 'vvp'))
WORDS = 600
RESULT = 24


class Element(NamedTuple):
  simd: int
  bits: int
  overflow_mode: str
  unit: str
  span: int = 2

  @property
  def tree(self) -> int:
    return -(-(self.simd - 1).bit_length() // self.span)


ELEMENTS = [
  Element(simd, bits, mode, unit)
  for simd in (1, 5, 8, 64)
  for bits in (2, 4, 7, 12)
  for mode in ('wrap', 'saturate')
  for unit in ('dot', 'popcount')
] + [
  Element(16, 5, 'wrap', 'dot', span=1),
  Element(33, 6, 'saturate', 'dot', span=3),
  Element(64, 8, 'saturate', 'popcount', span=6),
  # As wide as it must be for what never overflows.
  Element(64, 17, 'wrap', 'dot'),
]


class Drive(NamedTuple):
  """What an element is given word by word, and what its register then holds."""

  weights: np.ndarray
  operands: np.ndarray
  lanes: np.ndarray
  enable: np.ndarray
  first: np.ndarray
  preload: np.ndarray
  register: list[int]


def drive(element: Element, seed: int) -> Drive:
  random = np.random.default_rng(seed)
  simd, half = element.simd, 2 ** (element.bits - 1)
  machine = oracle.Machine(
    element.bits, element.overflow_mode, element.simd, element.unit
  )
  lanes = random.integers(1, simd + 1, WORDS)
  weights = random.integers(0, 2, (WORDS, simd))
  # Long runs of agreement, then of disagreement, reach both ends of the range.
  agree = np.repeat(random.random(WORDS // 10), 10)[:, None]
  equal = random.random((WORDS, simd)) < agree
  operands = np.where(equal, weights, 1 - weights)
  missing = np.arange(simd) >= lanes[:, None]
  weights[missing], operands[missing] = 1, 0
  enable = random.random(WORDS) < 0.9
  first = random.random(WORDS) < 0.05
  enable[0] = first[0] = True
  preload = random.integers(-half, half, WORDS)
  register, held = [], 0
  for t in range(WORDS):
    if enable[t]:
      products = [
        1 if w == x else -1
        for w, x in zip(
          weights[t, : lanes[t]], operands[t, : lanes[t]], strict=True
        )
      ]
      start = int(preload[t]) if first[t] else held
      u = oracle.word_sum(products, element.unit)
      held = oracle.reduce(start + u, machine)
    register.append(held)
  return Drive(weights, operands, lanes, enable, first, preload, register)


def columns(element: Element, made: Drive) -> np.ndarray:
  """The bits of each cycle; what belongs to later stages comes later."""
  offset = made.lanes // 2 if element.unit == 'popcount' else made.lanes
  count = element.simd.bit_length()
  fields = [
    (made.weights, 1, 0), (made.operands, 1, 0),
    (offset[:, None], count, element.tree),
    (made.enable[:, None], 1, element.tree + 1),
    (made.first[:, None], 1, element.tree + 1),
    (made.preload[:, None], element.bits, element.tree + 1),
  ]
  return np.concatenate(
    [
      np.roll(images.rows(np.asarray(x), width), delay, axis=0)
      for x, width, delay in fields
    ],
    axis=1,
  )


def bench(elements: list[Element], widths: list[int]) -> str:
  """Verilog with all elements side by side."""
  instances, place = [], 0
  for i, (e, width) in enumerate(zip(elements, widths, strict=True)):
    count = e.simd.bit_length()
    ports, at = [], place
    for port, size in (
      ('weights', e.simd), ('operands', e.simd), ('offset', count),
      ('enable', 1), ('first', 1), ('preload', e.bits),
    ):
      ports.append(f'.{port}(row[{at}+:{size}])')
      at += size
    assert at == place + width
    place = at
    instances.append(
      f'  wire signed [{e.bits - 1}:0] acc{i};\n'
      f'  assign all[{i * RESULT}+:{RESULT}] = '
      f'{{{{{RESULT - e.bits}{{acc{i}[{e.bits - 1}]}}}}, acc{i}}};\n'
      f'  pe #(.SIMD({e.simd}), .BITS({e.bits}), '
      f'.SATURATE({int(e.overflow_mode == "saturate")}), '
      f'.POPCOUNT({int(e.unit == "popcount")}), .SPAN({e.span})) pe{i} '
      f'(.clk(clk), {", ".join(ports)}, .accumulator(acc{i}));\n'
    )
  return (
    'module bench(input clk);\n'
    f'  reg [{place - 1}:0] rows[0:{WORDS - 1}];\n'
    f'  reg [{place - 1}:0] row;\n'
    f'  wire [{len(elements) * RESULT - 1}:0] all;\n'
    '  integer t = 0, file;\n'
    '  initial begin $readmemh("rows.hex", rows); '
    'file = $fopen("all.hex"); end\n'
    '  always @(posedge clk) begin\n'
    '    row <= rows[t]; $fwrite(file, "%h\\n", all); t <= t + 1;\n'
    f'    if (t == {WORDS - 1}) begin $fclose(file); $finish; end\n'
    '  end\n' + ''.join(instances) + 'endmodule\n'
  )


def simulate(folder: pathlib.Path, simulator: str) -> list[str]:
  """All registers in each cycle, in hex."""
  if simulator == 'verilator':
    program = tools.build('bench', {}, HERE / 'main.cc', folder)
    tools.run([str(program)], folder)
  else:
    tools.run(
      ['iverilog', '-g2005-sv', '-o', 'bench.vvp', '-s', 'main',
       str(HERE / 'main.v'), 'bench.v', 'pe.v', 'popcount.v'],
      folder,
    )
    tools.run(['vvp', '-n', 'bench.vvp'], folder)
  return (folder / 'all.hex').read_text().split()


def mismatches(
  folder: pathlib.Path, simulator: str, elements, *change: str
) -> list[int]:
  """How often each element's register is not the oracle's."""
  for name in ('pe.v', 'popcount.v'):
    shutil.copy(fields.RTL / name, folder)
  if change:
    text = (folder / 'pe.v').read_text()
    assert text.count(change[0]) == 1
    (folder / 'pe.v').write_text(text.replace(*change))
  driven = [drive(element, seed) for seed, element in enumerate(elements)]
  pieces = [columns(e, d) for e, d in zip(elements, driven, strict=True)]
  images.write(folder / 'rows.hex', np.concatenate(pieces, axis=1))
  (folder / 'bench.v').write_text(bench(elements, [p.shape[1] for p in pieces]))
  lines = simulate(folder, simulator)
  found = []
  for i, (element, made) in enumerate(zip(elements, driven, strict=True)):
    digits = slice(*(len(lines[0]) - 6 * j for j in (i + 1, i)))
    # One cycle for the row, the tree, the summand, the register.
    # What iverilog does not know is a value that no register can hold.
    known = [line[digits].replace('x', '7') for line in lines]
    behind = np.array([int(text, 16) for text in known[element.tree + 3 :]])
    behind -= behind >> 23 << 24
    expected = made.register[: len(behind)]
    found.append(int((behind != expected).sum()))
  return found


@pytest.mark.parametrize('simulator, elements', [
  # Each element takes Verilator a fifth of a second to compile.
  pytest.param('verilator', ELEMENTS[::3], marks=installed.needs()),
  pytest.param('iverilog', ELEMENTS, marks=IVERILOG),
], ids=['verilator', 'iverilog'])
def test_every_register_is_the_oracles(tmp_path, simulator, elements):
  found = mismatches(tmp_path, simulator, elements)
  assert {e: n for e, n in zip(elements, found, strict=True) if n} == {}


@pytest.mark.parametrize('change', [
  ('~(weights ^ operands)', '(weights ^ operands)'),
  ('base + summand', 'base - summand'),
  ('first ? preload', '!first ? preload'),
  ('overflow ? {sum[WIDE-1], {(BITS-1){~sum[WIDE-1]}}}',
   'overflow ? {sum[WIDE-1], {(BITS-1){sum[WIDE-1]}}}'),
  ("{1'b0, count, 1'b0}", "{2'b0, count}"),
], ids=lambda change: change[1])
@IVERILOG
def test_a_mutation_is_caught(tmp_path, change):
  element = Element(8, 4, 'saturate', 'dot')
  assert mismatches(tmp_path, 'iverilog', [element], *change)[0] > 0
