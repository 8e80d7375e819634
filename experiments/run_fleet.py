"""Trainings that share a program, many at once on one accelerator.

No checkpoint is written, unless each member is to be kept in a workdir, which
--mode=evaluate and --mode=export then read.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import statistics
import time
from typing import Any

import jax
import ml_collections
import numpy as np

from bnn_jax.data import on_device
from bnn_jax.data import source as source_lib
from bnn_jax.models import profile as profile_lib
from bnn_jax.nn.kernels import choice
from bnn_jax.training import checkpoints
from bnn_jax.training import evaluate
from bnn_jax.training import evaluator
from bnn_jax.training import fleet
from bnn_jax.training import setup
from bnn_jax.training import state as state_lib
from bnn_jax.training import workdir as workdir_lib
from experiments import outcome as outcome_lib
from experiments import plan


class Data:
  """Splits, read once for all trainings of the same data."""

  def __init__(self) -> None:
    self._clips: dict[str, tuple[source_lib.Source, on_device.Clips]] = {}
    self._quantized: dict[str, evaluator.QuantizedSplit] = {}

  def training(
    self, config: ml_collections.ConfigDict
  ) -> tuple[source_lib.Source, on_device.Clips]:
    """The training split, and its clips on the device; one at a time."""
    key = plan.digest(config.data.to_dict())
    if key not in self._clips:
      self._clips.clear()
      source = setup.open_split(config, config.data.training_split)
      self._clips[key] = source, jax.device_put(on_device.load(source))
    return self._clips[key]

  def quantized(
    self, config: ml_collections.ConfigDict, split: str, inputs: Any
  ) -> evaluator.QuantizedSplit:
    """A split as a state with these inputs reads it."""
    key = plan.digest([
      split, config.data.to_dict(), config.front_end.to_dict(),
      config.model.input_bits, float(inputs['lo']), int(inputs['exponent']),
    ])
    if key not in self._quantized:
      self._quantized[key] = evaluator.quantize_split(
        setup.open_split(config, split), inputs,
        front_end=setup.front_end(config), input_bits=config.model.input_bits,
      )
    return self._quantized[key]


def run(
  runs: Sequence[plan.Run], *, members: int, keep: bool = False
) -> Iterator[tuple[plan.Run, dict[str, Any]]]:
  """Trains and judges, one group after the other.

  Args:
    runs: the trainings.
    members: how many are trained at once, at most.
    keep: write a workdir for each.

  Yields:
    As `run_local.run`.
  """
  data = Data()
  for group in groups(runs, members):
    waiting = list(group)
    try:
      for one, found in _train(group, data, keep):
        waiting.remove(one)
        yield one, found
    except Exception as error:
      # Whatever stops a group, the others may still come to their end.
      reason = (str(error).strip() or type(error).__name__).splitlines()[0]
      for one in waiting:
        yield one, {'error': reason}


def groups(
  runs: Sequence[plan.Run], members: int
) -> list[tuple[plan.Run, ...]]:
  """Trainings that share a program together, in the order of the first."""
  found: dict[str, list[plan.Run]] = {}
  for one in runs:
    program = plan.digest(fleet.program(one.config))
    found.setdefault(program, []).append(one)
  return [
    tuple(sharing[i : i + members]) for sharing in found.values()
    for i in range(0, len(sharing), members)
  ]


def _train(group, data, keep) -> Iterator[tuple[plan.Run, dict[str, Any]]]:
  configs = [one.config for one in group]
  source, clips = data.training(configs[0])
  begun = time.monotonic()
  ends = [begun]
  finite = np.ones(len(group), bool)
  for trained, values in fleet.train(configs, source, clips, strict=False):
    states = trained
    finite &= np.isfinite([metrics['loss'] for metrics in values])
    ends.append(time.monotonic())
  finite &= _finite(states.params)
  epochs = np.diff(ends).tolist()
  size = configs[0].training.batch_size
  seen = len(group) * (len(source) // size * size)
  measured = {
    'wall_seconds': ends[-1] - begun,
    'members': len(group),
    # The first epoch of several has the compiling.
    'clips_per_second': seen / statistics.median(epochs[1:] or epochs),
    'engine': choice.choose(None),
    'device': f'{jax.devices()[0].platform} {jax.devices()[0].device_kind}',
    'jax': jax.__version__,
    'environment': workdir_lib.environment(),
    'revision': workdir_lib.git_revision(),
  }
  judge = _Judge(configs[0], data)
  for i, one in enumerate(group):
    if not finite[i]:
      yield one, {
        'error': 'the loss or a parameter is not finite; lower '
        'optimizer.learning_rate or penalty.weight'
      }
      continue
    state = judge.deploy(fleet.member(states, i))
    if keep:
      _keep(one, state)
    splits = {name: judge.split(state, name) for name in one.splits}
    yield one, outcome_lib.outcome(one.config, splits, **measured)


def _finite(params: Any) -> np.ndarray:
  """Which members have no parameter that the loss would stumble over, `[M]`."""
  return np.all([
    np.isfinite(np.asarray(leaf)).reshape(len(leaf), -1).all(-1)
    for leaf in jax.tree.leaves(params)
  ], axis=0)


class _Judge:
  """Judges the members of a group, which share a network."""

  def __init__(self, config: ml_collections.ConfigDict, data: Data):
    self._config, self._data = config, data
    shape = setup.input_shape(config)
    self.deploy = evaluator.deployer(setup.model(config), **shape)
    self._judge = evaluate.judge(config, profile_lib.profile(
      setup.model(config), input_bits=config.model.input_bits, **shape
    ))

  def split(self, state: state_lib.TrainState, name: str) -> dict[str, Any]:
    """What `evaluator.split_results` tells of a split."""
    split = self._data.quantized(self._config, name, state.inputs)
    return self._judge(
      state=state, split=split, classes=self._config.data.classes
    )


def _keep(one: plan.Run, state: state_lib.TrainState) -> None:
  """Writes the workdir of a finished training."""
  workdir_lib.prepare(one.workdir, one.config.to_dict(), one.seed)
  folder = str(one.workdir / workdir_lib.CHECKPOINTS)
  with contextlib.closing(checkpoints.manager(folder)) as manager:
    # A finished training has no next clip.
    checkpoints.save(manager, state_lib.replicate(state), {})
