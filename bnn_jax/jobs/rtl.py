"""Whether the accelerator gives a workdir's network the golden integers."""

from collections.abc import Callable
from collections.abc import Sequence
from concurrent import futures
import math
import pathlib

import ml_collections
import numpy as np

from bnn_jax import errors
from bnn_jax.accelerator import memories as memories_lib
from bnn_jax.accelerator import schedule
from bnn_jax.accelerator import simulator
from bnn_jax.accelerator import spec as spec_lib
from bnn_jax.accelerator import tools
from bnn_jax.export import engines
from bnn_jax.export import files
from bnn_jax.jobs import export as export_job
from bnn_jax.jobs import verify

RTL, GOLDEN = 'RTL', 'golden'
# What is added to the name of an export's folder for that of its memories.
SUFFIX = '-rtl'


def run(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  spec: spec_lib.AcceleratorSpec,
  *,
  splits: Sequence[str] = (),
  limit: int | None = None,
  deep: bool = False,
  tell: Callable[[str], None] = print,
) -> bool:
  """Simulates the accelerator on test splits and compares every logit.

  Args:
    config: the configuration that was exported.
    folder: the workdir; the memories are written beside its export.
    spec: of the accelerator.
    splits: their names; all test splits by default.
    limit: clips of each split; all by default.
    deep: compare every layer of the first clips, too. What the accelerator
      does not compute, frames that no convolution reads, counts as equal.
    tell: gets each line for the user.

  Returns:
    Whether all integers are equal.

  Raises:
    UserError: there is no export, no simulator, or the accelerator cannot run
      this network.
  """
  path = export_job.export_path(config, folder)
  if not path.exists():
    raise errors.UserError(
      f'there is no {path}; export the network first, with --mode=export and '
      'the same other flags.'
    )
  tools.require()
  model = files.read(path)
  memories = memories_lib.fill(model, spec)
  tell(f'memories: {_write(memories, path)}')
  inputs = {
    'lo': np.float32(model.input.lo), 'exponent': np.int32(model.input.exponent)
  }
  q, clips = verify.quantized(config, inputs, splits, limit)
  golden = engines.ENGINES[GOLDEN]
  assert golden.intermediates is not None
  intermediates = golden.intermediates
  # The simulator is a process of its own.
  with futures.ThreadPoolExecutor(1) as pool:
    simulated = pool.submit(simulator.run, memories, q)
    logits = {RTL: np.zeros(0), GOLDEN: golden.logits(path, q)}
    result = simulated.result()
  logits[RTL] = result.logits

  skipped = 0

  def layers(engine: str, q: np.ndarray) -> verify.Values:
    nonlocal skipped
    expected = intermediates(path, q)
    if engine == GOLDEN:
      return expected
    seen = simulator.run(memories, q, deep=True)
    skipped = _skipped(seen)
    return _layers(seen, expected)

  names = [layer.name for layer in model.layers]
  equal = verify.compare_logits(logits, layers, q, names, clips, tell)
  if deep:
    equal &= verify.compare_layers(logits, layers, q, names, clips, tell)
    tell(
      f'of these, not computed and taken as equal: {skipped} (frames that no '
      'convolution reads)'
    )
  for line in _summary(memories, spec, result):
    tell(line)
  return equal


def _write(
  memories: memories_lib.Memories, path: pathlib.Path
) -> pathlib.Path:
  """Writes the memories beside the export and gives their folder."""
  folder = path.with_name(path.name + SUFFIX)
  try:
    folder.mkdir(exist_ok=True)
    memories.write(folder)
  except OSError as error:
    raise errors.UserError(
      f'{folder} could not be written ({error.strerror}); free some space or '
      'make the folder around it writable.'
    ) from error
  return folder


def _skipped(result: simulator.Result) -> int:
  """How many integers were not computed; `seen` is the same for all clips."""
  return sum(
    int(np.sum(~np.broadcast_to(layer.seen, layer.values.shape)))
    for layer in result.layers.values()
  )


def _layers(
  result: simulator.Result, expected: verify.Values
) -> dict[str, np.ndarray]:
  """Every layer's array, with what is expected where it was not computed."""
  made = {
    name: np.where(layer.seen, layer.values, expected[name])
    for name, layer in result.layers.items()
  }
  last = next(name for name in expected if name not in made and name != 'q')
  return made | {last: result.logits}


def _summary(
  memories: memories_lib.Memories,
  spec: spec_lib.AcceleratorSpec,
  result: simulator.Result,
) -> list[str]:
  """Cycles, utilization and accesses, in lines for the user."""
  lay = memories.layout
  clips, total = len(result.cycles), int(result.cycles.sum())
  by_layer = schedule.cycles(lay.model, spec)
  operations = sum(
    math.prod(step.conv.weights.shape[1:]) * len(step.outputs) * step.positions
    for step in lay.steps
  )
  lanes = lay.pes * lay.machine.simd
  accesses = {
    name: count for name, count in result.used.items()
    if name != simulator.BUSY
  }
  return [
    f'cycles per inference: {total / clips:.0f} ('
    + ', '.join(f'{name} {count}' for name, count in by_layer.items()) + ')',
    f'utilization: array busy {result.used[simulator.BUSY] / total:.1%}, '
    f'lanes of the array with operands {operations * clips / total / lanes:.1%}'
    f' ({lay.pes} elements of {lay.machine.simd} lanes, '
    f'{lay.lanes} normalization units)',
    'memory accesses per inference, in rows: '
    + ', '.join(f'{n} {count / clips:.0f}' for n, count in accesses.items()),
  ]
