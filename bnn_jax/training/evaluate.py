"""Accuracy of a state on a split, with the exact and the deployed register."""

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import pathlib
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import numpy as np

from bnn_jax import errors
from bnn_jax import features
from bnn_jax.data import pipeline
from bnn_jax.data import source as source_lib
from bnn_jax.models import profile as profile_lib
from bnn_jax.nn import deployment
from bnn_jax.training import checkpoints as checkpoints_lib
from bnn_jax.training import metrics
from bnn_jax.training import setup
from bnn_jax.training import state as state_lib
from bnn_jax.training import steps
from bnn_jax.training import workdir as workdir_lib

BATCH = 100
# Keys that may differ between a training and an evaluation of its checkpoint.
EVALUATION_KEYS = (
  'accumulator.', 'augmentation.', 'data.', 'name', 'optimizer.', 'penalty.',
  'seed', 'training.', 'model.variant',
)


def deploy(
  model: nn.Module, state: state_lib.TrainState, *, frames: int, bins: int
) -> state_lib.TrainState:
  """The state with deployed constants made from its parameters now."""
  q = jax.ShapeDtypeStruct((1, frames, bins), 'uint8')
  layers = deployment.deployable_layers(model, q, train=False)
  constants = deployment.deployed_constants(
    layers, state.params, state.batch_stats
  )
  return state.replace(deployed=jax.tree.map(jax.numpy.asarray, constants))


class Evaluator:
  """Evaluates states of one network; compiles once.

  Attributes:
    model: the network, with the accumulators to evaluate.
    front_end: from waveforms to features.
    input_bits: of the quantized features.
  """

  def __init__(
    self, model: nn.Module, front_end: features.FrontEnd, input_bits: int
  ):
    self._logits, self._telemetry = steps.make_evaluation_step(
      model, front_end=front_end, input_bits=input_bits
    )

  def logits(
    self, state: state_lib.TrainState, source: source_lib.Source
  ) -> tuple[np.ndarray, np.ndarray]:
    """All logits `[n, N]` and labels `[n]` of a split.

    Args:
      state: with current deployed constants.
      source: the split.
    """
    variables, inputs = state.variables(), state.inputs
    collected, labels = [], []
    for batch in pipeline.evaluation_batches(source, batch_size=BATCH):
      values = np.asarray(self._logits(variables, inputs, batch['audio']))
      mask = batch['mask']
      collected.append(values[mask])
      labels.append(batch['label'][mask])
    return np.concatenate(collected), np.concatenate(labels)

  def telemetry(
    self, state: state_lib.TrainState, source: source_lib.Source
  ) -> dict[str, dict[str, int]]:
    """Counts of overflow over a split by the layer's path."""
    variables, inputs = state.variables(), state.inputs
    total: dict[str, dict[str, int]] = {}
    for batch in pipeline.evaluation_batches(source, batch_size=BATCH):
      _, collections = self._telemetry(variables, inputs, batch['audio'])
      counts = jax.device_get(collections.get('telemetry', {}))
      for path, layer in _by_path(counts):
        sums = total.setdefault(path, {})
        for name, of_clip in layer.items():
          # Python integers: the counts of a large split pass 32 bits.
          count = int(of_clip[batch['mask']].sum(dtype=np.int64))
          sums[name] = sums.get(name, 0) + count
    return total


def _by_path(tree: Mapping[str, Any], path: tuple[str, ...] = ()):
  """(path, counts) of all layers."""
  for name, branch in tree.items():
    if name == 'counts':
      yield '/'.join(path), branch[0]
    else:
      yield from _by_path(branch, (*path, name))


def split_results(
  *,
  deployed: Evaluator,
  exact: Evaluator,
  state: state_lib.TrainState,
  source: source_lib.Source,
  registers: Mapping[str, Any],
) -> dict[str, Any]:
  """Everything that is told about one split.

  Args:
    deployed: with the accumulators that the network is deployed on.
    exact: with accumulators of the same widths that never overflow.
    state: with current deployed constants.
    source: the split.
    registers: the deployed accumulator by the layer's path.

  Returns:
    For JSON: clips, accuracies, changed decisions, confusion, overflow.
  """
  logits, labels = deployed.logits(state, source)
  exact_logits, _ = exact.logits(state, source)
  chosen, chosen_exact = logits.argmax(-1), exact_logits.argmax(-1)
  counts = deployed.telemetry(state, source)
  return {
    'clips': len(labels),
    'accuracy_exact': float(np.mean(chosen_exact == labels)),
    'accuracy_deployed': float(np.mean(chosen == labels)),
    'changed_decisions': int(np.sum(chosen != chosen_exact)),
    'confusion': metrics.confusion_matrix(
      labels, chosen, len(source.class_names)
    ).tolist(),
    'overflow': [
      {
        'path': path,
        'bits': register.bits,
        'overflow_mode': register.overflow_mode,
        'decision_flip': None,
        **counts[path],
      }
      for path, register in registers.items()
      if path in counts
    ],
  }


def run(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  *,
  splits: Sequence[str] = (),
  checkpoint: int | None = None,
) -> dict[str, Any]:
  """Evaluates a checkpoint of a workdir and writes its results.

  The configuration may differ from the workdir's in what does not change the
  network's parameters, such as the accumulator; the results are then written
  beside those of the training, under the accumulator's name.

  Args:
    config: the configuration to evaluate.
    folder: the workdir.
    splits: their names; all test splits by default.
    checkpoint: its step; the newest by default.

  Returns:
    The results, as written.

  Raises:
    UserError: there is no such checkpoint, or the network is another one.
  """
  workdir_lib.check_config(folder, config.to_dict(), ignore=EVALUATION_KEYS)
  model = setup.model(config)
  front_end = setup.front_end(config)
  shape = {
    'frames': front_end.frames(source_lib.CLIP_SAMPLES),
    'bins': front_end.bins,
  }
  restored = _restore(config, folder, model, shape, checkpoint)
  state = restored.state
  profile = profile_lib.profile(model, **shape)
  registers = setup.accumulators(config)
  evaluators = {
    'deployed': Evaluator(model, front_end, config.model.input_bits),
    'exact': Evaluator(
      setup.model(setup.without_overflow(config)), front_end,
      config.model.input_bits,
    ),
  }
  if config.model.variant == 'float':
    evaluators['exact'] = evaluators['deployed']
  results: dict[str, Any] = {
    'step': int(state.step),
    'class_names': [],
    'accumulator': setup.describe_accumulator(config),
    'variant': config.model.variant,
    'profile': profile,
    'splits': {},
    'notes': list(restored.notes),
  }
  for name in splits or setup.test_splits(config):
    source = setup.open_split(config, name)
    results['class_names'] = list(source.class_names)
    results['notes'] += source.notes
    results['splits'][name] = split_results(
      **evaluators, state=state, source=source,
      registers={
        row['path']: registers.at(row['path']) for row in profile['layers']
      },
    )
  workdir_lib.write_json(folder / _results_name(config, folder), results)
  return results


def _restore(
  config, folder, model, shape, checkpoint
) -> checkpoints_lib.Restored:
  """A checkpoint, with its deployed constants as stored."""
  path = folder / workdir_lib.CHECKPOINTS
  # The number of steps does not change the shape of the optimizer's state.
  fresh = state_lib.create(
    model, setup.optimizer(config, steps=100), seed=config.seed, **shape
  )
  with contextlib.closing(checkpoints_lib.manager(str(path))) as checkpoints:
    found = checkpoints_lib.restore(checkpoints, fresh, checkpoint)
  if found is None:
    raise errors.UserError(
      f'there is no checkpoint in {path}; train first, with --mode=train and '
      f'--workdir={folder}.'
    )
  return found


def _results_name(
  config: ml_collections.ConfigDict, folder: pathlib.Path
) -> str:
  """results.json for the training's own configuration, another otherwise."""
  stored = workdir_lib.read_json(folder / workdir_lib.CONFIG)
  if stored['accumulator'] == workdir_lib.as_json(config.accumulator.to_dict()):
    return workdir_lib.RESULTS
  register = setup.describe_accumulator(config)
  return f'results-{"-".join(str(v) for v in register.values())}.json'
