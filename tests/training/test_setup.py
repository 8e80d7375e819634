
import jax
import jax.numpy as jnp
import pytest

from bnn_jax import errors
from bnn_jax.nn import rule_layers
from bnn_jax.training import curriculum
from bnn_jax.training import setup
from configs import kws


def config(string='smoke', **changes):
  made = kws.get_config(string).unlock()
  made.update_from_flattened_dict(changes)
  return made


def test_layer_bits():
  made = setup.accumulators(config(
    'smoke,accumulator_bits=6,overflow_mode=saturate',
    **{'accumulator.layer_bits': (('^stem$', 9), ('block', 5))},
  ))
  assert made.at('stem').bits == 9
  assert made.at('block0/conv').bits == 5
  assert made.at('classifier').bits == 6
  assert made.at('stem').overflow_mode == 'saturate'


def test_binary_variant_never_overflows():
  binary = config('smoke,variant=binary,accumulator_bits=4')
  register = setup.accumulators(binary).default
  assert (register.bits, register.overflow_mode) == (4, 'exact')


def test_without_overflow():
  overflow = config(
    'smoke,accumulator_bits=4,overflow_mode=saturate',
    **{'accumulator.gradient': 'clip'},
  )
  exact = setup.without_overflow(overflow)
  register = setup.accumulators(exact).default
  assert (register.bits, register.overflow_mode) == (4, 'exact')
  assert exact.model.variant == 'overflow'
  assert setup.accumulators(overflow).default.overflow_mode == 'saturate'
  trained = {'bits': 9, 'layer_bits': [['stem', 11]], 'overflow_mode': 'wrap'}
  wide = setup.accumulators(setup.without_overflow(overflow, trained))
  assert [(wide.at(path).bits, wide.at(path).overflow_mode)
          for path in ('stem', 'block0/conv')] == [(11, 'exact'), (9, 'exact')]
  assert setup.without_overflow(config('smoke,variant=float')).model.variant \
    == 'float'


def test_describe_accumulator():
  made = config('smoke,accumulator_bits=4,simd=2,unit=popcount')
  assert setup.describe_accumulator(made) == {
    'bits': 4, 'overflow_mode': 'wrap', 'simd': 2, 'unit': 'popcount',
  }


def test_test_splits():
  assert setup.test_splits(config()) == ('testing', 'unseen')
  assert setup.test_splits(config('data=folder')) == ('testing',)


def test_settings_are_chosen_on_other_speakers():
  made = config('data=folder')
  assert setup.validation_split(made) == 'validation'
  fit = config(**{'data.training_split': 'fit'})
  assert setup.validation_split(fit) == 'dev'
  assert setup.test_splits(fit) == ('dev',)


def test_shape_goes_before_size():
  made = setup.model(config(**{'model.shape': '8-9x1'}))
  assert (made.stem.channels, made.stages[0].channels) == (8, 9)


@pytest.mark.parametrize('key, value', [
  ('model.shape', '8-9x1'), ('model.norm_variant', 'real'),
  ('model.rule', 'dorefa'),
])
def test_what_is_of_our_network_alone(key, value):
  setup.model(config('smoke,variant=binary', **{key: value}))
  other = next(name for name in setup.MODELS if name != 'speech_resnet')
  with pytest.raises(errors.UserError, match=key):
    setup.model(config(**{key: value, 'model.name': other}))


@pytest.mark.parametrize('options, kind', [
  ('penalty=none', 'none'), ('penalty=hinge', 'hinge'),
  ('penalty=periodic,overflow_mode=saturate', 'periodic'),
  ('penalty=hinge,overflow_mode=exact', 'none'),
  ('penalty=hinge,variant=binary', 'none'),
  ('penalty=hinge,variant=float', 'none'),
])
def test_no_penalty_has_no_weight(options, kind):
  made = config(options)
  assert setup.penalty_kind(made) == kind
  assert (float(setup.penalty_weight(made, 100)(50)) > 0) == (kind != 'none')


def test_recipes_reach_the_optimizer():
  made = config(**{
    'optimizer.kind': 'sgd', 'optimizer.momentum': 0.5,
    'optimizer.learning_rate': 0.25, 'optimizer.latent_learning_rate': 1.0,
    'optimizer.schedule': 'step', 'optimizer.drops': ((0.5, 0.5),),
    'optimizer.warmup_share': 0.0, 'optimizer.gradient_norm': 1e6,
  })
  optimizer = setup.optimizer(made, 4)
  params = {'a': {'latent': jnp.ones(1)}, 'b': {'bias': jnp.ones(1)}}
  state = optimizer.init(params)
  moves = []
  for _ in range(4):
    update, state = optimizer.update(params, state, params)
    moves.append([float(leaf[0]) for leaf in jax.tree.leaves(update)])
  # Velocities 1, 1.5, 1.75 and 1.875; the rates halve behind two steps.
  assert moves == [
    [-1.0, -0.25], [-1.5, -0.375], [-0.875, -0.21875], [-0.9375, -0.234375]
  ]


def test_rules_reach_the_network():
  made = config('smoke,variant=binary', **{'model.rule': 'dorefa'})
  layer = setup.model(made).conv(4, (3,))
  assert isinstance(layer, rule_layers.RuleConv)
  with pytest.raises(errors.UserError, match='no variant=overflow'):
    setup.model(config(**{'model.rule': 'dorefa'}))


def test_preloads_and_gates_reach_the_layers():
  changes = {'model.learn_preload': True, 'training.gate_share': 0.25}
  network = setup.model(config(**changes))
  layer = network.conv(4, (3,))
  assert (layer.learn_preload, layer.gate_share) == (True, 0.25)
  plain = setup.model(config()).conv(4, (3,))
  assert (plain.learn_preload, plain.gate_share) == (False, 0.5)


def test_ranges_reach_the_objective():
  made = config(**{
    'training.range_start': 4.0, 'training.range_share': 0.25,
    'training.range_bound': 0.02,
  })
  assert setup._objective(made, 100, None).curriculum \
    == curriculum.Curriculum(4.0, 25.0, 0.02)
  assert setup._objective(config(), 100, None).curriculum is None


@pytest.mark.parametrize('key, value', [
  ('model.name', 'foo'), ('model.variant', 'foo'),
  ('model.norm_variant', 'foo'), ('model.thermometer_levels', 0),
  ('model.size', 'XXL'), ('model.shape', 'XXL'),
  ('accumulator.layer_bits', (('stem',),)),
  ('accumulator.layer_bits', (('(', 9),)), ('accumulator.layer_bits', (3,)),
])
def test_model_is_checked(key, value):
  setup.model(config())
  with pytest.raises(errors.UserError, match=key.rpartition('.')[2]):
    setup.model(config(**{key: value}))


def test_the_exact_branch_has_the_same_network_without_overflow():
  config = kws.get_config('smoke').unlock()
  assert setup._collaboration(config) is None
  config.collaboration.bits_weight = 0.25
  found = setup._collaboration(config)
  assert (found.bits_weight, found.logits_weight) == (0.25, 0.0)
  register = found.network.conv.keywords['accumulator'].default
  assert register.overflow_mode == 'exact'
  own = setup.model(config)
  assert own.conv.keywords['accumulator'].default.overflow_mode == 'wrap'
  assert found.network.stages == own.stages
