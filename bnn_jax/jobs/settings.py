"""Whether an export states the settings of its checkpoint."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import ml_collections

from bnn_jax.export import specs
from bnn_jax.jobs import export as export_job
from bnn_jax.training import state as state_lib


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


def compare(
  found: Mapping[str, Any],
  wanted: Mapping[str, Any],
  tell: Callable[[str], None],
) -> bool:
  """Compares settings and tells those that differ.

  Args:
    found: by names, of the export.
    wanted: the same of the checkpoint.
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
