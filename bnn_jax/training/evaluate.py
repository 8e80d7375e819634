"""Accuracy of a state on a split, with the exact and the deployed register."""

import base64
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import functools
import hashlib
import json
import pathlib
from typing import Any
from typing import NamedTuple

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
  'accumulator.', 'augmentation.', 'data.data_dir', 'data.manual_dir',
  'data.max_bad_share', 'data.protocol', 'data.source', 'data.synthetic_',
  'data.test_dir', 'data.training_split', 'distillation.', 'model.variant',
  'name', 'optimizer.', 'penalty.', 'seed', 'training.',
)
# Keys that are told by the name of the results, each by its value.
_NAMED_KEYS = tuple(
  f'accumulator.{name}' for name in ('bits', 'overflow_mode', 'simd', 'unit')
)


def deployer(
  model: nn.Module, *, frames: int, bins: int
) -> Callable[[state_lib.TrainState], state_lib.TrainState]:
  """Makes the function that deploys states of a network, traced here once.

  Args:
    model: the network.
    frames: T of its input.
    bins: F of its input.

  Returns:
    From a state to the same with deployed constants made from its parameters.
  """
  q = jax.ShapeDtypeStruct((1, frames, bins), 'uint8')
  layers = deployment.deployable_layers(model, q, train=False)

  def deploy_state(state):
    constants = deployment.deployed_constants(
      layers, state.params, state.batch_stats
    )
    return state.replace(deployed=state_lib.replicate(constants))

  return deploy_state


class QuantizedSplit(NamedTuple):
  """A split as all networks and engines read it.

  Attributes:
    q: quantized features, uint8 `[n, T, F]`.
    labels: class indices, int32 `[n]`.
  """

  q: np.ndarray
  labels: np.ndarray


def quantize_split(
  source: source_lib.Source,
  inputs: Mapping[str, Any],
  *,
  front_end: features.FrontEnd,
  input_bits: int,
) -> QuantizedSplit:
  """Computes the front end of a split, once for whatever reads it.

  Args:
    source: the split.
    inputs: a state's; `lo` and `exponent` of the quantization are read.
    front_end: from waveforms to features.
    input_bits: of the quantized features.

  Returns:
    All clips in their order.

  Raises:
    UserError: the split is empty.
  """
  lo, exponent = inputs['lo'], inputs['exponent']
  pieces, labels = [], []
  for batch in pipeline.evaluation_batches(source, batch_size=BATCH):
    q = _quantize(
      batch['audio'], lo, exponent, front_end=front_end, bits=input_bits
    )
    pieces.append(np.asarray(q)[batch['mask']])
    labels.append(batch['label'][batch['mask']])
  return QuantizedSplit(np.concatenate(pieces), np.concatenate(labels))


@functools.partial(jax.jit, static_argnames=('front_end', 'bits'))
def _quantize(audio, lo, exponent, *, front_end, bits):
  """From `[B, S]` to uint8 `[B, T, F]`."""
  x = features.extract(audio, front_end)
  return features.quantize_by(x, lo, exponent, bits)


class Evaluator:
  """Evaluates states of one network; compiles once."""

  def __init__(self, model: nn.Module):
    """Makes it.

    Args:
      model: the network, with the accumulators to evaluate.
    """
    self._logits, self._telemetry = steps.make_evaluation_step(model)

  def logits(self, state: state_lib.TrainState, q: np.ndarray) -> np.ndarray:
    """Logits of a split.

    Args:
      state: with current deployed constants.
      q: quantized features, uint8 `[n, T, F]`.

    Returns:
      `[n, N]`.
    """
    variables = state.variables()
    return np.concatenate([
      np.asarray(self._logits(variables, batch))[:count]
      for batch, count in _batches(q)
    ])

  def logits_and_telemetry(
    self, state: state_lib.TrainState, q: np.ndarray
  ) -> tuple[np.ndarray, dict[str, dict[str, int]]]:
    """Logits as of `logits`, and counts of overflow by the layer's path."""
    variables = state.variables()
    collected = []
    total: dict[str, dict[str, int]] = {}
    for batch, count in _batches(q):
      logits, collections = self._telemetry(variables, batch)
      collected.append(np.asarray(logits)[:count])
      counts = jax.device_get(collections.get('telemetry', {}))
      for path, layer in _by_path(counts):
        sums = total.setdefault(path, {})
        for name, of_clip in layer.items():
          # Python integers: the counts of a large split pass 32 bits.
          number = int(of_clip[:count].sum(dtype=np.int64))
          sums[name] = sums.get(name, 0) + number
    return np.concatenate(collected), total


def _batches(q: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
  """Batches of one shape, padded with zeros, and their numbers of clips."""
  for start in range(0, len(q), BATCH):
    batch = q[start : start + BATCH]
    padding = [(0, BATCH - len(batch))] + [(0, 0)] * (q.ndim - 1)
    yield np.pad(batch, padding), len(batch)


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
  split: QuantizedSplit,
  classes: int,
  registers: Mapping[str, Any],
) -> dict[str, Any]:
  """Everything that is told about one split.

  Args:
    deployed: with the accumulators that the network is deployed on.
    exact: with accumulators of the same widths that never overflow.
    state: with current deployed constants.
    split: the split.
    classes: how many there are.
    registers: the deployed accumulator by the layer's path.

  Returns:
    For JSON: clips, accuracies, changed decisions, which clips are right (see
    `unpack`) with either register, confusion, overflow.
  """
  labels = split.labels
  logits, counts = deployed.logits_and_telemetry(state, split.q)
  chosen = logits.argmax(-1)
  # A float network has no register, and two programs round it differently.
  chosen_exact = chosen
  if exact is not deployed:
    chosen_exact = exact.logits(state, split.q).argmax(-1)
  return {
    'clips': len(labels),
    'accuracy_exact': float(np.mean(chosen_exact == labels)),
    'accuracy_deployed': float(np.mean(chosen == labels)),
    'changed_decisions': int(np.sum(chosen != chosen_exact)),
    'right_exact': _pack(chosen_exact == labels),
    'right_deployed': _pack(chosen == labels),
    'confusion': metrics.confusion_matrix(labels, chosen, classes).tolist(),
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


def _pack(right: np.ndarray) -> str:
  return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpack(text: str, clips: int) -> np.ndarray:
  """Which clips are right, bool `[clips]`, from the text of the results."""
  packed = np.frombuffer(base64.b64decode(text), np.uint8)
  return np.unpackbits(packed, count=clips).astype(bool)


def judge(
  config: ml_collections.ConfigDict, profile: Mapping[str, Any]
) -> Callable[..., dict[str, Any]]:
  """Makes the function that judges states of a configuration; compiles once.

  Args:
    config: the configuration.
    profile: of its network, from `models.profile`.

  Returns:
    `split_results`, of which `state`, `split` and `classes` are still to give.
  """
  registers = setup.accumulators(config)
  deployed = exact = Evaluator(setup.model(config))
  if config.model.variant != 'float':
    exact = Evaluator(setup.model(setup.without_overflow(config)))
  return functools.partial(
    split_results, deployed=deployed, exact=exact, registers={
      row['path']: registers.at(row['path']) for row in profile['layers']
    },
  )


def run(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  *,
  splits: Sequence[str] = (),
  checkpoint: int | None = None,
) -> dict[str, Any]:
  """Evaluates a checkpoint of a workdir and writes its results.

  The configuration may differ from the workdir's in what does not change the
  network's parameters, such as the accumulator; `results_path` says where the
  results are then written.

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
  restored = restore(config, folder, checkpoint)
  state = restored.state
  profile = profile_lib.profile(
    setup.model(config), input_bits=config.model.input_bits,
    **setup.input_shape(config),
  )
  judged = judge(config, profile)
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
    results['splits'][name] = judged(
      state=state, classes=len(source.class_names),
      split=quantize_split(
        source, state.inputs, front_end=setup.front_end(config),
        input_bits=config.model.input_bits,
      ),
    )
  if jax.process_index() == 0:
    path = results_path(config, folder, splits, checkpoint)
    workdir_lib.write_json(path, results)
  return results


def _check_variant(
  config: ml_collections.ConfigDict, folder: pathlib.Path
) -> None:
  """Refuses a variant with other parameters than the checkpoint's."""
  trained = workdir_lib.read_json(folder / workdir_lib.CONFIG)['model']
  variants = trained['variant'], config.model.variant
  # Our network's binary variants differ in their registers alone.
  ours = config.model.name == 'speech_resnet'
  if variants[0] != variants[1] and ('float' in variants or not ours):
    raise errors.UserError(
      f'{folder} was trained with variant={variants[0]} and cannot be '
      f'evaluated with variant={variants[1]}, whose parameters differ; name '
      'the variant it was trained with.'
    )


def restore(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  checkpoint: int | None = None,
) -> checkpoints_lib.Restored:
  """A checkpoint of a workdir, with its deployed constants as stored.

  Args:
    config: a configuration of the same parameters.
    folder: the workdir.
    checkpoint: its step; the newest by default.

  Returns:
    The state, and what has to be told about it.

  Raises:
    UserError: there is no such checkpoint, or the network is another one.
  """
  workdir_lib.check_config(folder, config.to_dict(), ignore=EVALUATION_KEYS)
  _check_variant(config, folder)
  model = setup.model(config)
  path = folder / workdir_lib.CHECKPOINTS
  # The number of steps does not change the shape of the optimizer's state.
  fresh = state_lib.create(
    model, setup.optimizer(config, steps=100), seed=config.seed,
    **setup.input_shape(config),
  )
  fresh = state_lib.replicate(fresh)
  with contextlib.closing(checkpoints_lib.manager(str(path))) as checkpoints:
    found = checkpoints_lib.restore(checkpoints, fresh, checkpoint)
  if found is None:
    raise errors.UserError(
      f'there is no checkpoint in {path}; train first, with --mode=train and '
      f'--workdir={folder}.'
    )
  return found


def results_path(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  splits: Sequence[str] = (),
  checkpoint: int | None = None,
) -> pathlib.Path:
  """Where the results of an evaluation are written.

  Args:
    config: the configuration to evaluate.
    folder: the workdir.
    splits: as given to `run`.
    checkpoint: as given to `run`.

  Returns:
    results.json for the training's own evaluation. Any other has the default
    accumulator in its name, then what else is not the training's own: the
    splits, the step, and a hash of the other keys that differ.

  Raises:
    UserError: the folder is not a workdir.
  """
  changed = workdir_lib.differences(folder, config.to_dict())
  own_splits = tuple(splits) in ((), setup.test_splits(config))
  if not changed and own_splits and checkpoint is None:
    return folder / workdir_lib.RESULTS
  parts = ['results', *map(str, setup.describe_accumulator(config).values())]
  if not own_splits:
    parts += splits
  if checkpoint is not None:
    parts.append(f'step{checkpoint}')
  unnamed = {
    key: now for key, (_, now) in changed.items() if key not in _NAMED_KEYS
  }
  if unnamed:
    text = json.dumps(unnamed, sort_keys=True)
    parts.append(hashlib.sha256(text.encode()).hexdigest()[:8])
  return folder / ('-'.join(parts) + '.json')
