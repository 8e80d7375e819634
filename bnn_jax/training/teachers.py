"""A trained network that another one learns from."""

from collections.abc import Mapping
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np

from bnn_jax import errors
from bnn_jax.training import evaluate
from bnn_jax.training import objective
from bnn_jax.training import setup
from bnn_jax.training import workdir


def check(config: ml_collections.ConfigDict) -> None:
  """Refuses a teacher that does not fit, before a training starts.

  Raises:
    UserError: it reads other features, knows other classes or has learned the
      clips that the student is judged by, or its workdir has no configuration.
  """
  if not config.distillation.teacher:
    return
  folder = _folder(config)
  own = ml_collections.ConfigDict(workdir.read_config(folder))
  if own.data.training_split == 'training' \
      and config.data.training_split == 'fit':
    raise errors.UserError(
      f'the teacher in {folder} has learned the clips of dev, by which a '
      'training on fit is judged; train one with '
      '--config.data.training_split=fit.'
    )
  for name, there, here in (
    ('data.classes', own.data.classes, config.data.classes),
    ('front_end', own.front_end.to_dict(), config.front_end.to_dict()),
    ('model.input_bits', own.model.input_bits, config.model.input_bits),
  ):
    if there != here:
      raise errors.UserError(
        f'the teacher in {folder} has another {name}; train one with the '
        "student's."
      )


def load(
  config: ml_collections.ConfigDict, inputs: Mapping[str, Any]
) -> objective.Teacher | None:
  """The newest checkpoint of the configured teacher's workdir.

  Args:
    config: the student's configuration.
    inputs: of the student's state; the teacher has to read the same numbers.

  Returns:
    From quantized features to logits; None where no teacher is configured.

  Raises:
    UserError: there is no such checkpoint, or it reads other features or knows
      other classes.
  """
  if not config.distillation.teacher:
    return None
  check(config)
  folder = _folder(config)
  own = ml_collections.ConfigDict(workdir.read_config(folder))
  state = evaluate.restore(own, folder).state
  for name in ('lo', 'exponent'):
    if not np.array_equal(state.inputs[name], inputs[name]):
      raise errors.UserError(
        f'the teacher in {folder} was trained on another data set: its input '
        "is quantized otherwise; train one on the student's."
      )
  network, variables = setup.model(own), jax.device_get(state.variables())

  def answer(q):
    # As in training, where a binary network has its logits in the student's
    # scale; by statistics that no longer move, and without dropout.
    logits, _ = network.apply(
      variables, q, train=True, frozen=True, mutable=['batch_stats']
    )
    return logits

  return answer


def _folder(config: ml_collections.ConfigDict) -> pathlib.Path:
  return pathlib.Path(config.distillation.teacher).expanduser()
