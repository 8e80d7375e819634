"""What the overflow engines cost on a GPU, against the exact int8 product.

  python -m experiments.bench_gpu --json FILE

First every engine is held against NumPy on the device itself. Then, on batches
that fill the chip and on that of training: `product`, from int8 operands to
the result, and `forward`, from float32 pre-activations and latent weights to
the float32 result; then whole steps of training. `ratio` is to `exact_int8`,
XLA's int8 product of the same M, K and N, whose operands of each output lie in
a row beforehand ('product') or are copied there ('forward'); in steps of
training it is to `exact_float32`. `us` is microseconds of one layer or step,
`tops` 10^12 multiplications and additions a second, `compile_s` seconds of
compiling beside other programs. Last, sizes of the kernel's blocks.

What fails is a row with its `error`, and what there is no time for a row with
`skipped`; everything else goes on.
"""

import argparse
import functools
import pathlib
import time
from unittest import mock

import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import accumulator
from bnn_jax.nn import binarize
from bnn_jax.nn import geometry
from bnn_jax.nn import products
from bnn_jax.nn.kernels import choice
from bnn_jax.nn.kernels import pallas_gpu
from experiments import bench_shapes
from experiments import bench_train_step
from experiments import gpu_check
from experiments import gpu_layers
from experiments import gpu_report

# Positions of the whole batch: enough for every processor of the chip.
POSITIONS = 2**20
# Programs started one after the other before their end is awaited, and how
# often that is measured.
CALLS, ROUNDS = 10, 5
# Layers of a small batch, or steps of training, of one program: to start a
# program takes longer than to run one of them.
REPEATS = 10
NAMES = (
  'ours block 0', 'ours block 3', 'ours block 2', 'ours stem',
  'DS-CNN-L pointwise', 'res15', 'TC-ResNet14 72',
)
DENSE = bench_shapes.Shape('dense 512', (100, 512), (512, 512), {}, 1)
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
  ('saturate', 64, 'pallas', 'float32'), ('exact_float32', 64, 'lax', 'tf32'),
  ('exact', 64, 'pallas', 'tf32'), ('saturate', 64, 'pallas', 'tf32'),
  ('saturate', 16, 'pallas', 'tf32'), ('saturate', 1, 'pallas', 'tf32'),
  ('wrap', 64, 'pallas', 'tf32'), ('saturate', 64, 'lax', 'tf32'),
)
# So many of the first are timed on every batch but the first.
FEW_STEPS = 6
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
  report = gpu_report.Report(args.json, time.perf_counter() + args.seconds)
  timing = gpu_report.Timing(args.calls, args.rounds)
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
    _unless_late(report, {'pass': section}, sections[section])


def shapes() -> list[bench_shapes.Shape]:
  """The layers, the most telling first."""
  by_name = {shape.name: shape for shape in bench_shapes.SHAPES}
  return [*(by_name[name] for name in NAMES), DENSE]


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
  outcomes = gpu_report.compiled(runs)
  right = sum(not error and found[0] == 0 for found, error in outcomes.values())
  report.add(**{'pass': 'check'}, comparisons=len(outcomes), right=right)
  for (engine, name), (found, error) in outcomes.items():
    if error or found[0]:
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
    kinds = [gpu_layers.BASE, gpu_layers.FLOAT, *REGISTERS]
    if number == 0 and positions and not whole:
      kinds += FIRST
    _unless_late(
      report, {'pass': which, 'shape': shape.name},
      functools.partial(
        _layer, shape, _filling(shape, positions), kinds, whole,
        1 if positions else REPEATS, timing, report,
      ),
    )


def _unless_late(report, names, run) -> None:
  """Runs what adds rows of its own; a row of `names` says why it did not."""
  if report.is_late():
    report.add(**names, skipped=True)
    return
  _, error = gpu_report.attempt(run)
  if error:
    report.add(**names, error=error)


def _layer(shape, larger, kinds, whole, copies, timing, report) -> None:
  """Rows of one layer, all kinds in turn."""
  operands = _operands(larger, whole)
  made = gpu_report.compiled({
    kind: functools.partial(_compile, larger, kind, whole, operands, copies)
    for kind in kinds
  })
  seconds = timing.seconds({
    key: (program[0], _arguments(key, larger, whole, operands, copies))
    for key, (program, error) in made.items() if not error
  }, copies)
  for key, (program, error) in made.items():
    value = error or seconds[key]
    row = {'pass': 'forward' if whole else 'product', 'op': key[0],
           'simd': key[1], 'engine': key[2], 'shape': shape.name,
           'batch': larger.x[0]}
    if isinstance(value, str):
      report.add(**row, error=value)
      continue
    report.add(
      **row, ratio=_ratio(value, seconds.get(gpu_layers.BASE)),
      us=1e6 * value, tops=2e-12 * larger.macs / value,
      compile_s=program[1],
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


def _arguments(kind, shape, whole, operands, copies):
  """What a program of `kind` takes: `copies` of x and w, all different."""
  x, w = operands
  if kind == gpu_layers.BASE and not whole:
    x = jax.jit(functools.partial(gpu_layers.rows, shape))(x)
  elif kind == gpu_layers.FLOAT:
    x, w = x.astype(jnp.float32), w.astype(jnp.float32)
  return (x, w), *(
    (jnp.roll(x, i, -2), jnp.roll(w, i, -1)) for i in range(1, copies)
  )


def _compile(shape, kind, whole, operands, copies):
  def run(x, w):
    if not whole:
      return gpu_layers.run(shape, kind, x, w)
    return gpu_layers.from_signs(
      shape, kind, binarize.sign(x, 'approx_sign'),
      binarize.sign(w, 'hard_tanh'),
    )

  def several(*pairs):
    return [run(x, w) for x, w in pairs]

  arguments = jax.eval_shape(
    functools.partial(_arguments, kind, shape, whole, copies=copies), operands
  )
  return jax.jit(several).lower(*arguments).compile()


def _blocks(wanted, positions, timing, report) -> None:
  """Rows of the kernel's block sizes."""
  for simd in (64, 16, 1):
    for shape in wanted:
      _unless_late(
        report, {'pass': 'blocks', 'simd': simd, 'shape': shape.name},
        functools.partial(
          _blocks_of, _filling(shape, positions), simd, timing, report
        ),
      )


def _blocks_of(shape, simd, timing, report) -> None:
  operands = _operands(shape, False)
  resolved = geometry.geometry(shape.x, shape.w, **shape.geometry)
  register = accumulator.Accumulator(gpu_layers.BITS, 'saturate', simd)
  made = gpu_report.compiled({
    blocks: functools.partial(
      _compile_blocks, register, resolved, blocks, operands
    )
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
  for number, batch in enumerate(batches):
    kinds = STEPS if number == 0 else STEPS[:FEW_STEPS]
    _unless_late(
      report, {'pass': 'train_step', 'batch': batch},
      functools.partial(_steps_of, batch, kinds, timing, report),
    )


def _steps_of(batch, kinds, timing, report) -> None:
  kinds = [kind for kind in kinds if kind[2] in choice.available()]
  prepared = {kind: _lower_step(kind, batch) for kind in kinds}
  made = gpu_report.compiled({k: v[0] for k, v in prepared.items()})
  seconds = timing.seconds({
    key: (program[0], prepared[key][1])
    for key, (program, error) in made.items() if not error
  }, REPEATS)
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
    op, simd, engine, batch, REPEATS
  )
  with mock.patch.dict(
    products.GRADIENT_PRECISION, {jax.default_backend(): PRECISIONS[gradients]}
  ):
    lowered, error = gpu_report.attempt(lower)

  def finish():
    if error:
      raise RuntimeError(error)
    return bench_train_step.compile_lowered(lowered)

  return finish, (state, *operands)


if __name__ == '__main__':
  main()
