import functools
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bnn_jax.nn import layers
from bnn_jax.training import checks
from bnn_jax.training import control
from bnn_jax.training import evaluator
from bnn_jax.training import objective
from bnn_jax.training import setup
from bnn_jax.training import state as state_lib
from bnn_jax.training import steps
from configs import kws
from tests import published
from tests import tiny

VARIANTS = ('float', 'binary', 'overflow', 'binary_firstlast8')
FOLDER = pathlib.Path(__file__).parents[3] / 'configs' / 'baselines'

# Methods whose stream of variant 'overflow' is one of integers.
INTEGERS = (
  'bifsmn', 'cnn_one_fstride4', 'cnn_trad_fpool3', 'dnn', 'ds_cnn',
  'matchboxnet', 'res', 'tc_resnet',
)


def test_every_method_has_a_file():
  names = {path.stem for path in FOLDER.glob('*.py')}
  assert names == {*published.TINY, '__init__', 'published'}


@pytest.mark.parametrize('name', published.TINY)
@pytest.mark.parametrize('variant', VARIANTS)
def test_every_size_loads_locks_and_builds(name, variant):
  for size in published.module(name).SIZES:
    config = published.config(name, f'size={size},variant={variant}')
    assert config.is_locked
    assert (config.model.name, config.model.size) == (name, size)
    assert config.model.variant == variant
    setup.model(config)
    bits = {'overflow': 7}.get(variant, 16)
    assert setup.accumulators(config).default.bits == bits
    assert setup.penalty_kind(config) == (
      'hinge' if variant == 'overflow' else 'none'
    )


@pytest.mark.parametrize('name', published.TINY)
def test_every_size_passes_the_checks_of_training(name):
  for size in published.module(name).SIZES:
    config = published.config(name, f'size={size},variant=overflow')
    checks.check_training(config)


def test_shapes_of_the_input():
  shapes = {
    (name, variant): tuple(
      setup.input_shape(published.config(name, f'variant={variant}')).values()
    )
    for name in published.TINY for variant in ('float', 'binary')
  }
  expected = {
    'bc_resnet': (101, 40), 'bifsmn': (32, 32), 'cnn_one_fstride4': (49, 40),
    'cnn_trad_fpool3': (49, 40), 'crnn': (49, 10), 'dnn': (25, 10),
    'ds_cnn': (49, 10), 'kwt': (98, 40), 'matchboxnet': (98, 64),
    'mhatt_rnn': (49, 20), 'res': (101, 40), 'tc_resnet': (98, 40),
  }
  for (name, _), shape in shapes.items():
    assert shape == expected[name], name


def test_thermometers_read_log_mel():
  assert published.config('ds_cnn', 'variant=float').front_end.kind == 'mfcc'
  for variant in ('binary', 'overflow'):
    front_end = published.config('ds_cnn', f'variant={variant}').front_end
    assert (front_end.kind, front_end.mel_bins) == ('log_mel', 10)
  assert published.config('bc_resnet').front_end.kind == 'log_mel'


@pytest.mark.parametrize('name, mel_bins, low, high', [
  ('dnn', 40, 20.0, 4000.0), ('crnn', 40, 20.0, 4000.0),
  ('ds_cnn', 40, 20.0, 4000.0), ('cnn_trad_fpool3', 64, 80.0, 7600.0),
  ('cnn_one_fstride4', 64, 80.0, 7600.0), ('tc_resnet', 64, 80.0, 7600.0),
])
def test_triangles_are_those_of_the_code_base(name, mel_bins, low, high):
  found = published.config(name, 'variant=float').front_end
  assert (found.mel_bins, found.lower_hz, found.upper_hz) \
    == (mel_bins, low, high)


def test_recipes_are_of_the_float_network():
  ours = kws.get_config()
  float_config = published.config('kwt', 'variant=float')
  assert float_config.optimizer.weight_decay == 0.1
  assert float_config.augmentation.time_masks_number == 2
  for name in published.TINY:
    binary = published.config(name, 'variant=binary')
    for branch in ('optimizer', 'augmentation', 'training'):
      assert binary[branch] == ours[branch]


# Optimizer, peak, momentum, weight decay, schedule, and the rates after 0, 40,
# 70 and 90 % of the steps.
RECIPES = {
  'bc_resnet': ('sgd', 0.1, 1e-3, 'cosine', (0.0, 0.0677, 0.0216, 0.00257)),
  'bifsmn': ('sgd', 5e-3, 1e-4, 'cosine', (0.0, 3.27e-3, 1.03e-3, 1.22e-4)),
  'cnn_one_fstride4': ('adamw', 5e-4, 0.0, 'step', (5e-4, 1e-4, 2e-5, 2e-5)),
  'cnn_trad_fpool3': ('adamw', 5e-4, 0.0, 'step', (5e-4, 5e-4, 1e-4, 1e-4)),
  'crnn': ('adamw', 5e-4, 0.0, 'step', (5e-4, 1e-4, 2e-5, 2e-5)),
  'dnn': ('adamw', 5e-4, 0.0, 'step', (5e-4, 1e-4, 2e-5, 2e-5)),
  'ds_cnn': ('adamw', 5e-4, 0.0, 'step', (5e-4, 1e-4, 2e-5, 2e-5)),
  'kwt': ('adamw', 1e-3, 0.1, 'cosine', (0.0, 7.2e-4, 2.355e-4, 2.826e-5)),
  'matchboxnet': (
    'novograd', 0.05, 1e-3, 'hold', (0.0, 0.05, 0.01864, 0.00296)
  ),
  'mhatt_rnn': (
    'adamw', 1e-3, 0.0, 'exponential', (1e-3, 2.09e-4, 6.47e-5, 2.96e-5)
  ),
  'res': ('sgd', 0.1, 1e-5, 'step', (0.1, 0.01, 0.001, 0.001)),
  'tc_resnet': ('sgd', 0.1, 1e-3, 'step', (0.1, 0.01, 0.001, 0.001)),
}


@pytest.mark.parametrize('name', published.TINY)
def test_published_recipes(name):
  config = published.config(name, 'data=folder,data_dir=/d')
  kind, peak, decay, schedule, rates = RECIPES[name]
  assert config.optimizer.kind == kind
  assert config.optimizer.learning_rate == peak
  assert config.optimizer.weight_decay == decay
  assert config.optimizer.schedule == schedule
  found = setup.learning_rates(config, 1000)['real']
  assert [float(found(step)) for step in (0, 400, 700, 900)] \
    == pytest.approx(rates, rel=5e-3)
  # Nothing of ours is left.
  assert config.training.frozen_share == 0.0
  assert config.optimizer.label_smoothing == (0.1 if name == 'kwt' else 0.0)
  resampled = {'bifsmn': 0.2, 'kwt': 0.15, 'mhatt_rnn': 0.15}
  assert config.augmentation.resample == resampled.get(name, 0.0)
  assert config.augmentation.attenuation_db == (3.0 if name == 'bifsmn' else 0)
  batches = {'bifsmn': 96, 'kwt': 512, 'matchboxnet': 128, 'res': 64}
  assert config.training.batch_size == batches.get(name, 100)


def test_bifsmn_is_trained_as_published_in_float_and_binary():
  config = published.config('bifsmn', 'variant=paper')
  assert config.optimizer.kind == 'sgd'
  assert config.optimizer.latent_learning_rate == 5e-3


def test_options_of_our_network_hold():
  config = published.config(
    'crnn', 'data=folder,data_dir=/d,classes=35,seed=7,epochs=2,size=L,'
    'variant=overflow,accumulator_bits=5,overflow_mode=saturate,simd=8'
  )
  assert (config.data.source, config.data.data_dir) == ('folder', '/d')
  assert (config.data.classes, config.seed) == (35, 7)
  assert (config.training.epochs, config.model.size) == (2, 'L')
  register = setup.accumulators(config).default
  assert (register.bits, register.overflow_mode, register.simd) == (
    5, 'saturate', 8
  )
  assert published.config('crnn', 'smoke').name == 'kws_smoke_crnn'
  assert published.config('crnn', 'smoke').training.epochs == 3


@pytest.mark.parametrize('string, message', [
  ('size=XL', 'size=XL is not possible; choose one of S, M, L'),
  ('variant=paper', 'variant=paper is not possible'),
  ('padding=valid', "'padding' does not exist"),
])
def test_bad_options(string, message):
  with pytest.raises(ValueError, match=message):
    published.config('crnn', string)


def state_of(config, model, optimizer):
  """A state without a compilation: random parameters, a fixed input."""
  create = functools.partial(
    state_lib.create, model, optimizer, seed=0, **setup.input_shape(config)
  )
  random = np.random.default_rng(0)
  levels = np.linspace(20, 230, config.model.thermometer_levels)

  def fill(path, like):
    match path[-1].key:
      case 'thresholds' if like.dtype == jnp.int32:
        return np.broadcast_to(levels.astype(np.int32), like.shape)
      case 'mean' if path[0].key == 'model':
        return np.full(like.shape, 180.0, np.float32)
      case 'scale' if path[0].key == 'model':
        return np.full(like.shape, 0.02, np.float32)
      case 'var' | 'rstd':
        return np.ones(like.shape, np.float32)
    return random.normal(0, 0.3, like.shape).astype(like.dtype)

  like = jax.eval_shape(create)
  made = {
    field: jax.tree_util.tree_map_with_path(fill, getattr(like, field))
    for field in ('params', 'batch_stats', 'inputs', 'deployed')
  }
  made['control'] = control.create(list(like.control.shares))
  made['inputs'] |= {'lo': np.float32(-14.0), 'exponent': np.int32(-4)}
  return state_lib.TrainState(
    step=jnp.int32(0), opt_state=optimizer.init(made['params']),
    rng=jax.random.key_data(jax.random.key(0)), **made,
  )


COMPILATION = steps.compiler_options() | tiny.COMPILATION


@pytest.mark.parametrize('name', published.TINY)
@pytest.mark.parametrize('variant', ['float', 'binary', 'binary_firstlast8'])
def test_a_step_is_traced(name, variant, monkeypatch):
  with published.tiny_sizes(monkeypatch):
    config = published.config(name, f'variant={variant}')
    model, optimizer = setup.model(config), setup.optimizer(config, 10)
    like = jax.eval_shape(lambda: state_of(config, model, optimizer))
    batch = {'audio': np.zeros((2, 16000), 'f4'), 'label': np.arange(2)}
    after, _ = jax.eval_shape(
      setup.train_step(config, model, 10), like, batch
    )
  assert jax.tree.structure(after) == jax.tree.structure(like)
  assert jax.tree.leaves(after) == jax.tree.leaves(like)


def features(config, clips):
  """Quantized noise.

  Of two clips, a batch normalization would make -1 and +1 of a dense layer's
  sums, where the signs behind have no gradient: take more.
  """
  shape = clips, *setup.input_shape(config).values()
  return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize('name, variant', [
  *((name, 'overflow') for name in published.TINY),
  ('bifsmn', 'paper,size=v1'), ('bifsmn', 'paper,size=v2'), ('crnn', 'float'),
  ('ds_cnn', 'binary'), ('tc_resnet', 'binary_firstlast8'),
])
def test_a_step_trains(name, variant, monkeypatch):
  with published.tiny_sizes(monkeypatch):
    config = published.config(name, f'variant={variant}')
    # The penalty alone moves a preload, and with no margin it always acts.
    config.model.learn_preload = variant == 'overflow'
    model, optimizer = setup.model(config), optax.adam(0.01)
    before = state_of(config, model, optimizer)
    update = jax.jit(steps.make_update_step(
      model, optimizer,
      objective.Objective(
        label_smoothing=config.optimizer.label_smoothing,
        penalty_weight=lambda step: 1.0,
        penalty_kind=setup.penalty_kind(config), penalty_margin=0.0,
        overflow_bound=0.01, control_gain=0.0,
      ),
      steps=10, frozen_share=0.1, balanced=False,
      learning_rate=lambda step: 0.01 + 0.0 * step,
    ))
    clips = before, features(config, 4), np.arange(4)
    compiled = update.lower(*clips).compile(compiler_options=COMPILATION)
    after, metrics = compiled(*clips)
    assert np.isfinite(metrics.compute()['loss'])
    still = [
      jax.tree_util.keystr(path)
      for (path, old), new in zip(
        jax.tree_util.tree_leaves_with_path(before.params),
        jax.tree.leaves(after.params), strict=True,
      )
      if np.array_equal(old, new)
    ]
    assert still == []
    if variant == 'overflow':
      check_evaluation(name, config, model, after)


def check_evaluation(name, config, model, state):
  """All products read signs; the logits are integers if the stream is."""
  shape = setup.input_shape(config)
  state = evaluator.deployer(model, **shape)(state)
  q = features(config, 3)
  magnitudes = []

  def record(call, args, kwargs, context):
    is_product = isinstance(context.module, layers.BinaryConv)
    if is_product and context.method_name == '__call__':
      jax.debug.callback(magnitudes.append, jnp.abs(args[0]).min())
      jax.debug.callback(magnitudes.append, jnp.abs(args[0]).max())
    return call(*args, **kwargs)

  def logits_of(variables):
    with nn.intercept_methods(record):
      return model.apply(variables, q, train=False)

  logits = jax.jit(logits_of, compiler_options=COMPILATION)(state.variables())
  jax.effects_barrier()
  assert len(magnitudes) >= 4
  assert {float(magnitude) for magnitude in magnitudes} == {1.0}
  assert logits.shape == (3, 12)
  assert np.isfinite(logits).all()
  assert np.array_equal(logits, np.round(logits)) == (name in INTEGERS)
