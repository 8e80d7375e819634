"""The normalization units, alone, against their formulas."""

import shutil

import numpy as np
import pytest

from bnn_jax.accelerator import fields
from bnn_jax.accelerator import images
from bnn_jax.accelerator import tools
from bnn_jax.export import golden
from tests.accelerator import installed

pytestmark = installed.needs(('iverilog', 'vvp'))
COUNT = 3000
STREAM = 8

BENCH = '''
module main;
  reg clk = 0;
  always #1 clk = !clk;
  reg [{width}-1:0] rows[0:{count}-1];
  reg [{width}-1:0] row;
  wire signed [7:0] y;
  integer t = 0, file;
  initial begin $readmemh("rows.hex", rows); file = $fopen("y.txt"); end
  always @(posedge clk) begin
    row <= rows[t];
    $fwrite(file, "%0d\\n", y);
    t <= t + 1;
    if (t == {count} - 1) begin $fclose(file); $finish; end
  end
  {unit}
endmodule
'''


def simulate(folder, name, latency, unit, columns):
  """What the unit gives for each row, from the first one on."""
  shutil.copy(fields.RTL / f'{name}.v', folder)
  rows = np.concatenate([images.rows(x[:, None], w) for x, w in columns], 1)
  images.write(folder / 'rows.hex', rows)
  text = BENCH.format(width=rows.shape[1], count=COUNT, unit=unit)
  (folder / 'main.v').write_text(text)
  tools.run(
    ['iverilog', '-g2005-sv', '-o', 'main.vvp', 'main.v', f'{name}.v'], folder
  )
  tools.run(['vvp', '-n', 'main.vvp'], folder)
  # One cycle for the row, then those of the unit.
  return [int(y) for y in (folder / 'y.txt').read_text().split()[1 + latency :]]


def integers(random, bits):
  """Of all magnitudes, with both ends."""
  low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
  values = random.integers(low, high + 1, COUNT)
  values >>= random.integers(0, bits, COUNT)
  values[:2] = low, high
  return values


@pytest.mark.parametrize('bits', [5, 8, 16])
@pytest.mark.parametrize('deep', [0, 1])
def test_full(tmp_path, bits, deep):
  random = np.random.default_rng(bits)
  a, scale = integers(random, bits), integers(random, 16)
  random.shuffle(scale)
  scale[:2] = -(2**15)
  bias = integers(random, 24)
  unit = (
    f'bn_full #(.BITS({bits}), .DEEP({deep})) unit (.clk(clk), '
    f'.value(row[0+:{bits}]), '
    f'.scale(row[{bits}+:16]), .bias(row[{bits + 16}+:24]), .y(y));'
  )
  y = simulate(
    tmp_path, 'bn_full', 4 + deep, unit,
    [(a, bits), (scale, 16), (bias, 24)]
  )
  expected = golden.saturate((a * scale + bias) >> 12, STREAM)
  assert y == expected[: len(y)].tolist()
  assert len(set(y)) > 200


@pytest.mark.parametrize('bits', [3, 8, 17])
@pytest.mark.parametrize('odd', [None, 0, 37])
def test_shift(tmp_path, bits, odd):
  random = np.random.default_rng(bits)
  register, s = integers(random, bits), random.integers(-8, 8, COUNT)
  bias = integers(random, 16)
  unit = (
    f'bn_shift #(.BITS({bits}), .POPCOUNT({int(odd is not None)})) unit ('
    f".clk(clk), .odd(16'd{odd or 0}), .value(row[0+:{bits}]), "
    f'.shift(row[{bits}+:4]), .bias(row[{bits + 4}+:16]), .y(y));'
  )
  y = simulate(
    tmp_path, 'bn_shift', 3, unit,
    [(register, bits), (s, 4), (bias, 16)],
  )
  a = register if odd is None else 2 * register - odd
  expected = golden.saturate(golden.shift(a, s) + bias, STREAM)
  assert y == expected[: len(y)].tolist()
