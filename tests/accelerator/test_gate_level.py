"""An array as cells, simulated gate by gate, against the golden model."""

import numpy as np

from bnn_jax.accelerator import images
from bnn_jax.accelerator import synthesis
from bnn_jax.accelerator import tools
from bnn_jax.export import golden
from tests.accelerator import installed
from tests.contract import oracle

pytestmark = installed.needs((*synthesis.PROGRAMS, 'iverilog', 'vvp'))
POINT = synthesis.Point(5, 'saturate', 'shift', 8, pes=2, lanes=2)
OUTPUTS, WORDS, STREAM = 300, 3, 8
SHIFTS, BIASES = (2, -1), (-7, 40)

BENCH = '''
module main;
  reg clk = 0, reset = 1;
  always #10 clk = !clk;
  reg [{width}-1:0] rows[0:{count}-1];
  reg [{width}-1:0] row = 0;
  wire slot;
  wire [15:0] y;
  reg [4:1] slots = 0;
  integer t = 0, file;
  initial begin $readmemh("rows.hex", rows); file = $fopen("y.txt"); end
  always @(negedge clk) begin
    if (slots[4] === 1'b1)
      $fwrite(file, "%0d %0d\\n", $signed(y[7:0]), $signed(y[15:8]));
    slots <= {{slots[3:1], slot && !reset}};
    reset <= t < 10;
    row <= t < 10 ? 0 : rows[t - 10];
    t <= t + 1;
    if (t == {count} + 40) begin $fclose(file); $finish; end
  end
  array array (
      .clk(clk), .reset(reset), .weights(row[0+:16]), .operands(row[16+:8]),
      .enable(row[24]), .first(row[25]), .last(row[26]), .part(1'b0),
      .full_offset(4'd8), .part_offset(4'd8), .preloads(10'b0), .odd(16'b0),
      .thresholds(12'b0), .factors({factors}), .biases({biases}),
      .slot(slot), .y(y));
endmodule
'''


def drive(seed):
  """Rows of the bench, and what the registers of all outputs hold."""
  random = np.random.default_rng(seed)
  agree = random.random((OUTPUTS, 1, 1, 1))
  operands = random.integers(0, 2, (OUTPUTS, WORDS, 1, 8))
  equal = random.random((OUTPUTS, WORDS, 2, 8)) < agree
  weights = np.where(equal, operands, 1 - operands)
  word = np.arange(OUTPUTS * WORDS) % WORDS
  marks = np.stack([word >= 0, word == 0, word == WORDS - 1], axis=1)
  rows = np.concatenate(
    [weights.reshape(-1, 16), operands.reshape(-1, 8), marks], axis=1
  )
  machine = oracle.Machine(POINT.bits, POINT.overflow_mode, 8, 'dot')
  held = np.zeros((OUTPUTS, 2), int)
  for output in range(OUTPUTS):
    for t in range(WORDS):
      for pe in range(2):
        products = [1 if same else -1 for same in equal[output, t, pe]]
        total = held[output, pe] + oracle.word_sum(products, 'dot')
        held[output, pe] = oracle.reduce(int(total), machine)
  return images.rows(rows, 1), held


def vector(values, width, low):
  """A Verilog constant with a value of `low` bits in each field of `width`."""
  number = sum(
    (value % 2**low) << (i * width) for i, value in enumerate(values)
  )
  return f"{width * len(values)}'d{number}"


def simulate(folder, rows):
  """What both elements give as y for each output."""
  images.write(folder / 'rows.hex', rows)
  (folder / 'main.v').write_text(BENCH.format(
    width=rows.shape[1], count=len(rows), factors=vector(SHIFTS, 16, 4),
    biases=vector(BIASES, 24, 16),
  ))
  cells = synthesis.OSU018.liberty.with_suffix('.v')
  tools.run(
    ['iverilog', '-g2005-sv', '-o', 'main.vvp', '-s', 'main', 'main.v',
     'netlist.v', str(cells)],
    folder,
  )
  tools.run(['vvp', '-n', 'main.vvp'], folder)
  lines = (folder / 'y.txt').read_text().splitlines()
  return [line.split() for line in lines]


def test_the_netlist_computes_the_golden_models_integers(tmp_path):
  synthesis.netlist(POINT, tmp_path)
  rows, registers = drive(0)
  shifted = golden.shift(registers, np.array(SHIFTS)) + np.array(BIASES)
  expected = golden.saturate(shifted, STREAM)
  assert len(np.unique(expected)) > 20 and abs(registers).max() == 16
  expected = [[str(value) for value in row] for row in expected.tolist()]
  assert simulate(tmp_path, rows) == expected
  # One gate that inverts its result is seen.
  netlist = tmp_path / 'netlist.v'
  text = netlist.read_text()
  assert 'XNOR2X1' in text
  netlist.write_text(text.replace('XNOR2X1', 'XOR2X1', 1))
  assert simulate(tmp_path, rows) != expected
