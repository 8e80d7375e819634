import math

import pytest

from bnn_jax import errors
from bnn_jax.training import checks
from bnn_jax.training import collaboration
from configs import kws


def config(string='smoke', **changes):
  made = kws.get_config(string).unlock()
  made.update_from_flattened_dict(changes)
  return made


@pytest.mark.parametrize('key, value', [
  ('training.epochs', 0), ('training.batch_size', -1),
  ('training.log_steps', 0), ('training.validation_epochs', 0),
  ('training.checkpoint_epochs', 0), ('training.input_clips', 0),
  ('training.frozen_share', 1.5), ('optimizer.label_smoothing', -0.5),
  ('training.gate_share', -0.1), ('training.range_start', 0.5),
  ('training.range_share', 0.0), ('training.range_bound', 1.0),
  ('training.gate_share', math.inf),
  ('distillation.weight', 1.5), ('distillation.weight', math.nan),
  ('distillation.temperature', 0.0), ('distillation.temperature', math.inf),
  ('optimizer.learning_rate', -1.0), ('optimizer.learning_rate', math.nan),
  ('optimizer.learning_rate', math.inf),
  ('optimizer.latent_learning_rate', math.inf),
  ('optimizer.gradient_norm', 0.0), ('optimizer.gradient_norm', -5.0),
  ('optimizer.weight_decay', -0.1), ('penalty.weight', -1.0),
  ('penalty.weight', math.inf), ('penalty.margin', -0.1),
  ('penalty.margin', math.nan), ('penalty.final', -1.0),
  ('penalty.kind', 'foo'), ('data.training_split', 'testing'),
  ('model.input_bits', 9), ('model.input_bits', 0),
  ('model.thermometer_levels', 256), ('penalty.rise_share', 1.5),
  ('penalty.bound', 0.0), ('penalty.bound', 1.0),
  ('collaboration.bits_weight', -1.0), ('collaboration.logits_weight', -1.0),
  ('collaboration.cross_entropy_weight', math.nan),
  ('collaboration.temperature', 0.0),
])
def test_training_is_checked(key, value):
  checks.check_training(config())
  with pytest.raises(errors.UserError, match=key):
    checks.check_training(config(**{key: value}))


@pytest.mark.parametrize('key, value', [
  ('optimizer.kind', 'adam'), ('optimizer.momentum', 1.0),
  ('optimizer.schedule', 'linear'), ('optimizer.schedule', 'step'),
  ('optimizer.schedule', 'exponential'),
])
def test_optimizers_are_checked(key, value):
  with pytest.raises(errors.UserError, match='optimizer'):
    checks.check_training(config(**{key: value}))


def test_ranges_are_narrow_before_statistics_freeze():
  ranges = {'training.range_start': 4.0, 'training.frozen_share': 0.1}
  checks.check_training(config(**ranges, **{'training.range_share': 0.9}))
  late = {'training.range_share': 0.95}
  with pytest.raises(errors.UserError, match='choose at most 0.9'):
    checks.check_training(config(**ranges, **late))
  checks.check_training(config(**late))


def test_gates_close_before_statistics_freeze():
  with pytest.raises(errors.UserError, match='choose at most 0.9'):
    checks.check_training(config(**{'training.gate_share': 1.0}))
  for share in (0.9, 1e9):
    checks.check_training(config(**{'training.gate_share': share}))


def test_a_preload_needs_a_penalty():
  learned = {'model.learn_preload': True}
  checks.check_training(config(**learned))
  with pytest.raises(errors.UserError, match='choose a penalty'):
    checks.check_training(config(**learned, **{'penalty.kind': 'none'}))


def test_a_clamp_has_no_periods():
  periodic = {'penalty.kind': 'periodic'}
  checks.check_training(config(**periodic))
  with pytest.raises(errors.UserError, match='choose hinge or variance'):
    checks.check_training(
      config(**periodic, **{'accumulator.overflow_mode': 'saturate'})
    )


@pytest.mark.parametrize('weight', collaboration.WEIGHTS)
def test_an_exact_branch_needs_registers_that_overflow(weight):
  changed = config()
  changed.collaboration[weight] = 0.5
  checks.check_training(changed)
  changed.model.variant = 'binary'
  with pytest.raises(errors.UserError, match=f'{weight}.*no register overflow'):
    checks.check_training(changed)
