import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bnn_jax import features
from bnn_jax.data import augmentation
from bnn_jax.training import curriculum
from bnn_jax.training import losses
from bnn_jax.training import objective
from bnn_jax.training import steps
from tests import tiny

ROOT = pathlib.Path(__file__).parents[2]


def update_step(model, optimizer, balanced=False, branches=None, **changes):
  settings = {
    'label_smoothing': 0.1, 'penalty_weight': lambda step: 2.0,
    'penalty_kind': 'hinge', 'penalty_margin': 0.5, 'overflow_bound': 0.01,
    'control_gain': 0.0, 'distillation_weight': 0.5, 'temperature': 2.0,
  }
  return tiny.jitted(
    steps.make_update_step(
      model, optimizer, objective.Objective(**(settings | changes)),
      steps=10, frozen_share=0.2, learning_rate=lambda step: 0.5 * step,
      balanced=balanced, collaboration=branches,
    )
  )


def input_step(masks=augmentation.NONE):
  return tiny.jitted(steps.make_input_step(
    front_end=tiny.FRONT_END, augmentation=masks, input_bits=8
  ))


def quantized(state, clips):
  """The network's input and labels of the first clips."""
  examples = batch(clips)
  q = input_step()(state.inputs, state.key(), examples['audio'])
  return q, examples['label']


def batch(clips):
  split = tiny.Split(clips)
  audio = np.stack([split[i].audio for i in range(clips)]) / 32768
  labels = np.array([split[i].label for i in range(clips)], np.int32)
  return {'audio': audio.astype(np.float32), 'label': labels}


@pytest.fixture(scope='module')
def trained():
  """The states and metrics of a step of training and of a frozen one."""
  model, optimizer = tiny.network(), optax.adam(0.1)
  step = update_step(model, optimizer)
  start = tiny.state(model)
  frozen = start.replace(step=jnp.int32(8))
  examples = quantized(start, 10)
  return start, step(start, *examples), step(frozen, *examples)


def equal(a, b):
  return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def test_a_step_moves_all_but_what_is_fitted(trained):
  start, (state, _), _ = trained
  assert int(state.step) == 1
  assert equal(state.inputs, start.inputs)
  assert equal(state.deployed, start.deployed)
  assert not equal(state.params, start.params)
  assert not equal(state.batch_stats, start.batch_stats)
  for path, gradient in jax.tree_util.tree_leaves_with_path(
    state.opt_state[0].mu
  ):
    assert np.isfinite(gradient).all(), path


def test_metrics_of_a_step(trained):
  start, (state, observed), _ = trained
  values = observed.compute()
  total = values['cross_entropy'] + 2.0 * values['penalty']
  assert values['loss'] == pytest.approx(total, rel=1e-6)
  assert values['penalty'] > 0
  assert values['learning_rate'] == 0.0
  # Compiled, the division may be one by the reciprocal.
  ratio = float(steps.flip_ratio(start.params, state.params))
  assert values['flip_ratio'] == pytest.approx(ratio, rel=1e-6)
  layers = ('stem', 'block0/conv', 'block1/conv')
  rates = [values[f'overflow/{layer}'] for layer in layers]
  assert values['persistent_rate'] == pytest.approx(np.mean(rates), rel=1e-6)
  assert values['accuracy'] * 10 == pytest.approx(
    round(values['accuracy'] * 10), abs=1e-5
  )


def test_a_curriculum_starts_wide_and_narrows(trained):
  start, (_, narrow), _ = trained
  model, optimizer = tiny.network(), optax.adam(0.1)
  step = update_step(
    model, optimizer, curriculum=curriculum.Curriculum(16.0, 5.0, 0.5)
  )
  state, first = step(start, *quantized(start, 10))
  first, narrow = first.compute(), narrow.compute()
  assert first['range/block0/conv'] == pytest.approx(16.0)
  # Against the range of the moment, which nothing leaves.
  assert narrow['overflow/block0/conv'] > 0.05
  assert first['overflow/block0/conv'] == 0
  assert first['penalty'] == 0 < narrow['penalty']
  assert first['cross_entropy'] != narrow['cross_entropy']
  moved = [float(n) for n in state.control.narrowness.values()]
  assert moved == pytest.approx([0.4] * 3)
  last = start.replace(control=start.control.replace(
    narrowness=dict.fromkeys(start.control.narrowness, jnp.ones(()))
  ))
  _, found = step(last, *quantized(start, 10))
  found = found.compute()
  assert found['range/block0/conv'] == 1.0
  assert found['cross_entropy'] == narrow['cross_entropy']
  assert found['penalty'] == narrow['penalty']


def test_the_running_mean_holds_a_range_until_the_deadline(trained):
  start, *_ = trained
  step = update_step(
    tiny.network(), optax.adam(0.1),
    curriculum=curriculum.Curriculum(16.0, 5.0, 0.5),
  )
  # Nothing overflows in this step; but most has, in those before.
  rates = dict.fromkeys(start.control.rates, jnp.asarray(0.9))
  later = start.replace(
    step=jnp.asarray(2, jnp.int32), control=start.control.replace(rates=rates)
  )
  state, found = step(later, *quantized(start, 10))
  assert found.compute()['overflow/block0/conv'] == 0
  for path, value in state.control.narrowness.items():
    assert float(state.control.rates[path]) == pytest.approx(0.95 * 0.9)
    assert float(value) == pytest.approx(0.2)


def test_statistics_are_frozen_at_the_end(trained):
  start, _, (state, _) = trained
  for (path, old), new in zip(
    jax.tree_util.tree_leaves_with_path(start.batch_stats),
    jax.tree.leaves(state.batch_stats), strict=True,
  ):
    assert np.array_equal(old, new), path


def test_latent_weights_stay_inside(trained):
  params = {'latent': jnp.array([-1.5, -0.5, 2.0]), 'beta': jnp.array([3.0])}
  clipped = steps.clip_latent({'a': params})['a']
  assert clipped['latent'].tolist() == [-1.0, -0.5, 1.0]
  assert clipped['beta'].tolist() == [3.0]
  latent = trained[1][0].params['stem']['latent']
  assert np.abs(latent).max() <= 1.0


def test_latent_weights_are_centred_channel_by_channel():
  params = {
    'latent': jnp.array([[[0.5, -1.0]], [[0.25, 3.0]]]),
    'beta': jnp.array([3.0]),
  }
  centred = steps.centre_latent({'a': params})['a']
  assert centred['latent'].tolist() == [[[0.125, -2.0]], [[-0.125, 2.0]]]
  assert centred['beta'].tolist() == [3.0]


def test_balanced_weights_are_centred_and_inside(trained):
  # Steps too small to leave [-1, 1], so that the mean stays what it became.
  model, optimizer = tiny.network(), optax.adam(1e-3)
  start = trained[0].replace(opt_state=optimizer.init(trained[0].params))
  step = update_step(model, optimizer, balanced=True)
  state, _ = step(start, *quantized(start, 10))
  assert np.abs(start.params['stem']['latent'].mean((0, 1))).max() > 0.01
  for path, value in jax.tree_util.tree_leaves_with_path(state.params):
    if path[-1].key == 'latent':
      axes = tuple(range(value.ndim - 1))
      assert np.abs(value.mean(axes)).max() < 1e-7, path


def test_the_teacher_has_a_share_of_the_loss(trained):
  start, (_, without), _ = trained
  q, labels = quantized(start, 10)
  answers = 4 * jax.nn.one_hot(labels, tiny.CLASSES)
  model, optimizer = tiny.network(), optax.adam(0.1)

  def loss_with(weight):
    step = update_step(
      model, optimizer, teacher=lambda q: answers, distillation_weight=weight
    )
    return step(start, q, labels)[1].compute()

  none, half, whole = map(loss_with, (0.0, 0.5, 1.0))
  assert none['loss'] == pytest.approx(without.compute()['loss'], rel=1e-6)
  middle = (none['loss'] + whole['loss']) / 2
  assert half['loss'] == pytest.approx(middle, rel=1e-6)
  assert whole['loss'] != pytest.approx(none['loss'], rel=0.01)
  # What is told of the entropy is that of the labels, whoever teaches.
  assert half['cross_entropy'] == pytest.approx(none['cross_entropy'], rel=1e-6)
  # The logits are those of the labels' loss: distillation by hand.
  logits = model.apply(
    start.variables(), q, train=True, progress=0.0,
    mutable=['batch_stats'],
  )[0]
  distance = losses.distillation(logits, answers, 2.0).mean()
  gap = whole['loss'] - none['loss']
  expected = float(distance) - none['cross_entropy']
  assert gap == pytest.approx(expected, rel=1e-5)


def test_what_the_network_reads_is_quantized_and_masked(trained):
  state, audio = trained[0], batch(10)['audio']
  x = features.extract(audio, tiny.FRONT_END)
  lo, exponent = state.inputs['lo'], state.inputs['exponent']
  plain = features.quantize_by(x, lo, exponent, 8)
  q = input_step()(state.inputs, state.key(), audio)
  assert q.dtype == jnp.uint8
  # Compiled as a whole, a logarithm may round to the next step of q.
  assert np.abs(q.astype(int) - plain.astype(int)).max() <= 1
  masks = augmentation.Augmentation(
    time_masks_number=1, time_mask_max_size=4, frequency_masks_number=0
  )
  read = input_step(masks)
  masked = read(state.inputs, state.key(), audio)
  assert np.array_equal(masked, read(state.inputs, state.key(), audio))
  other = read(state.inputs, jax.random.key(9), audio)
  assert not np.array_equal(masked, other)
  changed = (masked != q).any(2).sum(1)
  assert 0 < changed.max() <= 4


def test_flip_ratio():
  # sign(0) = sign(-0) = +1, so only the last of four changes.
  before = {'latent': jnp.array([0.0, 0.5, -0.0, -0.1]), 'b': jnp.ones(3)}
  after = {'latent': jnp.array([-0.0, 0.1, 0.3, 0.0]), 'b': -jnp.ones(3)}
  assert float(steps.flip_ratio(before, after)) == 0.25
  assert float(steps.flip_ratio({'b': jnp.ones(2)}, {'b': jnp.ones(2)})) == 0


SHARDED = '''
import jax, numpy as np, optax
from jax import sharding
from bnn_jax.training import evaluator as evaluator_lib
from tests import tiny
from tests.training import test_steps

model, optimizer = tiny.network(), optax.adam(0.1)
start = tiny.state(model)
read = test_steps.input_step()
step = test_steps.update_step(model, optimizer)
evaluator = evaluator_lib.Evaluator(model)
q = np.random.default_rng(0).integers(
  0, 256, (7, *tiny.SHAPE.values()), np.uint8
)
for count in (1, 8):
  mesh = sharding.Mesh(np.array(jax.devices()[:count]), ('data',))
  everywhere = sharding.NamedSharding(mesh, sharding.PartitionSpec())
  rows = sharding.NamedSharding(mesh, sharding.PartitionSpec('data'))
  state = jax.device_put(start, everywhere)
  batch = jax.device_put(test_steps.batch(8), rows)
  assert len(batch['audio'].sharding.device_set) == count
  x = read(state.inputs, state.key(), batch['audio'])
  _, observed = step(state, x, batch['label'])
  logits = evaluator.logits(state, q)
  print(observed.compute()['loss'], *logits.astype(int).ravel())
'''


def test_eight_devices_give_the_logits_of_one():
  environment = os.environ | {
    'XLA_FLAGS': '--xla_force_host_platform_device_count=8',
    'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(ROOT),
  }
  done = subprocess.run(
    [sys.executable, '-c', SHARDED], cwd=ROOT, env=environment,
    capture_output=True, text=True, timeout=300,
  )
  assert done.returncode == 0, done.stderr
  one, eight = map(str.split, done.stdout.splitlines())
  assert len(one) == 1 + 7 * tiny.CLASSES
  assert one[1:] == eight[1:]
  # Batch statistics are summed in another order.
  assert float(one[0]) == pytest.approx(float(eight[0]), rel=1e-3)
