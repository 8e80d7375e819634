"""Calibrates a checkpoint for a register that it was not trained with."""

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import os
import pathlib
import shutil
from typing import Any

from flax import traverse_util
import jax
import ml_collections
import numpy as np

from bnn_jax import errors
from bnn_jax.data import labels
from bnn_jax.data import source as source_lib
from bnn_jax.export import exporter
from bnn_jax.export import specs
from bnn_jax.export import trace
from bnn_jax.jobs import export as export_job
from bnn_jax.jobs import graph
from bnn_jax.jobs import layerwise
from bnn_jax.jobs import spotter
from bnn_jax.training import checkpoints as checkpoints_lib
from bnn_jax.training import evaluate
from bnn_jax.training import evaluator
from bnn_jax.training import setup
from bnn_jax.training import state as state_lib
from bnn_jax.training import workdir as workdir_lib

# Speakers whom no training on `fit` has met.
SPLIT = 'dev'
# Most clips that the integers are searched by.
SEARCH_CLIPS = 600


# What may differ where the clips do not: where they lie, and which part of them
# a training has.
_SAME_CLIPS = (
  'data.data_dir', 'data.test_dir', 'data.manual_dir', 'data.training_split',
)


class _Part:
  """Some clips of a split; implements `source.Source`."""

  def __init__(self, whole: source_lib.Source, indices: Sequence[int]):
    self.class_names, self.background = whole.class_names, whole.background
    self.notes = whole.notes
    self._whole, self._indices = whole, indices

  def __len__(self) -> int:
    return len(self._indices)

  def __getitem__(self, index: int) -> source_lib.Clip:
    return self._whole[self._indices[index]]


def run(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  target: pathlib.Path,
  *,
  checkpoint: int | None = None,
) -> dict[str, Any]:
  """Writes a workdir whose integers are those of `folder`, calibrated.

  Args:
    config: the workdir's configuration, with the register to calibrate for.
    folder: the workdir of a training on the split `fit`.
    target: the new workdir.
    checkpoint: step of the checkpoint; the newest by default.

  Returns:
    What became of each kind of integers, and how good the network was before
    and is now, as written to calibration.json.

  Raises:
    UserError: there is no such checkpoint, the network is another one, no
      register of it can overflow, or not all that it computes are integers; it
      was trained on the clips to calibrate with; or the new workdir exists or
      cannot be written.
  """
  own = workdir_lib.read_config(folder)
  _check_place(target)
  _check_training(own, folder)
  _check_variant(own, folder)
  _check_data(config, folder)
  restored = evaluate.restore(config, folder, checkpoint)
  config = _with_preload(config)
  state = _with_preloads(config, restored.state)
  layers = _layers(config, state, folder)
  split = setup.open_split(config, SPLIT)
  searched, guarding = _halves(split)
  front_end = setup.front_end(config)
  search, guard = (
    evaluator.quantize_split(
      _Part(split, half), state.inputs, front_end=front_end,
      input_bits=config.model.input_bits,
    ) for half in (_spaced(searched, SEARCH_CLIPS), guarding)
  )
  names = layerwise.observed_names(layers)
  model = setup.model(config)
  outcome = layerwise.calibrate(
    layers, state.variables(),
    narrow=graph.Observer(model, names, search.q),
    exact=graph.Observer(
      setup.model(setup.without_overflow(config, own['accumulator'])), names,
      search.q,
    ),
    judge=_judge(config, state, guard),
  )
  record = {
    'workdir': str(folder),
    'step': int(state.step),
    'accumulator': setup.describe_accumulator(config),
    'split': SPLIT,
    'search_clips': len(search.q),
    'guard_clips': len(guard.q),
    'kinds': {
      kind: dataclasses.asdict(count) for kind, count in outcome.counts.items()
    },
    'before': outcome.before._asdict(),
    'after': outcome.after._asdict(),
    'notes': [*restored.notes, *split.notes],
  }
  state = state.replace(deployed=state_lib.replicate(outcome.deployed))
  _write(target, _registered(own, config), state, record)
  return record


def _check_place(target: pathlib.Path) -> None:
  if target.exists():
    raise errors.UserError(
      f'{target} exists already; name another folder with --calibrated, or '
      'remove it.'
    )
  around = next(one for one in target.absolute().parents if one.exists())
  if not around.is_dir():
    raise errors.UserError(
      f'{target} cannot be made, as {around} is a file; name another folder '
      'with --calibrated.'
    )


def _check_training(own: Mapping[str, Any], folder: pathlib.Path) -> None:
  """Refuses to search by clips that the network has learned."""
  trained = own['data']['training_split']
  if trained != 'fit':
    raise errors.UserError(
      f'{folder} was trained on data.training_split={trained}, which holds the '
      f'clips of the split {SPLIT} that calibration searches by; train with '
      '--config.data.training_split=fit.'
    )


def _check_data(
  config: ml_collections.ConfigDict, folder: pathlib.Path
) -> None:
  """Refuses to search by clips of another data set, wherever it lies."""
  changed = workdir_lib.differences(folder, config.to_dict())
  for key, (there, now) in changed.items():
    if key.startswith('data.') and key not in _SAME_CLIPS:
      raise errors.UserError(
        f'{folder} was trained with {key}={there!r}, and --config has {now!r}; '
        'calibrate with the data of the training.'
      )


def _check_variant(own: Mapping[str, Any], folder: pathlib.Path) -> None:
  if own['model']['variant'] == 'float':
    raise _uncalibrated(folder, 'it is real-valued')


def _uncalibrated(folder: pathlib.Path, reason: str) -> errors.UserError:
  return errors.UserError(
    f'the network of {folder} has no integers to calibrate ({reason}); choose '
    'one whose --mode=export works, and by --config a register that is '
    'narrower than its sums, such as '
    'variant=overflow,accumulator_bits=7.'
  )


def _with_preload(
  config: ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """The same network with a deployed preload in each register."""
  made = config.copy_and_resolve_references().unlock()
  made.model.learn_preload = True
  return made.lock()


def _registered(
  own: dict[str, Any], config: ml_collections.ConfigDict
) -> dict[str, Any]:
  """A training's configuration with the registers of another one."""
  model = own['model'] | {
    key: config.model[key] for key in ('variant', 'learn_preload')
  }
  return own | {'model': model, 'accumulator': config.accumulator.to_dict()}


def _with_preloads(
  config: ml_collections.ConfigDict, state: state_lib.TrainState
) -> state_lib.TrainState:
  """The state as one of the configuration, with preloads of 0 where new."""
  shapes = jax.eval_shape(lambda: state_lib.create(
    setup.model(config), setup.optimizer(config, steps=100), seed=config.seed,
    **setup.input_shape(config),
  ))
  zeros = jax.tree.map(lambda like: np.zeros(like.shape, like.dtype), shapes)

  def filled(like, known):
    flat = traverse_util.flatten_dict(dict(like))
    return traverse_util.unflatten_dict(
      flat | traverse_util.flatten_dict(dict(known))
    )

  return state_lib.replicate(state.replace(
    params=filled(zeros.params, state.params),
    deployed=filled(zeros.deployed, state.deployed),
    # No training goes on from here.
    opt_state=zeros.opt_state,
  ))


def _layers(
  config: ml_collections.ConfigDict,
  state: state_lib.TrainState,
  folder: pathlib.Path,
) -> tuple[specs.Layer, ...]:
  """The layers of a network that can be calibrated."""
  try:
    layers = trace.trace(
      setup.model(config), state.variables(), **setup.input_shape(config),
      input_bits=config.model.input_bits,
    )
  except errors.UserError as error:
    reason = str(error).partition(': ')[2].partition(';')[0]
    raise _uncalibrated(folder, reason) from error
  if all(
    one.overflow_free for one in layers if isinstance(one, specs.Conv)
  ):
    raise _uncalibrated(folder, 'none of its registers can overflow')
  return layers


def _halves(split: source_lib.Source) -> tuple[list[int], list[int]]:
  """The clips of every other speaker, and those of the others."""
  speakers = [labels.speaker(split[i].name) for i in range(len(split))]
  order = {name: i for i, name in enumerate(sorted(set(speakers)))}
  if len(order) < 2:
    raise errors.UserError(
      f'the split {SPLIT} has {len(order)} speakers, and calibration needs two '
      'at least, one to search by and one to judge by; take a data set of more '
      'speakers.'
    )
  halves: tuple[list[int], list[int]] = [], []
  for i, name in enumerate(speakers):
    halves[order[name] % 2].append(i)
  return halves


def _spaced(indices: Sequence[int], most: int) -> list[int]:
  """At most so many of them, evenly spaced."""
  count = min(most, len(indices))
  return [indices[i * len(indices) // count] for i in range(count)]


def _judge(
  config: ml_collections.ConfigDict,
  state: state_lib.TrainState,
  guard: evaluator.QuantizedSplit,
):
  """Makes the function that judges a collection `deployed` on some clips."""
  model = setup.model(config)
  exported = exporter.export(
    model, state.variables(),
    **export_job.surroundings(config, state.inputs),
    provenance={'logit_factor': export_job.logit_factor(state.params)},
  )
  factor = spotter.logit_factor(exported)
  evaluated = evaluator.Evaluator(model)

  def judge(deployed):
    logits = evaluated.logits(
      state.replace(deployed=state_lib.replicate(deployed)), guard.q
    )
    return layerwise.Judgement(
      cross_entropy(factor * logits.astype(np.float64), guard.labels),
      float(np.mean(logits.argmax(-1) == guard.labels)),
    )

  return judge


def cross_entropy(logits: np.ndarray, wanted: np.ndarray) -> float:
  """Mean over clips, in nats.

  Args:
    logits: `[n, N]`.
    wanted: the right classes `[n]`.
  """
  shifted = logits - logits.max(-1, keepdims=True)
  right = shifted[np.arange(len(wanted)), wanted]
  return float(np.mean(np.log(np.exp(shifted).sum(-1)) - right))


def _write(
  target: pathlib.Path,
  config: dict[str, Any],
  state: state_lib.TrainState,
  record: dict[str, Any],
) -> None:
  """Writes the new workdir; it appears whole or not at all."""
  new = target.with_name(f'.{target.name}.{os.getpid()}')
  try:
    # A killed process may have had this number, too.
    shutil.rmtree(new, ignore_errors=True)
    workdir_lib.prepare(new, config, config['seed'])
    with contextlib.closing(
      checkpoints_lib.manager(str(new / workdir_lib.CHECKPOINTS))
    ) as checkpoints:
      checkpoints_lib.save(checkpoints, state, {})
    if jax.process_index() == 0:
      workdir_lib.write_json(new / workdir_lib.CALIBRATION, record)
      new.rename(target)
  except OSError as error:
    raise errors.UserError(
      f'{target} could not be written ({error.strerror}); free some space or '
      'make the folder around it writable.'
    ) from error
  finally:
    shutil.rmtree(new, ignore_errors=True)
