"""Checkpoints of everything that a training needs to go on to the bit."""

import itertools
import shutil
from typing import Any
from typing import NamedTuple

from etils import epath
import jax
from jax.experimental import multihost_utils
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


def manager(folder: str, *, create: bool = True) -> ocp.CheckpointManager:
  """Orbax's manager of a folder of checkpoints, made where `create` says so.

  Saving is synchronous: a checkpoint is there when `save` returns, and a full
  disk is met where it can be told of.
  """
  options = ocp.CheckpointManagerOptions(
    max_to_keep=KEEP, enable_async_checkpointing=False, create=create
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
  _check_space(checkpoints, state)
  try:
    checkpoints.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state),
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
          f'{steps} ({_cause(error)}); they are left as they are: train '
          'into another --workdir, or start the same command again if the '
          'disk was at fault.'
        ) from error
      notes.append(
        f'The checkpoint of step {tried} in {checkpoints.directory} cannot be '
        f'read ({_cause(error)}); falling back to the one before it.'
      )
  return None


def _cause(error: Exception) -> str:
  """Why a checkpoint cannot be read, in a line."""
  if 'tree structures do not match' in str(error):
    return (
      'it holds other variables than this network: another revision wrote it, '
      'git_revision in provenance.json'
    )
  return _first_line(error)


def set_aside_after(
  checkpoints: ocp.CheckpointManager, step: int
) -> list[str]:
  """Renames the checkpoints behind `step`, which could not be read.

  The manager would refuse to write checkpoints before or over them, and they
  may be whole where only reading failed.

  Args:
    checkpoints: from `manager`.
    step: of the checkpoint that could be read.

  Returns:
    A sentence for each one, for the user.

  Raises:
    UserError: one cannot be renamed.
  """
  later = sorted(s for s in checkpoints.all_steps() if s > step)
  notes = []
  if jax.process_index() == 0:
    notes = [_set_aside(checkpoints.directory, s) for s in later]
  if later:
    multihost_utils.sync_global_devices('set_aside_after')
    checkpoints.reload()
  return notes


def _set_aside(folder: epath.Path, step: int) -> str:
  """Gives a checkpoint a name that the manager passes over."""
  old = folder / str(step)
  numbered = (folder / f'unreadable-{step}-{n}' for n in itertools.count(1))
  new = next(path for path in numbered if not path.exists())
  try:
    old.rename(new)
  except OSError as error:
    raise errors.UserError(
      f'{old}, which cannot be read, could not be renamed to {new.name} '
      f'({error.strerror}); make {folder} writable.'
    ) from error
  return f'{old} is kept as {new.name}.'


def _read(checkpoints, like, step):
  restored = checkpoints.restore(
    step,
    args=ocp.args.Composite(
      state=ocp.args.StandardRestore(like), position=ocp.args.JsonRestore()
    ),
  )
  return restored['state'], restored['position']


def _first_line(error: BaseException) -> str:
  text = str(error).strip() or type(error).__name__
  return text.splitlines()[0][:200]
