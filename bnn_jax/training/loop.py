"""The training loop."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import math
import pathlib
import signal
import time
from typing import NamedTuple

import jax
from jax.experimental import multihost_utils
import ml_collections
import numpy as np
import rich.console

from bnn_jax import errors
from bnn_jax.training import checkpoints as checkpoints_lib
from bnn_jax.training import logs
from bnn_jax.training import metrics as metrics_lib
from bnn_jax.training import preparation
from bnn_jax.training import progress as progress_lib
from bnn_jax.training import state as state_lib
from bnn_jax.training import steps as steps_lib


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


class _Due(NamedTuple):
  """What a step ends with."""

  logging: bool
  validating: bool
  saving: bool


class _Window:
  """The metrics of the steps since the last line of them."""

  def __init__(self, first: int, batch_size: int):
    self._merge = jax.jit(metrics_lib.Means.merge)
    self._observed: metrics_lib.Means | None = None
    self._first = first
    self._batch_size = batch_size
    self.start_clock()

  def start_clock(self) -> None:
    """Leaves what has passed until now out of the clips a second."""
    self._started = time.monotonic()

  def add(self, observed: metrics_lib.Means) -> None:
    """The metrics of one more step."""
    before = self._observed
    self._observed = self._merge(before, observed) if before else observed

  def close(self, step: int) -> dict[str, float]:
    """The means up to this step; what follows is a new window."""
    assert self._observed
    values = self._observed.compute()
    clips = (step - self._first) * self._batch_size
    values['clips_per_second'] = clips / (time.monotonic() - self._started)
    self._observed, self._first = None, step
    self.start_clock()
    return values


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
  run = preparation.prepare(config, folder, console)
  first = int(run.state.step)
  with (
    run.lock,
    contextlib.closing(run.batches),
    contextlib.closing(run.checkpoints),
    logs.Writer(folder, first) as writer,
    progress_lib.Progress(console, run.steps, first) as progress,
    _signals() as received,
  ):
    _loop(run, config.training, writer, progress, received)


def _loop(
  run: preparation.Run,
  periods: ml_collections.ConfigDict,
  writer: logs.Writer,
  progress: progress_lib.Progress,
  received: Sequence[int],
) -> None:
  """Takes the steps that are left; `periods` says what is due when."""
  state = run.state
  first = int(state.step)
  window = _Window(first, run.batch_size)
  loss = jax.numpy.zeros(())
  # Processes agree where they meet anyway; a process alone need not wait.
  alone = jax.process_count() == 1
  for step in range(first + 1, run.steps + 1):
    state, observed = run.train_step(state, _to_devices(next(run.batches)))
    # A step late, so that the device need not wait for the host.
    _check_finite(loss, step - 1, run.folder)
    loss = observed.totals['loss']
    window.add(observed)
    progress.step(step)
    epoch = step / run.epoch_steps
    due = _due(step, run, periods)
    stopping = _stopping(received) if alone or due.logging else 0
    if due.logging or due.saving or stopping:
      _check_finite(loss, step, run.folder)
    if due.logging:
      values = window.close(step)
      writer.write(step, epoch, 'train', values)
      progress.metrics(values)
    if due.saving or due.validating or stopping:
      _check_parameters(state, run.folder)
      state = run.deploy(state)
    if due.saving or stopping:
      checkpoints_lib.save(run.checkpoints, state, run.batches.get_state())
    if stopping:
      raise StopError(stopping, step)
    if due.validating:
      accuracy = run.validate(state)
      writer.write(step, epoch, 'validation', {'accuracy': accuracy})
      progress.validation(step, epoch, accuracy, values)
      window.start_clock()
  if stopping := _stopping(received):
    raise StopError(stopping, run.steps)


def _due(
  step: int, run: preparation.Run, periods: ml_collections.ConfigDict
) -> _Due:
  def is_end(epochs):
    return step == run.steps or step % (epochs * run.epoch_steps) == 0

  validating = is_end(periods.validation_epochs)
  return _Due(
    logging=validating or step % periods.log_steps == 0,
    validating=validating,
    saving=is_end(periods.checkpoint_epochs),
  )


def _to_devices(batch: Mapping[str, np.ndarray]) -> steps_lib.Batch:
  sharded = state_lib.sharded()
  return {
    name: jax.make_array_from_process_local_data(sharded, value)
    for name, value in batch.items()
  }


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
      'optimizer.learning_rate, penalty.weight or the weights of '
      f'collaboration. Checkpoints of earlier steps are whole in {folder}.'
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
        'optimizer.learning_rate, penalty.weight or the weights of '
        f'collaboration. Checkpoints of earlier steps are whole in {folder}.'
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
