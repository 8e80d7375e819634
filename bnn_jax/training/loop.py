"""The training loop."""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import math
import pathlib
import signal
import time

import jax
from jax.experimental import multihost_utils
import ml_collections
import numpy as np
import rich.console

from bnn_jax import errors
from bnn_jax.data import pipeline
from bnn_jax.data import source as source_lib
from bnn_jax.training import checkpoints as checkpoints_lib
from bnn_jax.training import evaluate
from bnn_jax.training import inputs
from bnn_jax.training import logs
from bnn_jax.training import metrics as metrics_lib
from bnn_jax.training import progress as progress_lib
from bnn_jax.training import setup
from bnn_jax.training import state as state_lib
from bnn_jax.training import steps as steps_lib
from bnn_jax.training import teachers
from bnn_jax.training import workdir as workdir_lib

# How long it takes, by the source of data.
_TO_MAKE = {'synthetic': 'a minute', 'tfds': 'an hour'}


class StopError(Exception):
  """A signal ended the training after its state was saved.

  Attributes:
    number: of the signal.
    step: of the checkpoint.
  """

  def __init__(self, number: int, step: int):
    super().__init__(f'stopped by {signal.Signals(number).name}')
    self.number = number
    self.step = step


def train(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  console: rich.console.Console,
) -> None:
  """Trains, or goes on where the workdir's last checkpoint stands.

  Args:
    config: the configuration.
    folder: the workdir.
    console: for the user.

  Raises:
    UserError: bad input, a workdir of another configuration, a full disk, or a
      loss that is not finite.
    StopError: SIGTERM or SIGINT came; the state is saved.
  """
  model = setup.model(config)
  front_end = setup.front_end(config)
  augmentation = setup.augmentations(config)
  setup.check_training(config)
  if (folder / workdir_lib.CONFIG).exists():
    workdir_lib.check_config(folder, config.to_dict())
  console.print(
    _reading(config.data.source, config.data.data_dir),
    highlight=False, markup=False,
  )
  source = setup.open_split(config, 'training')
  validation = setup.open_split(config, 'validation')
  for note in (*source.notes, *validation.notes):
    console.print(note, highlight=False, markup=False)

  batch_size = config.training.batch_size
  batches = pipeline.train_iterator(
    source, batch_size=batch_size, seed=config.seed, augmentation=augmentation,
    process_index=jax.process_index(), process_count=jax.process_count(),
  )
  epoch_steps = len(source) // batch_size
  total = config.training.epochs * epoch_steps
  optimizer = setup.optimizer(config, total)
  _check_devices(batch_size)
  # After all that bad input can stop, or a corrected command would meet the
  # workdir of the wrong one.
  workdir_lib.prepare(folder, config.to_dict(), config.seed)
  sharded = state_lib.sharded()

  frames = front_end.frames(source_lib.CLIP_SAMPLES)
  shape = {'frames': frames, 'bins': front_end.bins}
  state = state_lib.create(model, optimizer, seed=config.seed, **shape)
  state = state_lib.replicate(state)
  checkpoints = checkpoints_lib.manager(str(folder / workdir_lib.CHECKPOINTS))
  found = checkpoints_lib.restore(checkpoints, state)
  if found is None:
    fitted = inputs.fit(
      source, front_end=front_end, clips=config.training.input_clips,
      bits=config.model.input_bits, fitted=state.inputs,
    )
    state = state.replace(inputs=state_lib.replicate(fitted))
  else:
    for note in found.notes:
      console.print(note, highlight=False, markup=False)
    state, position = found.state, found.position
    for note in checkpoints_lib.set_aside_after(checkpoints, int(state.step)):
      console.print(note, highlight=False, markup=False)
    batches.set_state(position)
    console.print(f'going on from step {int(state.step)} in {folder}')

  train_step = jax.jit(
    setup.train_step(
      config, model, total, teachers.load(config, state.inputs)
    ),
    donate_argnums=0,
    out_shardings=state_lib.replicated(),
    compiler_options=steps_lib.compiler_options(),
  )
  merge = jax.jit(metrics_lib.Means.merge)
  deploy = evaluate.deployer(model, **shape)
  evaluator = evaluate.Evaluator(model)
  quantized = evaluate.quantize_split(
    validation, state.inputs, front_end=front_end,
    input_bits=config.model.input_bits,
  )

  def is_due(step, epochs):
    return step % (epochs * epoch_steps) == 0

  first = int(state.step)
  loss = jax.numpy.zeros(())
  window: list[metrics_lib.Means] = []
  logged = first
  started = time.monotonic()
  with (
    contextlib.closing(batches),
    contextlib.closing(checkpoints),
    logs.Writer(folder, first) as writer,
    progress_lib.Progress(console, total, first) as progress,
    _signals() as received,
  ):
    for step in range(first + 1, total + 1):
      batch = {
        name: jax.make_array_from_process_local_data(sharded, value)
        for name, value in next(batches).items()
      }
      state, observed = train_step(state, batch)
      # A step late, so that the device need not wait for the host.
      _check_finite(loss, step - 1, folder)
      loss = observed.totals['loss']
      window = [merge(window[0], observed)] if window else [observed]
      progress.step(step)
      epoch = step / epoch_steps
      last = step == total
      validating = last or is_due(step, config.training.validation_epochs)
      saving = last or is_due(step, config.training.checkpoint_epochs)
      logging = validating or step % config.training.log_steps == 0
      # Processes agree where they meet anyway; a process alone need not wait.
      alone = jax.process_count() == 1
      stopping = _stopping(received) if alone or logging else 0
      if logging:
        train_values = window.pop().compute()
        elapsed, started = time.monotonic() - started, time.monotonic()
        clips = (step - logged) * batch_size
        logged = step
        train_values['clips_per_second'] = clips / elapsed
        writer.write(step, epoch, 'train', train_values)
        progress.metrics(train_values)
      if saving or validating or stopping:
        _check_finite(loss, step, folder)
        _check_parameters(state, folder)
        state = deploy(state)
      if saving or stopping:
        checkpoints_lib.save(checkpoints, state, batches.get_state())
      if stopping:
        raise StopError(stopping, step)
      if validating:
        logits = evaluator.logits(state, quantized.q)
        accuracy = float(np.mean(logits.argmax(-1) == quantized.labels))
        writer.write(step, epoch, 'validation', {'accuracy': accuracy})
        progress.validation(step, epoch, accuracy, train_values)
        started = time.monotonic()
    if stopping := _stopping(received):
      raise StopError(stopping, total)


def _reading(source: str, data_dir: str) -> str:
  """What is told before the data set is opened."""
  if source not in _TO_MAKE:
    return f'reading {data_dir}'
  return (
    f'reading the data set {source}; if it is still to be made, that takes up '
    f'to {_TO_MAKE[source]}'
  )


def _check_devices(batch_size: int) -> None:
  """Refuses a batch that all devices of all processes cannot share."""
  devices = jax.devices()
  if batch_size % len(devices):
    raise errors.UserError(
      f'training.batch_size={batch_size} cannot be shared by {len(devices)} '
      'devices; make it a multiple of their number.'
    )


def _stopping(received: Sequence[int]) -> int:
  """The signal that any process got, the same in all of them; 0 for none."""
  number = received[0] if received else 0
  if jax.process_count() == 1:
    return number
  return int(multihost_utils.process_allgather(np.int32(number)).max())


def _check_finite(loss: jax.Array, step: int, folder: pathlib.Path) -> None:
  if not math.isfinite(float(loss)):
    raise errors.UserError(
      f'the loss of step {step} is {float(loss)}; lower '
      'optimizer.learning_rate or penalty.weight. Checkpoints of earlier '
      f'steps are whole in {folder}.'
    )


def _check_parameters(
  state: state_lib.TrainState, folder: pathlib.Path
) -> None:
  """Refuses to save what the loss of the next step would stumble over."""
  for path, value in jax.tree_util.tree_leaves_with_path(state.params):
    if not np.isfinite(value).all():
      name = '/'.join(entry.key for entry in path)
      raise errors.UserError(
        f'{name} is not finite at step {int(state.step)}; lower '
        'optimizer.learning_rate or penalty.weight. Checkpoints of earlier '
        f'steps are whole in {folder}.'
      )


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
  """Collects SIGTERM and SIGINT instead of dying from them."""
  received: list[int] = []
  numbers = (signal.SIGTERM, signal.SIGINT)
  before = {
    number: signal.signal(number, lambda n, _: received.append(n))
    for number in numbers
  }
  try:
    yield received
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
