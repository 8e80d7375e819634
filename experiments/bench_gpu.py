"""What the overflow engines cost on a GPU, against the exact int8 product.

  python -m experiments.bench_gpu --json FILE

First every engine is held against NumPy on the device itself. Then, on batches
that fill the chip and on that of training: `product`, from int8 operands to
the result, and `forward`, from float32 pre-activations and latent weights to
the float32 result; then whole steps of training. `ratio` is to `exact_int8`,
XLA's int8 product of the same M, K and N, whose operands of each output lie in
a row beforehand ('product') or are copied there ('forward'); in steps of
training it is to `exact_float32`. Last, sizes of the kernel's blocks.

What fails is a row with its `error`, and what there is no time for a row with
`skipped`; everything else goes on.
"""

import argparse
from concurrent import futures
import functools
import json
import math
import os
import pathlib
import platform
import statistics
import time
from typing import Any
from unittest import mock

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import accumulator
from bnn_jax.nn import binarize
from bnn_jax.nn import geometry
from bnn_jax.nn import products
from bnn_jax.nn.kernels import choice
from bnn_jax.nn.kernels import lax_engine
from bnn_jax.nn.kernels import pallas_gpu
from experiments import bench_shapes
from experiments import bench_train_step
from experiments import gpu_check

BITS = 8
# Positions of the whole batch: enough for every processor of the chip.
POSITIONS = 2**20
# Programs started one after the other before their end is awaited, and how
# often that is measured.
CALLS, ROUNDS = 10, 5
NAMES = (
  'ours block 0', 'ours block 3', 'ours block 2', 'ours stem',
  'DS-CNN-L pointwise', 'res15', 'TC-ResNet14 72',
)
DENSE = bench_shapes.Shape('dense 512', (100, 512), (512, 512), {}, 1)
BASE = 'exact_int8', 0, 'XLA'
FLOAT = 'exact_float32', 0, 'XLA'
REGISTERS = (
  ('exact', 64, 'pallas'), ('wrap', 64, 'pallas'), ('saturate', 64, 'pallas'),
  ('saturate', 16, 'pallas'), ('saturate', 1, 'pallas'),
  ('saturate', 64, 'lax'),
)
# Timed on the first shape alone.
FIRST = (
  ('saturate', 8, 'pallas'), ('saturate', 16, 'lax'), ('saturate', 1, 'lax'),
  ('saturate', 64, 'words'),
)
# (op, simd, engine, precision of the gradients' products).
STEPS = (
  ('exact_float32', 64, 'lax', 'float32'), ('exact', 64, 'pallas', 'float32'),
  ('saturate', 64, 'pallas', 'float32'), ('exact', 64, 'pallas', 'tf32'),
  ('saturate', 64, 'pallas', 'tf32'), ('exact_float32', 64, 'lax', 'tf32'),
  ('saturate', 16, 'pallas', 'tf32'), ('saturate', 1, 'pallas', 'tf32'),
  ('wrap', 64, 'pallas', 'tf32'), ('saturate', 64, 'lax', 'tf32'),
)
PRECISIONS = {'float32': lax.Precision.HIGHEST, 'tf32': lax.Precision.HIGH}
BLOCKS = tuple(
  pallas_gpu.Blocks(*sizes) for sizes in (
    (64, 128, 4, 3), (64, 128, 4, 2), (64, 128, 4, 4), (128, 128, 8, 3),
    (64, 64, 4, 3), (128, 64, 8, 3), (128, 64, 4, 3),
  )
)


def main() -> None:
  """Reads the command line, measures, prints, and writes the file."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--json', type=pathlib.Path, help='file to write')
  parser.add_argument('--seconds', type=float, default=170,
                      help='after which nothing new is begun')
  parser.add_argument('--positions', type=int, default=POSITIONS,
                      help='of the batches that fill the chip')
  parser.add_argument('--calls', type=int, default=CALLS)
  parser.add_argument('--rounds', type=int, default=ROUNDS)
  parser.add_argument('--sections',
                      default='check,product,step,forward,blocks,small')
  parser.add_argument('--batches', default='100,1600',
                      help='clips of a step of training')
  parser.add_argument('--shapes', default='', help='part of their names')
  args = parser.parse_args()
  report = Report(args.json, time.perf_counter() + args.seconds)
  timing = Timing(args.calls, args.rounds)
  wanted = [shape for shape in shapes() if args.shapes in shape.name]
  sections = {
    'check': lambda: _check(report),
    'product': lambda: _layers(wanted, args.positions, False, timing, report),
    'step': lambda: _steps(
      list(map(int, args.batches.split(','))), timing, report),
    'forward': lambda: _layers(
      wanted[:4], args.positions, True, timing, report),
    'blocks': lambda: _blocks(wanted[:2], args.positions, timing, report),
    'small': lambda: _layers(wanted[:4], 0, False, timing, report),
  }
  for section in args.sections.split(','):
    sections[section]()


class Timing:
  """How programs are timed."""

  def __init__(self, calls: int, rounds: int):
    self._calls, self._rounds = calls, rounds

  def seconds(self, programs: dict[Any, Any]) -> dict[Any, Any]:
    """Medians of (program, operands), interleaved; or what went wrong."""
    found: dict[Any, list[float]] = {key: [] for key in programs}
    failed = {}
    for _ in range(self._rounds + 1):
      for key, (program, operands) in programs.items():
        if key in failed:
          continue
        value, error = attempt(lambda p=program, o=operands: self._run(p, o))
        if error:
          failed[key] = error
        else:
          found[key].append(value)
    return {
      key: failed.get(key) or statistics.median(times[1:])
      for key, times in found.items()
    }

  def _run(self, program, operands) -> float:
    begin = time.perf_counter()
    for _ in range(self._calls):
      result = program(*operands)
    jax.block_until_ready(result)
    return (time.perf_counter() - begin) / self._calls


class Report:
  """Rows that are printed and written as they are found."""

  def __init__(self, path: pathlib.Path | None, deadline: float):
    self._path, self._deadline = path, deadline
    self._rows: list[dict[str, Any]] = []

  def is_late(self) -> bool:
    """True where nothing new is to be begun."""
    return time.perf_counter() > self._deadline

  def add(self, **row: Any) -> None:
    """Takes one row."""
    self._rows.append(row)
    values = [
      f'{name} {value:.4g}' if isinstance(value, float) else f'{value}'
      for name, value in row.items()
    ]
    print('  '.join(values), flush=True)
    if self._path:
      temporary = self._path.with_suffix('.part')
      results = {'machine': machine(), 'rows': self._rows}
      temporary.write_text(json.dumps(results, indent=1) + '\n')
      temporary.rename(self._path)


def attempt(run) -> tuple[Any, str]:
  """What `run` gives, or None and the first line of its error."""
  with futures.ThreadPoolExecutor(1) as pool:
    future = pool.submit(run)
  return _outcome(future)


def _outcome(future) -> tuple[Any, str]:
  error = future.exception()
  if error is None:
    return future.result(), ''
  lines = f'{type(error).__name__}: {error}'.splitlines()
  return None, lines[0][:300]


def compiled(programs: dict[Any, Any]) -> dict[Any, tuple[Any, str]]:
  """Programs lowered and compiled in threads; see `attempt`.

  Args:
    programs: functions without arguments, by key.

  Returns:
    ((program, seconds), '') or (None, error) by key.
  """
  def timed(run):
    begin = time.perf_counter()
    program = run()
    return program, time.perf_counter() - begin

  with futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
    started = {
      key: pool.submit(timed, run) for key, run in programs.items()
    }
  return {key: _outcome(future) for key, future in started.items()}


def shapes() -> list[bench_shapes.Shape]:
  """The layers, the most telling first."""
  by_name = {shape.name: shape for shape in bench_shapes.SHAPES}
  found = [by_name[name] for name in NAMES if name in by_name]
  return [*found, DENSE]


def _check(report) -> None:
  """Rows of comparisons with NumPy; `wrong` counts integers."""
  cases = gpu_check.cases()
  runs = {
    (engine, name): functools.partial(gpu_check.wrong, case, engine)
    for name, case in cases.items() for engine in ('pallas', 'lax')
  }
  first = next(iter(cases))
  runs['pallas', f'vmap of {first}'] = functools.partial(
    gpu_check.wrong, cases[first], 'pallas', True
  )
  for (engine, name), (found, error) in compiled(runs).items():
    outcome = {'error': error} if error else {'wrong': found[0]}
    report.add(**{'pass': 'check'}, engine=engine, case=name, **outcome)


def _layers(wanted, positions, whole, timing, report) -> None:
  """Rows of layers.

  Args:
    wanted: the layers.
    positions: of the batch; 0 for the batch as it is.
    whole: from pre-activations rather than from int8 operands.
    timing: how to time.
    report: takes the rows.
  """
  which = 'forward' if whole else 'product'
  for number, shape in enumerate(wanted):
    larger = _filling(shape, positions)
    if report.is_late():
      report.add(**{'pass': which}, shape=shape.name, skipped=True)
      continue
    kinds = [BASE, FLOAT, *REGISTERS]
    if number == 0 and positions and not whole:
      kinds += FIRST
    operands = _operands(larger, whole)
    programs = {
      kind: functools.partial(_compile, larger, kind, whole, operands)
      for kind in kinds
    }
    made = compiled(programs)
    seconds = timing.seconds({
      key: (program[0], _arguments(key, larger, whole, operands))
      for key, (program, error) in made.items() if not error
    })
    for key, (program, error) in made.items():
      value = error or seconds[key]
      row = {'pass': which, 'op': key[0], 'simd': key[1], 'engine': key[2],
             'shape': shape.name, 'batch': larger.x[0]}
      if isinstance(value, str):
        report.add(**row, error=value)
        continue
      report.add(
        **row, ratio=_ratio(value, seconds.get(BASE)), us=1e6 * value,
        tops=2e-12 * larger.macs / value, compile_s=program[1],
      )


def _ratio(value, base) -> float | None:
  return value / base if isinstance(base, float) else None


def _filling(shape, positions):
  batch = max(shape.x[0], positions // shape.outputs)
  return shape._replace(x=(batch, *shape.x[1:]))


def _operands(shape, whole):
  """`x` and `w` as random pre-activations, or their signs in int8."""
  keys = jax.random.split(jax.random.key(0))
  x = jax.random.normal(keys[0], shape.x)
  w = jax.random.normal(keys[1], shape.w)
  if whole:
    return x, w
  return tuple(jnp.where(v >= 0, 1, -1).astype(jnp.int8) for v in (x, w))


def _arguments(kind, shape, whole, operands):
  """What a program of `kind` takes."""
  x, w = operands
  if whole:
    return x, w
  if kind == BASE:
    return jax.jit(functools.partial(_rows, shape))(x), w
  if kind in (FLOAT, ('saturate', 64, 'words')):
    return (x, w) if kind != FLOAT else (
      x.astype(jnp.float32), w.astype(jnp.float32))
  return x, w


def _compile(shape, kind, whole, operands):
  run = functools.partial(_run, shape, kind)
  if whole:
    def run(x, w, run=functools.partial(_from_signs, shape, kind)):
      return run(binarize.sign(x, 'approx_sign'),
                 binarize.sign(w, 'hard_tanh'))
  arguments = jax.eval_shape(
    functools.partial(_arguments, kind, shape, whole), operands
  )
  return jax.jit(run).lower(*arguments).compile()


def _from_signs(shape, kind, x, w):
  """Float32 results of float32 signs."""
  if kind == BASE:
    rows = _rows(shape, x.astype(jnp.int8))
    return _int8(shape, rows, w.astype(jnp.int8)).astype(jnp.float32)
  return _run(shape, kind, x, w)


def _run(shape, kind, x, w):
  """The operation itself."""
  op, simd, engine = kind
  if kind == BASE:
    return _int8(shape, x, w)
  resolved = geometry.geometry(shape.x, shape.w, **shape.geometry)
  if kind == FLOAT:
    return products.exact(x, w, resolved)
  register = accumulator.Accumulator(BITS, op, simd)
  if engine == 'pallas':
    return pallas_gpu.run(x, w, None, register, resolved)[0]
  if engine == 'words':
    return _word_products(shape, register, x, w)
  return lax_engine.run(x, w, None, register, resolved, False)[0].astype(
    jnp.float32
  )


def _rows(shape, x):
  """`[G, M, K]`: the operands of every output in a row."""
  resolved = geometry.geometry(shape.x, shape.w, **shape.geometry)
  operands = geometry.operands(x, resolved)
  operands = operands.reshape(-1, *operands.shape[-2:])
  return jnp.moveaxis(operands, 1, 0)


def _int8(shape, rows, w):
  groups = shape.geometry.get('groups', 1)
  weights = geometry.grouped_weights(w, groups)
  return jnp.concatenate([
    jnp.matmul(rows[g], weights[g], preferred_element_type=jnp.int32)
    for g in range(groups)
  ], -1)


def _word_products(shape, register, x, w):
  """One product a word by XLA, and the register around them."""
  rows = _rows(shape, x.astype(jnp.int8))[0]
  weights = geometry.grouped_weights(w.astype(jnp.int8), 1)[0]
  taps = math.prod(shape.w[:-2])
  held = jnp.zeros((rows.shape[0], shape.w[-1]), jnp.int32)
  for word in geometry.words(taps, shape.w[-2], register.simd):
    lanes = slice(word.start, word.stop)
    held = register.register(held + jnp.matmul(
      rows[:, lanes], weights[lanes], preferred_element_type=jnp.int32
    ))
  return held.astype(jnp.float32)


def _blocks(wanted, positions, timing, report) -> None:
  """Rows of the kernel's block sizes."""
  for simd in (64, 16, 1):
    for shape in wanted:
      if report.is_late():
        report.add(**{'pass': 'blocks'}, shape=shape.name, skipped=True)
        continue
      larger = _filling(shape, positions)
      operands = _operands(larger, False)
      resolved = geometry.geometry(larger.x, larger.w, **larger.geometry)
      register = accumulator.Accumulator(BITS, 'saturate', simd)
      made = compiled({
        blocks: functools.partial(_compile_blocks, register, resolved, blocks,
                                  operands)
        for blocks in BLOCKS
      })
      seconds = timing.seconds({
        key: (program[0], operands)
        for key, (program, error) in made.items() if not error
      })
      for key, (_, error) in made.items():
        value = error or seconds[key]
        found = {'error': value} if isinstance(value, str) else {
          'us': 1e6 * value}
        report.add(**{'pass': 'blocks'}, simd=simd, shape=shape.name,
                   blocks=str(tuple(key)), **found)


def _compile_blocks(register, resolved, blocks, operands):
  def run(x, w):
    return pallas_gpu.run(x, w, None, register, resolved, blocks=blocks)[0]

  return jax.jit(run).lower(*operands).compile()


def _steps(batches, timing, report) -> None:
  """Rows of whole steps of training."""
  for batch in batches:
    if report.is_late():
      report.add(**{'pass': 'train_step'}, batch=batch, skipped=True)
      continue
    lowered, operands = {}, {}
    for kind in STEPS:
      if kind[2] not in choice.available():
        continue
      lowered[kind], operands[kind] = _lower_step(kind, batch)
    made = compiled(lowered)
    seconds = timing.seconds({
      key: (program[0], operands[key])
      for key, (program, error) in made.items() if not error
    })
    for key, (program, error) in made.items():
      value = error or seconds[key]
      row = {'pass': 'train_step', 'op': key[0], 'simd': key[1],
             'engine': key[2], 'gradients': key[3], 'batch': batch}
      if isinstance(value, str):
        report.add(**row, error=value)
      else:
        report.add(**row, ratio=_ratio(value, seconds.get(STEPS[0])),
                   us=1e6 * value, compile_s=program[1])


def _lower_step(kind, batch):
  """A function that compiles a step, and the step's arguments."""
  op, simd, engine, gradients = kind
  lower, state, operands = bench_train_step.prepare_step(
    op, simd, engine, batch
  )
  with mock.patch.dict(
    products.GRADIENT_PRECISION, {jax.default_backend(): PRECISIONS[gradients]}
  ):
    lowered, error = attempt(lower)

  def finish():
    if error:
      raise RuntimeError(error)
    return bench_train_step.compile_lowered(lowered)

  return finish, (state, *operands)


def machine() -> dict[str, Any]:
  """What the numbers depend on."""
  device = jax.devices()[0]
  return {
    'device': device.device_kind, 'backend': jax.default_backend(),
    'jax': jax.__version__, 'system': platform.platform(),
    'engine': choice.describe(),
  }


if __name__ == '__main__':
  main()
