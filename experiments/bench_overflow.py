"""What simulated overflow costs, against the same products in float32.

  python -m experiments.bench_overflow --json FILE

Times each operation on the shapes of keyword-spotting networks, in one process
and in interleaved order, and prints a table of the medians. Everything is
counted from the float32 pre-activation and the latent weights to the float32
result: signs, packing, products and register. `taskset -c 0` before the
command measures one core; an idle machine measures best.

A row: `op`, `simd`, `engine`, `shape` (or 'all': the geometric mean over
shapes of K >= 128), `pass`, `ratio` to `exact_float32`, `baseline`, `ms`,
`gops` (billions of multiplications and additions a second), `memory_ratio` of
XLA's peak to that of `exact_float32` (the compiled kernel's own buffers, of one
image a thread, are not in it). `exact_float32` is the quicker of XLA's
convolution and of its products tap by tap, for each shape and pass; `baseline`
says which. Rows of `forward` have `popcount_share` and `int8_share` of the
peaks that this very run measures; gradients are float32 and have none.
"""

import argparse
import collections
import functools
import math
import pathlib
import statistics
import time
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import accumulator
from bnn_jax.nn import binarize
from bnn_jax.nn import geometry
from bnn_jax.nn import products
from experiments import bench_machine
from experiments import bench_shapes
from experiments import bench_train_step

BITS = 8
# Which of them is the quicker one is the base of all ratios.
EXACT, BASELINES = 'exact_float32', ('convolution', 'exact', 'taps')
REGISTERS = (
  ('exact', 64), ('wrap', 64), ('saturate', 64), ('saturate', 16),
  ('saturate', 8), ('saturate', 1),
)
# The per-MAC scan that anyone would write first is timed on these alone.
NAIVE_SHAPES = ('ours block 3', 'TC-ResNet14 48')


def main() -> None:
  """Reads the command line, measures, prints, and writes the file."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--json', type=pathlib.Path, help='file to write')
  parser.add_argument('--rounds', type=int, default=21, help='runs of each')
  parser.add_argument('--engines', default='lax,auto',
                      help="names, or 'auto' for what the package chooses")
  parser.add_argument('--shapes', default='', help='part of their names')
  parser.add_argument('--passes',
                      default='forward,forward_backward,train_step')
  args = parser.parse_args()
  engines = list(dict.fromkeys(args.engines.split(',')))
  passes = args.passes.split(',')
  peaks = {'popcount': popcount_peak(), 'int8': int8_peak()}
  rows: list[dict[str, Any]] = []
  for shape in bench_shapes.SHAPES:
    if args.shapes not in shape.name:
      continue
    for which in ('forward', 'forward_backward'):
      if which in passes:
        new = measure(shape, which, engines, args.rounds, peaks)
        rows += new
        _print(new)
  if 'train_step' in passes:
    new = bench_train_step.measure(args.rounds)
    rows += new
    _print(new)
  means = geometric_means(rows)
  _print(means)
  if args.json:
    machine = bench_machine.machine() | {
      'peak_gmacs': {name: peak / 1e9 for name, peak in peaks.items()}
    }
    bench_machine.write(args.json, {'machine': machine, 'rows': rows + means})


def measure(
  shape: bench_shapes.Shape, which: str, engines: list[str], rounds: int,
  peaks: dict[str, float],
) -> list[dict[str, Any]]:
  """Rows of one shape and one pass.

  Args:
    shape: the layer.
    which: 'forward' or 'forward_backward'.
    engines: engines to compare.
    rounds: runs of each operation.
    peaks: multiply-accumulates a second, by roofline.

  Returns:
    The rows.
  """
  random = np.random.default_rng(0)
  x = jnp.asarray(random.standard_normal(shape.x), jnp.float32)
  w = jnp.asarray(random.standard_normal(shape.w), jnp.float32)
  wanted = operations(shape, engines, which)
  compiled = {
    key: jax.jit(_of_pass(run, which)).lower(x, w).compile()
    for key, run in wanted.items()
  }
  seconds = interleaved(compiled, (x, w), rounds)
  medians = {key: statistics.median(times) for key, times in seconds.items()}
  base = min(
    ((EXACT, 0, name) for name in BASELINES), key=medians.__getitem__
  )
  memory = {
    key: bench_machine.program_bytes(program)
    for key, program in compiled.items()
  }
  passes = 3 if which == 'forward_backward' else 1
  rows = []
  for key, middle in medians.items():
    op, simd, engine = key
    if op == EXACT and key != base:
      continue
    row = {
      'op': op, 'simd': simd, 'engine': 'XLA' if key == base else engine,
      'shape': shape.name, 'operands': shape.operands, 'pass': which,
      'ratio': middle / medians[base], 'baseline': base[-1],
      'ms': 1e3 * middle, 'gops': 2e-9 * passes * shape.macs / middle,
      'memory_ratio': memory[key] / memory[base],
    }
    if which == 'forward':
      row |= {
        f'{name}_share': shape.macs / middle / peak
        for name, peak in peaks.items()
      }
    rows.append(row)
  return rows


def operations(shape, engines, which):
  """Functions of x and w of +-1, by (op, simd, engine or baseline)."""
  found = {
    (EXACT, 0, name): functools.partial(run, shape)
    for name, run in zip(
      BASELINES, (_convolution, _exact, _by_tap), strict=True
    )
  }
  for engine in engines:
    forced = None if engine == 'auto' else engine
    for mode, simd in REGISTERS:
      register = accumulator.Accumulator(BITS, mode, simd)
      found[mode, simd, engine] = functools.partial(
        _through, shape, register, forced
      )
  if shape.name in NAIVE_SHAPES and which == 'forward':
    found['naive', 1, 'XLA'] = functools.partial(_naive, shape)
  return found


def _convolution(shape, x, w):
  """XLA's convolution of all taps and groups."""
  resolved = geometry.geometry(x.shape, w.shape, **shape.geometry)
  axes = 'HW'[: len(resolved.kernel)]
  return lax.conv_general_dilated(
    geometry.pad(x, resolved, -1), w, resolved.strides, 'VALID',
    rhs_dilation=resolved.dilation, feature_group_count=resolved.groups,
    dimension_numbers=(f'N{axes}C', f'{axes}IO', f'N{axes}C'),
    precision=lax.Precision.HIGHEST,
  )


def _exact(shape, x, w):
  """What training has for the exact sums."""
  resolved = geometry.geometry(x.shape, w.shape, **shape.geometry)
  return products.exact(x, w, resolved)


def _by_tap(shape, x, w):
  """One product a tap and group; of one channel a group, of elements."""
  resolved = geometry.geometry(x.shape, w.shape, **shape.geometry)
  if resolved.groups > 1:
    return products.exact(x, w, resolved)
  kernels = w.reshape(-1, *w.shape[-2:])
  return sum(
    jnp.matmul(view, kernel, precision=lax.Precision.HIGHEST)
    for view, kernel in zip(geometry.taps(x, resolved), kernels, strict=True)
  )


def _through(shape, register, engine, x, w):
  return accumulator.accumulate(
    x, w, register, with_exact=False, engine=engine, **shape.geometry
  ).result


def _naive(shape, x, w):
  resolved = geometry.geometry(x.shape, w.shape, **shape.geometry)
  patches = geometry.operands(x, resolved)[..., 0, :].astype(jnp.int32)
  kernels = w.reshape(-1, w.shape[-1]).astype(jnp.int32)
  low, high = -(2 ** (BITS - 1)), 2 ** (BITS - 1) - 1

  def step(held, operand):
    column, row = operand
    return jnp.clip(held + column[..., None] * row, low, high), None

  start = jnp.zeros((*patches.shape[:-1], w.shape[-1]), jnp.int32)
  columns = jnp.moveaxis(patches, -1, 0)
  return lax.scan(step, start, (columns, kernels))[0].astype(jnp.float32)


def _of_pass(run, which):
  """The function of pre-activations and latent weights that is timed."""
  def forward(x, latent):
    return run(binarize.sign(x, 'approx_sign'),
               binarize.sign(latent, 'hard_tanh'))

  def forward_backward(x, latent):
    y, pull = jax.vjp(forward, x, latent)
    return y, pull(y)

  return forward if which == 'forward' else forward_backward


def interleaved(programs, operands, rounds) -> dict[Any, list[float]]:
  """Seconds of each program, run in turn `rounds` times after a first run.

  Args:
    programs: functions by key.
    operands: arguments of all of them.
    rounds: runs of each.

  Returns:
    Lists of `rounds` times by key.
  """
  seconds = collections.defaultdict(list)
  for program in programs.values():
    jax.block_until_ready(program(*operands))
  for _ in range(rounds):
    for key, program in programs.items():
      begin = time.perf_counter()
      jax.block_until_ready(program(*operands))
      seconds[key].append(time.perf_counter() - begin)
  return seconds


def geometric_means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
  """Rows 'all' over the shapes of K >= 128, one for each kind of row."""
  ratios = collections.defaultdict(list)
  for row in rows:
    if row.get('operands', 0) >= 128:
      key = row['op'], row['simd'], row['engine'], row['pass']
      ratios[key].append(row['ratio'])
  return [
    {
      'op': op, 'simd': simd, 'engine': engine, 'shape': 'all', 'pass': which,
      'ratio': math.exp(statistics.fmean(map(math.log, values))),
    }
    for (op, simd, engine, which), values in ratios.items()
  ]


def popcount_peak() -> float:
  """Multiply-accumulates a second of XOR and popcount on few registers."""
  steps = 2000
  x = jnp.arange(2048, dtype=jnp.uint32)

  @jax.jit
  def run(x):
    def body(i, total):
      word = jnp.uint32(i) * jnp.uint32(0x9E3779B9)
      for shift in range(8):
        total += lax.population_count(x ^ (word + shift))
      return total
    return lax.fori_loop(0, steps, body, jnp.zeros_like(x))

  return 32 * x.size * 8 * steps / _best(run, x)


def int8_peak() -> float:
  """Multiply-accumulates a second of XLA's int8 product."""
  x = jnp.ones((1024, 1024), jnp.int8)

  @jax.jit
  def run(x):
    return jnp.matmul(x, x, preferred_element_type=jnp.int32)

  return 1024**3 / _best(run, x)


def _best(run, x) -> float:
  return min(interleaved({0: run}, (x,), 5)[0])


def _print(rows) -> None:
  for row in rows:
    print(
      f'{row["shape"]:<20} {row["pass"]:<17} {row["op"]:<14}'
      f'{row["simd"]:>4}  {row["engine"]:<9} ratio {row["ratio"]:6.3f}'
      + (f'  {row["ms"]:8.2f} ms' if 'ms' in row else ''), flush=True,
    )


if __name__ == '__main__':
  main()
