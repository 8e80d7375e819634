"""What would stop a training only after its start is refused before it."""

import functools
import math
from typing import Any
from typing import NamedTuple

import jax
import ml_collections

from bnn_jax import errors
from bnn_jax.training import collaboration
from bnn_jax.training import losses
from bnn_jax.training import setup

TRAINING_SPLITS = ('training', 'fit')


class _Range(NamedTuple):
  """Which numbers some keys may hold.

  Attributes:
    low: the least, or where `open_low`, what all are above.
    high: the largest.
    remedy: what a number beside them is told.
    keys: full names.
    open_low: whether `low` itself is no such number.
    open_high: whether `high` itself is none.
  """

  low: float
  high: float
  remedy: str
  keys: tuple[str, ...]
  open_low: bool = False
  open_high: bool = False

  def holds(self, value: float) -> bool:
    """Whether it is such a number."""
    above = self.low < value if self.open_low else self.low <= value
    below = value < self.high if self.open_high else value <= self.high
    return above and below


_RANGES = (
  _Range(1, math.inf, 'is not positive; set it to at least 1.', (
    'training.epochs', 'training.batch_size', 'training.log_steps',
    'training.validation_epochs', 'training.checkpoint_epochs',
    'training.input_clips',
  )),
  _Range(1, 8, 'is no width of an input; choose 1 to 8.', (
    'model.input_bits',
  )),
  _Range(0, 1, 'is no share; choose 0.0 to 1.0.', (
    'training.frozen_share', 'optimizer.label_smoothing', 'distillation.weight',
  )),
  _Range(
    0, 1, 'is no share of the sums; choose a number between 0 and 1, such as '
    '0.001.', ('penalty.bound', 'training.range_bound'),
    open_low=True, open_high=True,
  ),
  _Range(
    0, math.inf, 'is not positive and finite; choose a number such as 0.005 '
    'for a rate, 5.0 for the norm, or 2.0 for the temperature.', (
      'optimizer.learning_rate', 'optimizer.latent_learning_rate',
      'optimizer.gradient_norm', 'distillation.temperature',
      'collaboration.temperature',
    ), open_low=True, open_high=True,
  ),
  _Range(
    1, 64, 'is no factor of a range; choose 1.0 for none, or up to 64.0.',
    ('training.range_start',),
  ),
  _Range(
    0, 1, 'is no share of the steps; choose a number above 0, up to 1.',
    ('training.range_share',), open_low=True,
  ),
  _Range(0, math.inf, 'is no finite number of at least 0; choose one.', (
    'optimizer.weight_decay', 'penalty.weight', 'penalty.margin',
    'penalty.final', 'penalty.gain', 'training.gate_share',
    *(f'collaboration.{weight}' for weight in collaboration.WEIGHTS),
  ), open_high=True),
)


def check_training(config: ml_collections.ConfigDict) -> None:
  """Refuses a configuration that no training can have.

  Raises:
    UserError: a number out of range, or a name that does not exist.
  """
  for valid in _RANGES:
    for key in valid.keys:
      value = _at(config, key)
      if not valid.holds(value):
        raise errors.UserError(f'{key}={value} {valid.remedy}')
  _check_levels(config)
  _check_curriculum(config)
  _check_gates(config)
  _check_penalty(config)
  _check_collaboration(config)
  setup.check_name(
    'data.training_split', config.data.training_split, TRAINING_SPLITS
  )
  setup.check_name(
    'penalty.kind', config.penalty.kind, ('none', *losses.PENALTIES)
  )
  setup.optimizer(config, steps=100)
  setup.penalty_weight(config, steps=100)
  _check_shapes(config)


def _at(config: ml_collections.ConfigDict, key: str) -> Any:
  return functools.reduce(lambda branch, name: branch[name], key.split('.'),
                          config)


def _check_levels(config: ml_collections.ConfigDict) -> None:
  """Thresholds of a bin ascend, so that there are no more than values."""
  levels, bits = config.model.thermometer_levels, config.model.input_bits
  if levels >= 2**bits:
    raise errors.UserError(
      f'model.thermometer_levels={levels} is more than the {2**bits - 1} '
      f'thresholds that model.input_bits={bits} allows; lower it.'
    )


def _check_curriculum(config: ml_collections.ConfigDict) -> None:
  """What is trained last, by frozen statistics, is what is deployed."""
  training = config.training
  most = 1 - training.frozen_share
  if training.range_start > 1 and training.range_share > most:
    raise errors.UserError(
      f'training.range_share={training.range_share} leaves ranges wide while '
      f'training.frozen_share={training.frozen_share} freezes the statistics; '
      f'choose at most {most:g}.'
    )


def _check_gates(config: ml_collections.ConfigDict) -> None:
  """The same of gates; with a share far beyond 1 none ever closes."""
  training = config.training
  most = 1 - training.frozen_share
  if most < training.gate_share <= 1:
    raise errors.UserError(
      f'training.gate_share={training.gate_share} leaves channels exact while '
      f'training.frozen_share={training.frozen_share} freezes the statistics; '
      f'choose at most {most:g}.'
    )


def _check_penalty(config: ml_collections.ConfigDict) -> None:
  """What a penalty is needed for, and what it cannot be for."""
  if config.model.learn_preload and config.penalty.kind == 'none':
    raise errors.UserError(
      'model.learn_preload=True learns nothing with penalty.kind=none, whose '
      'gradient alone moves a preload; choose a penalty, such as hinge.'
    )
  saturates = config.accumulator.overflow_mode == 'saturate'
  if config.penalty.kind == 'periodic' and saturates:
    raise errors.UserError(
      'penalty.kind=periodic is of registers that wrap, and '
      'accumulator.overflow_mode=saturate does not; choose hinge or variance.'
    )


def _check_collaboration(config: ml_collections.ConfigDict) -> None:
  """An exact branch needs another one to guide."""
  if setup.accumulators(config).default.overflow_mode != 'exact':
    return
  for weight in collaboration.WEIGHTS:
    if config.collaboration[weight]:
      raise errors.UserError(
        f'collaboration.{weight}={config.collaboration[weight]} has no '
        'meaning where no register overflows; leave it 0.0, or set '
        "model.variant to 'overflow' and accumulator.overflow_mode to 'wrap' "
        "or 'saturate'."
      )


def _check_shapes(config: ml_collections.ConfigDict) -> None:
  """Traces the network: its layers check what follows from their shapes."""
  q = jax.ShapeDtypeStruct((1, *setup.input_shape(config).values()), 'uint8')
  initialize = functools.partial(setup.model(config).init, train=True)
  jax.eval_shape(initialize, jax.random.key(0), q)
