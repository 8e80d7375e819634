"""Checkpoints of everything that a training needs to go on to the bit."""

import shutil
from typing import Any
from typing import NamedTuple

from etils import epath
import jax
from orbax import checkpoint as ocp

from bnn_jax import errors
from bnn_jax.training import state as state_lib

KEEP = 3
# Bytes left free beside a checkpoint, for metrics, results and the report.
_SPACE = 2**20


class Restored(NamedTuple):
  """What was read.

  Attributes:
    state: the whole state.
    position: of the data iterator.
    notes: sentences about checkpoints that could not be read, for the user.
  """

  state: state_lib.TrainState
  position: dict[str, Any]
  notes: tuple[str, ...]


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
  """Writes a checkpoint of the state's step.

  Args:
    checkpoints: from `manager`.
    state: the whole state.
    position: of the data iterator, for JSON.

  Raises:
    UserError: it could not be written; earlier checkpoints are untouched.
  """
  step = int(state.step)
  # Typed keys have no bytes of their own to write.
  raw = state.replace(rng=jax.random.key_data(state.rng))
  _check_space(checkpoints, raw)
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
    raise errors.UserError(
      f'the checkpoint of step {step} could not be written to '
      f'{checkpoints.directory} ({_first_line(error)}); '
      f'{_kept(checkpoints, step)}: free some space and start the same command '
      'again.'
    ) from error


def _check_space(checkpoints: ocp.CheckpointManager, state: Any) -> None:
  """Looks first, since a full disk stops Orbax in many threads at once."""
  needed = _SPACE + 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(state))
  free = shutil.disk_usage(checkpoints.directory).free
  if free < needed:
    step = int(state.step)
    raise errors.UserError(
      f'the checkpoint of step {step} needs {needed / 1e6:.1f} MB and '
      f'{checkpoints.directory} has {free / 1e6:.1f} MB left; '
      f'{_kept(checkpoints, step)}: free some space and start the same command '
      'again.'
    )


def _kept(checkpoints: ocp.CheckpointManager, step: int) -> str:
  latest = max((s for s in checkpoints.all_steps() if s < step), default=None)
  if latest is None:
    return 'no earlier checkpoint exists'
  return f'the checkpoint of step {latest} is whole'


def restore(
  checkpoints: ocp.CheckpointManager,
  like: state_lib.TrainState,
  step: int | None = None,
) -> Restored | None:
  """Reads the newest checkpoint that can be read, or the one of a step.

  Args:
    checkpoints: from `manager`.
    like: a fresh state, for shapes and shardings.
    step: of the checkpoint; by default the newest, falling back to the one
      before where it cannot be read.

  Returns:
    What was read; None where there is no checkpoint.

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
  notes: list[str] = []
  for tried in steps:
    try:
      state, position = _read(checkpoints, like, tried)
      return Restored(state, position, tuple(notes))
    except Exception as error:
      if tried == steps[-1]:
        raise errors.UserError(
          f'no checkpoint in {checkpoints.directory} can be read, tried steps '
          f'{steps} ({_first_line(error)}); remove the folder to train anew.'
        ) from error
      notes.append(
        f'The checkpoint of step {tried} in {checkpoints.directory} cannot be '
        f'read ({_first_line(error)}); falling back to the one before it.'
      )
  return None


def discard_after(checkpoints: ocp.CheckpointManager, step: int) -> None:
  """Removes the checkpoints behind `step`, which could not be read.

  The manager would refuse to write checkpoints before or over them.
  """
  for later in [s for s in checkpoints.all_steps() if s > step]:
    checkpoints.delete(later)


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
