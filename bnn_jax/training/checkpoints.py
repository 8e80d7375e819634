"""Checkpoints of everything that a training needs to go on to the bit."""

from typing import Any

from absl import logging
from etils import epath
import jax
from orbax import checkpoint as ocp

from bnn_jax import errors
from bnn_jax.training import state as state_lib

KEEP = 3


def manager(folder: str) -> ocp.CheckpointManager:
  """Orbax's manager of a folder of checkpoints.

  Saving is synchronous: a checkpoint is there when `save` returns, and a full
  disk is met where it can be told of.
  """
  options = ocp.CheckpointManagerOptions(
    max_to_keep=KEEP, enable_async_checkpointing=False, create=True
  )
  return ocp.CheckpointManager(epath.Path(folder).resolve(), options=options)


def save(
  checkpoints: ocp.CheckpointManager,
  state: state_lib.TrainState,
  position: dict[str, Any],
) -> None:
  """Writes a checkpoint of the state's step, unless it exists.

  Args:
    checkpoints: from `manager`.
    state: the whole state.
    position: of the data iterator, for JSON.

  Raises:
    UserError: it could not be written; earlier checkpoints are untouched.
  """
  step = int(state.step)
  if step in checkpoints.all_steps():
    return
  # Typed keys have no bytes of their own to write.
  raw = state.replace(rng=jax.random.key_data(state.rng))
  try:
    checkpoints.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(raw),
        position=ocp.args.JsonSave(position),
      ),
    )
    checkpoints.wait_until_finished()
  except Exception as error:
    latest = max((s for s in checkpoints.all_steps() if s < step), default=None)
    kept = (
      'no earlier checkpoint exists' if latest is None
      else f'the checkpoint of step {latest} is whole'
    )
    raise errors.UserError(
      f'the checkpoint of step {step} could not be written to '
      f'{checkpoints.directory} ({_first_line(error)}); {kept}: free some '
      'space and start the same command again.'
    ) from error


def restore(
  checkpoints: ocp.CheckpointManager,
  like: state_lib.TrainState,
  step: int | None = None,
) -> tuple[state_lib.TrainState, dict[str, Any]] | None:
  """Reads the newest checkpoint that can be read, or the one of a step.

  Args:
    checkpoints: from `manager`.
    like: a fresh state, for shapes and shardings.
    step: of the checkpoint; by default the newest, falling back to the one
      before where it cannot be read.

  Returns:
    State and position of the data iterator; None where there is no checkpoint.

  Raises:
    UserError: there are checkpoints, but none can be read, or not that one.
  """
  steps = sorted(checkpoints.all_steps(), reverse=True)
  if step is not None:
    if step not in steps:
      raise errors.UserError(
        f'there is no checkpoint of step {step} in {checkpoints.directory}; '
        f'there are {sorted(steps)}.'
      )
    steps = [step]
  for tried in steps:
    try:
      return _read(checkpoints, like, tried)
    except Exception as error:
      if tried == steps[-1]:
        raise errors.UserError(
          f'no checkpoint in {checkpoints.directory} can be read, tried steps '
          f'{steps} ({_first_line(error)}); remove the folder to train anew.'
        ) from error
      logging.warning(
        'the checkpoint of step %d cannot be read (%s): falling back to the '
        'one before it.', tried, _first_line(error),
      )
  return None


def _read(checkpoints, like, step):
  # Typed keys have no bytes of their own.
  raw = like.replace(rng=jax.random.key_data(like.rng))
  restored = checkpoints.restore(
    step,
    args=ocp.args.Composite(
      state=ocp.args.StandardRestore(raw), position=ocp.args.JsonRestore()
    ),
  )
  state = restored['state']
  rng = jax.random.wrap_key_data(state.rng)
  return state.replace(rng=rng), restored['position']


def _first_line(error: BaseException) -> str:
  text = str(error).strip() or type(error).__name__
  return text.splitlines()[0][:200]
