"""Judges a checkpoint of a workdir, by the exact and the deployed register."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import functools
import hashlib
import json
import pathlib
from typing import Any

import jax
import ml_collections

from bnn_jax import errors
from bnn_jax.models import profile as profile_lib
from bnn_jax.training import checkpoints as checkpoints_lib
from bnn_jax.training import evaluator
from bnn_jax.training import setup
from bnn_jax.training import state as state_lib
from bnn_jax.training import workdir as workdir_lib

# Keys that may differ between a training and an evaluation of its checkpoint.
EVALUATION_KEYS = (
  'accumulator.', 'augmentation.', 'collaboration.', 'data.data_dir',
  'data.manual_dir', 'data.max_bad_share', 'data.protocol', 'data.source',
  'data.synthetic_', 'data.test_dir', 'data.training_split', 'distillation.',
  'model.variant', 'name', 'optimizer.', 'penalty.', 'seed', 'training.',
)
# Keys that are told by the name of the results, each by its value.
_NAMED_KEYS = tuple(
  f'accumulator.{name}' for name in ('bits', 'overflow_mode', 'simd', 'unit')
)


def judge(
  config: ml_collections.ConfigDict,
  profile: Mapping[str, Any],
  trained: Mapping[str, Any] | None = None,
) -> Callable[..., dict[str, Any]]:
  """Makes the function that judges states of a configuration; compiles once.

  Args:
    config: the configuration.
    profile: of its network, from `models.profile`.
    trained: see `setup.without_overflow`.

  Returns:
    `evaluator.split_results`, of which `state`, `split` and `classes` are still
    to give.
  """
  registers = setup.accumulators(config)
  deployed = exact = evaluator.Evaluator(setup.model(config))
  if config.model.variant != 'float':
    exact = evaluator.Evaluator(
      setup.model(setup.without_overflow(config, trained))
    )
  return functools.partial(
    evaluator.split_results, deployed=deployed, exact=exact, registers={
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
  changed = workdir_lib.differences(folder, config.to_dict())
  profile = profile_lib.profile(
    setup.model(config), input_bits=config.model.input_bits,
    **setup.input_shape(config),
  )
  trained = workdir_lib.read_config(folder)['accumulator']
  judged = judge(config, profile, trained)
  results: dict[str, Any] = {
    'step': int(state.step),
    'class_names': [],
    'accumulator': setup.describe_accumulator(config),
    'variant': config.model.variant,
    'profile': profile,
    'splits': {},
    'changed': {key: now for key, (_, now) in changed.items()},
    'notes': [*restored.notes, *_other_data(changed)],
  }
  for name in splits or setup.test_splits(config):
    source = setup.open_split(config, name)
    results['class_names'] = list(source.class_names)
    results['notes'] += [*source.notes, *_calibrated_by(folder, name)]
    results['splits'][name] = judged(
      state=state, classes=len(source.class_names),
      split=evaluator.quantize_split(
        source, state.inputs, front_end=setup.front_end(config),
        input_bits=config.model.input_bits,
      ),
    )
  if jax.process_index() == 0:
    path = results_path(config, folder, splits, checkpoint)
    workdir_lib.write_json(path, results)
  return results


def _other_data(changed: Mapping[str, tuple[Any, Any]]) -> list[str]:
  """That the clips are not those of the training's data set."""
  settings = [
    f'{key}={now!r} ({there!r} in training)'
    for key, (there, now) in changed.items() if key.startswith('data.')
  ]
  return [f'judged on other data: {", ".join(settings)}'] if settings else []


def _calibrated_by(folder: pathlib.Path, split: str) -> list[str]:
  """That a split is the one that the network's integers were fitted to."""
  path = folder / workdir_lib.CALIBRATION
  if not path.exists() or workdir_lib.read_json(path)['split'] != split:
    return []
  return [
    f'the integers were calibrated by the clips of {split}; judge by others, '
    'such as --splits=validation,testing'
  ]


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
  # The optimizer's state is the training's; the number of steps does not
  # change its shape.
  own = ml_collections.ConfigDict(workdir_lib.read_config(folder))
  fresh = state_lib.create(
    model, setup.optimizer(own, steps=100), seed=config.seed,
    **setup.input_shape(config),
  )
  fresh = state_lib.replicate(fresh)
  found = None
  if path.is_dir():
    with contextlib.closing(
      checkpoints_lib.manager(str(path), create=False)
    ) as checkpoints:
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
