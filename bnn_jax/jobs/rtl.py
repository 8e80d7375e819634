"""Whether the accelerator gives a workdir's network the golden integers."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import functools
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
  """Simulates the accelerator on test splits and compares what it computes.

  All logits and decisions are compared with the golden model's, and the cycles
  of each inference with those of `schedule`.

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
    Whether all is equal.

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
  # The simulator is a process of its own.
  with futures.ThreadPoolExecutor(1) as pool:
    simulated = pool.submit(simulator.run, memories, q)
    golden = engines.ENGINES[GOLDEN].logits(path, q)
    result = simulated.result()
  logits = {RTL: result.logits, GOLDEN: golden}
  layers = functools.partial(_layers, path, memories)
  names = [layer.name for layer in model.layers]
  equal = verify.compare_logits(logits, layers, q, names, clips, tell)
  equal &= _compare_decisions(result, golden, clips, tell)
  if deep:
    equal &= verify.compare_layers(logits, layers, q, names, clips, tell)
    tell(
      'of these, not computed and taken as equal: '
      f'{_skipped(memories, q[: verify.DEEP_CLIPS])} (frames that no '
      'convolution reads)'
    )
  by_layer = schedule.cycles(model, spec)
  equal &= _compare_cycles(result, by_layer, clips, tell)
  for line in _summary(memories, by_layer, result):
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


def _compare_decisions(
  result: simulator.Result, golden: np.ndarray, clips: Sequence[str],
  tell: Callable[[str], None],
) -> bool:
  """Compares each clip's class: of several largest logits the first one's."""
  expected = golden.argmax(axis=1)
  unequal = np.flatnonzero(result.decisions != expected)
  tell(
    f'{RTL} vs {GOLDEN}, decisions: mismatches: {len(unequal)} of '
    f'{len(expected)}'
  )
  for i in unequal[:1]:
    tell(
      f'  first: clip {clips[i]}: {result.decisions[i]} and {expected[i]}'
    )
  return not len(unequal)


def _compare_cycles(
  result: simulator.Result, by_layer: Mapping[str, int], clips: Sequence[str],
  tell: Callable[[str], None],
) -> bool:
  """Compares the counter of each inference with the cycles by layer."""
  expected = sum(by_layer.values())
  unequal = np.flatnonzero(result.cycles != expected)
  tell(
    f'{RTL} vs schedule, cycles: mismatches: {len(unequal)} of '
    f'{len(result.cycles)}'
  )
  for i in unequal[:1]:
    tell(f'  first: clip {clips[i]}: {result.cycles[i]} and {expected}')
  return not len(unequal)


def _skipped(memories: memories_lib.Memories, q: np.ndarray) -> int:
  """How many integers of these clips are not computed."""
  layers = simulator.run(memories, q[:1], deep=True).layers.values()
  return len(q) * sum(
    int(np.sum(~np.broadcast_to(layer.seen, layer.values.shape)))
    for layer in layers
  )


def _layers(
  path: pathlib.Path, memories: memories_lib.Memories, engine: str,
  q: np.ndarray,
) -> dict[str, np.ndarray]:
  """Every layer's array, with what is expected where it is not computed."""
  golden = engines.ENGINES[GOLDEN].intermediates
  assert golden is not None
  expected = golden(path, q)
  if engine == GOLDEN:
    return expected
  result = simulator.run(memories, q, deep=True)
  made = {
    name: np.where(layer.seen, layer.values, expected[name])
    for name, layer in result.layers.items()
  }
  last = next(name for name in expected if name not in made and name != 'q')
  return made | {last: result.logits}


def _summary(
  memories: memories_lib.Memories,
  by_layer: Mapping[str, int],
  result: simulator.Result,
) -> list[str]:
  """Cycles, utilization and accesses, in lines for the user."""
  lay = memories.layout
  clips, total = len(result.cycles), int(result.cycles.sum())
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
