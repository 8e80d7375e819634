"""Exports a checkpoint of a workdir."""

from collections.abc import Mapping
import hashlib
import json
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np

import bnn_jax
from bnn_jax import errors
from bnn_jax.data import labels
from bnn_jax.data import sources
from bnn_jax.export import exporter
from bnn_jax.export import files
from bnn_jax.export import print_c
from bnn_jax.export import specs
from bnn_jax.export import streaming
from bnn_jax.export import streaming_cost
from bnn_jax.jobs import c_sources
from bnn_jax.training import evaluate
from bnn_jax.training import setup
from bnn_jax.training import workdir

FOLDER = 'export'


def run(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  *,
  checkpoint: int | None = None,
) -> pathlib.Path:
  """Writes the export of a checkpoint, in the place of an earlier one.

  Args:
    config: the workdir's configuration, perhaps with another accumulator.
    folder: the workdir.
    checkpoint: its step; the newest by default.

  Returns:
    The folder written, see `export_path`.

  Raises:
    UserError: there is no such checkpoint, the network is another one or has no
      integer form, or it cannot be written.
  """
  state = evaluate.restore(config, folder, checkpoint).state
  model = exporter.export(
    setup.model(config),
    state.variables(),
    **surroundings(config, state.inputs),
    provenance=_provenance(folder, int(state.step)) | {
      'logit_factor': logit_factor(state.params),
    },
  )
  path = export_path(config, folder)
  if jax.process_index() == 0:
    files.write(path, model, c_sources.writer(model))
  return path


def surroundings(
  config: ml_collections.ConfigDict, inputs: Mapping[str, Any]
) -> dict[str, Any]:
  """What an export holds before and behind the layers.

  Args:
    config: the configuration.
    inputs: a state's; `lo` and `exponent` of the quantization are read.

  Returns:
    Arguments of `exporter.export`.
  """
  return {
    **setup.input_shape(config),
    'input_bits': config.model.input_bits,
    'lo': float(inputs['lo']),
    'exponent': int(inputs['exponent']),
    'front_end': {'sample_rate': setup.front_end(config).sample_rate}
    | config.front_end.to_dict(),
    'class_names': labels.class_names(config.data.classes),
  }


def _provenance(folder: pathlib.Path, step: int) -> dict[str, Any]:
  """Of the training, whatever data it is exported or verified with."""
  trained = workdir.read_config(folder)
  source = trained['data']['source']
  made = workdir.read_json(folder / workdir.PROVENANCE)
  return {
    'package_version': bnn_jax.__version__,
    'git_revision': made['git_revision'],
    'step': step,
    'data_source': source,
    'data_attribution': sources.ATTRIBUTIONS[source],
    'config': trained,
  }


def logit_factor(params: dict[str, Any]) -> float:
  """What training multiplies logits by, besides constants of the network."""
  return float(np.exp(params.get('classifier', {}).get('log_factor', 0.0)))


def export_path(
  config: ml_collections.ConfigDict, folder: pathlib.Path
) -> pathlib.Path:
  """Where a workdir's network is exported to.

  Args:
    config: the configuration that it is exported with.
    folder: the workdir.

  Returns:
    The folder `export`; for an accumulator that the workdir was not trained
    with, its fields are in the name.

  Raises:
    UserError: the folder is not a workdir.
  """
  changed = {
    key: now
    for key, (_, now) in workdir.differences(folder, config.to_dict()).items()
    if key == 'model.variant' or key.startswith('accumulator.')
  }
  changed.pop('accumulator.gradient', None)
  if not changed:
    return folder / FOLDER
  parts = [FOLDER, *map(str, setup.describe_accumulator(config).values())]
  if 'accumulator.layer_bits' in changed:
    text = json.dumps(changed['accumulator.layer_bits'])
    parts.append(hashlib.sha256(text.encode()).hexdigest()[:8])
  return folder / '-'.join(parts)


def existing_path(
  config: ml_collections.ConfigDict, folder: pathlib.Path
) -> pathlib.Path:
  """As `export_path`, of what is there.

  Raises:
    UserError: there is no export, or the folder is not a workdir.
  """
  path = export_path(config, folder)
  if not path.exists():
    raise errors.UserError(
      f'there is no {path}; export the network first, with --mode=export and '
      'the same other flags.'
    )
  return path


def summary(path: pathlib.Path) -> str:
  """What an export holds and costs, in a line for the user.

  Args:
    path: its folder.

  Raises:
    UserError: it cannot be read.
  """
  return describe(files.read(path))


def describe(model: specs.Model) -> str:
  """The same of a network."""
  convolutions = [one for one in model.layers if isinstance(one, specs.Conv)]
  safe = sum(one.overflow_free for one in convolutions)
  return (
    f'{len(model.layers)} layers, {specs.information_bits(model) / 8:.0f} '
    f'bytes of weights and integers; {safe} of {len(convolutions)} registers '
    f'can surely not overflow; in C, {print_c.memory(model)} bytes of memory; '
    f'{_frame_cost(model)}'
  )


def _frame_cost(model: specs.Model) -> str:
  """What it takes to run frame by frame."""
  layer = streaming.needs_whole_clips(model)
  if layer is not None:
    return f'frame by frame not at all, as {layer.name} needs whole clips'
  cost = streaming_cost.cost(model)
  return (
    f'a frame of a stream costs {cost.words:g} words and {cost.additions:g} '
    f'additions, and {cost.memory} bytes are kept from one to the next'
  )
