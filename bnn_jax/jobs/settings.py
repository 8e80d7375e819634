"""Whether an export states the settings of its checkpoint.

The arguments `found` and `wanted` are settings by names of fields: those that
`exported` gives of an export, and those that `expected` gives of a checkpoint.
"""

from collections.abc import Callable
from collections.abc import Mapping
import pathlib
from typing import Any

import ml_collections

from bnn_jax import errors
from bnn_jax.export import specs
from bnn_jax.jobs import export as export_job
from bnn_jax.jobs import front_end
from bnn_jax.training import state as state_lib

SIZES = ('frames', 'bins', 'input_bits')


def step(path: pathlib.Path, model: specs.Model) -> int:
  """The step of the checkpoint that an export was made from.

  Args:
    path: the export.
    model: its network.

  Raises:
    UserError: the export does not tell.
  """
  stated = model.provenance.get('step')
  if isinstance(stated, bool) or not isinstance(stated, int):
    raise errors.UserError(
      f'{path}: provenance.step={stated!r:.60} is no step of a checkpoint; '
      'export the network again.'
    )
  return stated


def check_front_end(path: pathlib.Path, model: specs.Model) -> None:
  """Refuses a front end without a form in integers.

  Args:
    path: the export.
    model: its network.

  Raises:
    UserError: features of kind 'log_mel' have settings that are not possible.
  """
  if model.front_end.get('kind') != 'log_mel':
    return
  try:
    front_end.tables(model)
  except errors.UserError as error:
    raise errors.UserError(
      f'{path} states a front end that is not possible '
      f'({str(error).rstrip(".")}); export the network again.'
    ) from error


def exported(model: specs.Model) -> dict[str, Any]:
  """What an export states beside its layers, by names of fields."""
  form = model.input
  return _flat({
    'frames': form.frames, 'bins': form.bins, 'input_bits': form.bits,
    'lo': form.lo, 'exponent': form.exponent, 'front_end': model.front_end,
    'class_names': model.class_names,
    'logit_factor': model.provenance.get('logit_factor'),
  })


def expected(
  config: ml_collections.ConfigDict, state: state_lib.TrainState
) -> dict[str, Any]:
  """The same of what is exported.

  Args:
    config: the configuration.
    state: of the checkpoint.
  """
  made = export_job.surroundings(config, state.inputs)
  return _flat(made | {'logit_factor': export_job.logit_factor(state.params)})


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
  """Settings of the front end and names of classes one by one."""
  rest = dict(settings)
  front_end, classes = rest.pop('front_end'), rest.pop('class_names')
  rest |= {f'front_end.{name}': value for name, value in front_end.items()}
  return rest | {f'class_names.{i}': name for i, name in enumerate(classes)}


def check_sizes(
  path: pathlib.Path, found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
  """Refuses an export that the checkpoint's clips or logits do not fit.

  Args:
    path: the export.
    found: its settings.
    wanted: those of the checkpoint.

  Raises:
    UserError: frames, bins, their bits or the number of classes differ.
  """
  has, needs = _sizes(found), _sizes(wanted)
  unequal = [
    f'{name}={has[name]} instead of {needs[name]}'
    for name in needs if has[name] != needs[name]
  ]
  if unequal:
    raise errors.UserError(
      f'{path} is of another network than the checkpoint '
      f'({", ".join(unequal)}); export the network again.'
    )


def _sizes(settings: Mapping[str, Any]) -> dict[str, int]:
  classes = sum(name.startswith('class_names.') for name in settings)
  return {name: settings[name] for name in SIZES} | {'classes': classes}


def compare(
  found: Mapping[str, Any],
  wanted: Mapping[str, Any],
  tell: Callable[[str], None],
) -> bool:
  """Compares settings and tells those that differ.

  Args:
    found: those of the export.
    wanted: those of the checkpoint.
    tell: gets each line for the user.

  Returns:
    Whether all are equal.
  """
  names = dict.fromkeys([*wanted, *found])
  unequal = [
    name for name in names
    if name not in found or name not in wanted or found[name] != wanted[name]
  ]
  tell(
    f'export vs checkpoint, settings: mismatches: {len(unequal)} of '
    f'{len(names)}'
  )
  for name in unequal:
    tell(f'  {name}: {found.get(name)!r} and {wanted.get(name)!r}')
  return not unequal
