"""From the configuration to the objects of an experiment.

What these functions return takes no configuration any more.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import re
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import optax

from bnn_jax import errors
from bnn_jax import features
from bnn_jax.data import augmentation
from bnn_jax.data import source
from bnn_jax.data import sources
from bnn_jax.models import methods
from bnn_jax.models import rules
from bnn_jax.models import speech_resnet
from bnn_jax.nn import accumulator
from bnn_jax.nn import integer
from bnn_jax.training import collaboration
from bnn_jax.training import curriculum
from bnn_jax.training import objective as objective_lib
from bnn_jax.training import optimizers
from bnn_jax.training import schedules
from bnn_jax.training import state as state_lib
from bnn_jax.training import steps as steps_lib

MODELS = ('speech_resnet', *methods.BUILDERS)
VARIANTS = ('float', 'binary', 'overflow')
NORM_VARIANTS = ('fused', 'two_ap2')
PADDINGS = ('same', 'valid')


def check_name(field: str, value: str, names: Sequence[str]) -> None:
  """Refuses a value that is not among the names of a field."""
  if value not in names:
    raise errors.UserError(
      f'{field}={value!r} does not exist; choose one of {", ".join(names)}.'
    )


def open_split(config: ml_collections.ConfigDict, split: str) -> source.Source:
  """One split of the configured data set."""
  return sources.open_split(
    config.data.source,
    split,
    classes=config.data.classes,
    data_dir=config.data.data_dir,
    test_dir=config.data.test_dir,
    manual_dir=config.data.manual_dir,
    protocol=config.data.protocol,
    max_bad_share=config.data.max_bad_share,
    seed=config.data.synthetic_seed,
    synthetic_speakers=config.data.synthetic_speakers,
  )


def validation_split(config: ml_collections.ConfigDict) -> str:
  """The split that a training is watched by."""
  return 'dev' if config.data.training_split == 'fit' else 'validation'


def test_splits(config: ml_collections.ConfigDict) -> tuple[str, ...]:
  """The splits that a run is judged by."""
  if config.data.training_split == 'fit':
    return ('dev',)
  if config.data.source == 'synthetic':
    return ('testing', 'unseen')
  return ('testing',)


def front_end(config: ml_collections.ConfigDict) -> features.FrontEnd:
  """The front end, at the sample rate that all data sets have."""
  return features.FrontEnd(
    sample_rate=source.SAMPLE_RATE, **config.front_end.to_dict()
  )


def input_shape(config: ml_collections.ConfigDict) -> dict[str, int]:
  """The `frames` and `bins` of a clip's features."""
  front = front_end(config)
  return {'frames': front.frames(source.CLIP_SAMPLES), 'bins': front.bins}


def augmentations(
  config: ml_collections.ConfigDict,
) -> augmentation.Augmentation:
  """What is done to training clips."""
  return augmentation.Augmentation(**config.augmentation.to_dict())


def accumulators(
  config: ml_collections.ConfigDict,
) -> accumulator.LayerAccumulators:
  """The registers of all layers; they overflow in variant 'overflow' alone."""
  fields = config.accumulator.to_dict()
  layer_bits = fields.pop('layer_bits')
  default = accumulator.Accumulator(**fields)
  if config.model.variant != 'overflow':
    fields |= {'overflow_mode': 'exact', 'gradient': 'straight_through'}
    default = accumulator.Accumulator(**fields)
  rules = tuple(
    (pattern, accumulator.Accumulator(**(fields | {'bits': bits})))
    for pattern, bits in map(_layer_rule, layer_bits)
  )
  return accumulator.LayerAccumulators(default, rules)


def _layer_rule(rule: Any) -> tuple[str, int]:
  """One of accumulator.layer_bits."""
  try:
    pattern, bits = rule
    re.compile(pattern)
  except (TypeError, ValueError, re.error) as error:
    raise errors.UserError(
      f'accumulator.layer_bits holds {rule!r}; each of its entries is a pair '
      "of a regular expression and bits, such as ('^stem$', 9)."
    ) from error
  return pattern, bits


def model(config: ml_collections.ConfigDict) -> nn.Module:
  """The network.

  Raises:
    UserError: a network, size, variant or width that does not exist.
  """
  check_name('model.name', config.model.name, MODELS)
  if config.model.thermometer_levels < 1:
    raise errors.UserError(
      f'model.thermometer_levels={config.model.thermometer_levels} is not '
      'positive; set it to at least 1.'
    )
  kind = config.model.size, config.model.variant, config.data.classes
  if config.model.name in methods.BUILDERS:
    _check_method(config)
    build = methods.BUILDERS[config.model.name]
    return build(*kind, **_layer_settings(config))
  check_name('model.variant', config.model.variant, VARIANTS)
  check_name('model.padding', config.model.padding, PADDINGS)
  check_name(
    'model.norm_variant', config.model.norm_variant, (*NORM_VARIANTS, 'real')
  )
  return speech_resnet.build(
    *kind, padding=config.model.padding, shape=config.model.shape,
    parts=config.model.parts, rule=config.model.rule, **_layer_settings(config),
  )


def _check_method(config: ml_collections.ConfigDict) -> None:
  """Refuses what is of our network alone."""
  check_name('model.norm_variant', config.model.norm_variant, NORM_VARIANTS)
  for key, default in (
    ('shape', ''), ('parts', 1), ('rule', rules.OURS), ('padding', 'same'),
  ):
    if config.model[key] != default:
      raise errors.UserError(
        f'model.{key}={config.model[key]!r} has no meaning for '
        f'model.name={config.model.name}; leave it {default!r}, or set '
        'model.name to speech_resnet.'
      )


def _layer_settings(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """What the layers of every binarized network are made with."""
  return {
    'accumulator': accumulators(config),
    'stream': integer.StreamFormat(
      config.model.stream_bits, config.model.stream_fraction_bits
    ),
    'levels': config.model.thermometer_levels,
    'norm_variant': config.model.norm_variant,
    'weight_gradient': config.model.weight_gradient,
    'activation_gradient': config.model.activation_gradient,
    'learn_preload': config.model.learn_preload,
    'gate_share': config.training.gate_share,
  }


def learning_rates(
  config: ml_collections.ConfigDict, steps: int
) -> dict[str, optax.Schedule]:
  """Learning rates of 'latent' and of 'real' parameters by step."""
  peaks = {
    'latent': config.optimizer.latent_learning_rate,
    'real': config.optimizer.learning_rate,
  }
  shape = {
    'kind': config.optimizer.schedule, 'drops': config.optimizer.drops,
    'hold_share': config.optimizer.hold_share,
    'final_share': config.optimizer.final_share,
  }
  return {
    name: schedules.learning_rate(
      steps, peak, config.optimizer.warmup_share, **shape
    )
    for name, peak in peaks.items()
  }


def penalty_kind(config: ml_collections.ConfigDict) -> str:
  """The overflow penalty; 'none' where no register can overflow."""
  if accumulators(config).default.overflow_mode == 'exact':
    return 'none'
  return config.penalty.kind


def penalty_weight(
  config: ml_collections.ConfigDict, steps: int
) -> optax.Schedule:
  """Weight of the overflow penalty by step."""
  return schedules.penalty_weight(
    steps,
    0.0 if penalty_kind(config) == 'none' else config.penalty.weight,
    config.penalty.rise_share,
    config.penalty.fall_share,
    config.penalty.final,
  )


def optimizer(
  config: ml_collections.ConfigDict, steps: int
) -> optax.GradientTransformation:
  """Clips gradients, and has a rate of their own for latent weights.

  A latent weight acts only through its sign, so its rate says how many steps
  it takes to flip; a real parameter's says how far it moves.
  """
  def labels(params):
    return jax.tree.map(
      lambda latent: 'latent' if latent else 'real',
      state_lib.is_latent(params),
    )

  rates = learning_rates(config, steps)
  return optax.chain(
    optax.clip_by_global_norm(config.optimizer.gradient_norm),
    optax.multi_transform(
      {name: optimizers.make(
        config.optimizer.kind, rate,
        weight_decay=config.optimizer.weight_decay,
        momentum=config.optimizer.momentum,
      ) for name, rate in rates.items()},
      labels,
    ),
  )


def input_step(config: ml_collections.ConfigDict) -> steps_lib.InputStep:
  """From waveforms to what the network reads."""
  return steps_lib.make_input_step(
    front_end=front_end(config), augmentation=augmentations(config),
    input_bits=config.model.input_bits,
  )


def update_step(
  config: ml_collections.ConfigDict,
  network: nn.Module,
  steps: int,
  teacher: objective_lib.Teacher | None = None,
) -> steps_lib.UpdateStep:
  """The update of a training of `steps` steps, by `optimizer`."""
  return steps_lib.make_update_step(
    network, optimizer(config, steps), _objective(config, steps, teacher),
    steps=steps, frozen_share=config.training.frozen_share,
    learning_rate=learning_rates(config, steps)['real'],
    balanced=config.optimizer.balance_weights,
    collaboration=_collaboration(config),
  )


def _objective(
  config: ml_collections.ConfigDict,
  steps: int,
  teacher: objective_lib.Teacher | None,
) -> objective_lib.Objective:
  return objective_lib.Objective(
    label_smoothing=config.optimizer.label_smoothing,
    penalty_weight=penalty_weight(config, steps),
    penalty_kind=penalty_kind(config),
    penalty_margin=config.penalty.margin,
    overflow_bound=config.penalty.bound,
    control_gain=config.penalty.gain,
    curriculum=curriculum.make(
      config.training.range_start, config.training.range_share,
      config.training.range_bound, steps,
    ),
    teacher=teacher,
    distillation_weight=config.distillation.weight,
    temperature=config.distillation.temperature,
  )


def _collaboration(
  config: ml_collections.ConfigDict,
) -> collaboration.Collaboration | None:
  """With the exact branch; None where it has no say."""
  fields = config.collaboration.to_dict()
  if not any(fields[weight] for weight in collaboration.WEIGHTS):
    return None
  return collaboration.Collaboration(
    model(without_overflow(config)),
    label_smoothing=config.optimizer.label_smoothing, **fields,
  )


def train_step(
  config: ml_collections.ConfigDict,
  network: nn.Module,
  steps: int,
  teacher: objective_lib.Teacher | None = None,
) -> steps_lib.TrainStep:
  """One step of a training of `steps` steps, to be jitted by the caller."""
  read = input_step(config)
  update = update_step(config, network, steps, teacher)

  def step(state, batch):
    q = read(state.inputs, state.key(), batch['audio'])
    return update(state, q, batch['label'])

  return step


def without_overflow(
  config: ml_collections.ConfigDict,
  trained: Mapping[str, Any] | None = None,
) -> ml_collections.ConfigDict:
  """The same configuration on registers that never overflow.

  Args:
    config: the configuration.
    trained: the branch `accumulator` of the training, where it is another one:
      its registers hold the whole of the preloads that were learned for them.
  """
  exact = config.copy_and_resolve_references()
  if trained is not None:
    exact.accumulator.bits = trained['bits']
    exact.accumulator.layer_bits = tuple(map(tuple, trained['layer_bits']))
  # Not the variant 'binary', of which a published method has other layers.
  exact.accumulator.overflow_mode = 'exact'
  exact.accumulator.gradient = 'straight_through'
  return exact


def describe_accumulator(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """The default register's fields, for results and logs."""
  default = accumulators(config).default
  return {
    'bits': default.bits,
    'overflow_mode': default.overflow_mode,
    'simd': default.simd,
    'unit': default.unit,
  }
