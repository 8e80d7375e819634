"""All that a training needs before its first step."""

from collections.abc import Callable
import contextlib
import dataclasses
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np
from orbax import checkpoint as ocp
import rich.console

from bnn_jax import errors
from bnn_jax.data import pipeline
from bnn_jax.data import source as source_lib
from bnn_jax.nn.kernels import choice
from bnn_jax.training import checkpoints as checkpoints_lib
from bnn_jax.training import checks
from bnn_jax.training import evaluator as evaluator_lib
from bnn_jax.training import inputs
from bnn_jax.training import setup
from bnn_jax.training import state as state_lib
from bnn_jax.training import steps as steps_lib
from bnn_jax.training import teachers
from bnn_jax.training import workdir as workdir_lib

# How long it takes, by the source of data.
_TO_MAKE = {'synthetic': 'a minute', 'tfds': 'an hour'}


@dataclasses.dataclass(frozen=True)
class Run:
  """A training that stands at its first step, or where it was stopped.

  Attributes:
    folder: the workdir.
    state: to go on from.
    batches: what comes next, an iterator with `get_state` and `close`.
    batch_size: of all processes together.
    epoch_steps: steps an epoch.
    steps: of the whole training.
    train_step: the compiled step; it takes the state away.
    deploy: gives a state its deployed integers.
    validate: accuracy of a deployed state on the split that watches.
    checkpoints: where states are kept.
    lock: keeps other trainings out of the workdir until its exit.
  """

  folder: pathlib.Path
  state: state_lib.TrainState
  batches: Any
  batch_size: int
  epoch_steps: int
  steps: int
  train_step: steps_lib.TrainStep
  deploy: Callable[[state_lib.TrainState], state_lib.TrainState]
  validate: Callable[[state_lib.TrainState], float]
  checkpoints: ocp.CheckpointManager
  lock: contextlib.AbstractContextManager[Any]


def prepare(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  console: rich.console.Console,
) -> Run:
  """Opens the data, and makes the state or reads the newest checkpoint.

  Args:
    config: the configuration.
    folder: the workdir.
    console: for the user.

  Raises:
    UserError: bad input, a workdir of another configuration, or a full disk.
  """
  checks.check_training(config)
  workdir_lib.check_trainable(folder)
  if (folder / workdir_lib.CONFIG).exists():
    workdir_lib.check_config(folder, config.to_dict())
  _tell(
    console, choice.describe(),
    _reading(config.data.source, config.data.data_dir),
  )
  source = setup.open_split(config, config.data.training_split)
  validation = setup.open_split(config, setup.validation_split(config))
  _tell(console, *source.notes, *validation.notes)

  batch_size = config.training.batch_size
  batches = _batches(config, source)
  epoch_steps = len(source) // batch_size
  steps = config.training.epochs * epoch_steps
  _check_devices(batch_size)
  model, optimizer = setup.model(config), setup.optimizer(config, steps)
  teachers.check(config)
  with contextlib.ExitStack() as stack:
    # After all that bad input can stop, or a corrected command would meet the
    # workdir of the wrong one.
    stack.enter_context(workdir_lib.hold(folder))
    workdir_lib.prepare(folder, config.to_dict(), config.seed)
    checkpoints = checkpoints_lib.manager(
      str(folder / workdir_lib.CHECKPOINTS)
    )
    fresh = _fresh_state(config, model, optimizer)
    found = checkpoints_lib.restore(checkpoints, fresh)
    if found is None:
      state = _with_fitted_inputs(fresh, config, source)
    else:
      state = found.state
      step = int(state.step)
      batches.set_state(found.position)
      _tell(
        console, *found.notes,
        *checkpoints_lib.set_aside_after(checkpoints, step),
        f'going on from step {step} in {folder}',
      )
    return Run(
      folder=folder, state=state, batches=batches, batch_size=batch_size,
      epoch_steps=epoch_steps, steps=steps, checkpoints=checkpoints,
      train_step=_compiled_step(config, model, steps, state),
      deploy=evaluator_lib.deployer(model, **setup.input_shape(config)),
      validate=_validator(config, model, validation, state),
      lock=stack.pop_all(),
    )


def _tell(console: rich.console.Console, *notes: str) -> None:
  for note in notes:
    console.print(note, highlight=False, markup=False)


def _reading(source: str, data_dir: str) -> str:
  """What is told before the data set is opened."""
  if source not in _TO_MAKE:
    return f'reading {data_dir}'
  return (
    f'reading the data set {source}; if it is still to be made, that takes up '
    f'to {_TO_MAKE[source]}'
  )


def _batches(config: ml_collections.ConfigDict, source: source_lib.Source):
  """The training clips of this process, shuffled and augmented."""
  return pipeline.train_iterator(
    source, batch_size=config.training.batch_size, seed=config.seed,
    augmentation=setup.augmentations(config),
    process_index=jax.process_index(), process_count=jax.process_count(),
  )


def _fresh_state(config, model, optimizer) -> state_lib.TrainState:
  return state_lib.replicate(
    state_lib.create(
      model, optimizer, seed=config.seed, **setup.input_shape(config)
    )
  )


def _check_devices(batch_size: int) -> None:
  """Refuses a batch that all devices of all processes cannot share."""
  devices = jax.devices()
  if batch_size % len(devices):
    raise errors.UserError(
      f'training.batch_size={batch_size} cannot be shared by {len(devices)} '
      'devices; make it a multiple of their number.'
    )


def _with_fitted_inputs(
  state: state_lib.TrainState,
  config: ml_collections.ConfigDict,
  source: source_lib.Source,
) -> state_lib.TrainState:
  """The state with the input quantization that fits the training clips."""
  fitted = inputs.fit(
    source, front_end=setup.front_end(config),
    clips=config.training.input_clips, bits=config.model.input_bits,
    fitted=state.inputs,
  )
  return state.replace(inputs=state_lib.replicate(fitted))


def _compiled_step(config, model, steps, state) -> steps_lib.TrainStep:
  teacher = teachers.load(config, state.inputs)
  return jax.jit(
    setup.train_step(config, model, steps, teacher),
    donate_argnums=0,
    out_shardings=state_lib.replicated(),
    compiler_options=steps_lib.compiler_options(),
  )


def _validator(
  config, model, validation, state
) -> Callable[[state_lib.TrainState], float]:
  evaluator = evaluator_lib.Evaluator(model)
  clips = evaluator_lib.quantize_split(
    validation, state.inputs, front_end=setup.front_end(config),
    input_bits=config.model.input_bits,
  )

  def validate(state):
    logits = evaluator.logits(state, clips.q)
    return float(np.mean(logits.argmax(-1) == clips.labels))

  return validate
