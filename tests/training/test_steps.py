import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bnn_jax.data import augmentation
from bnn_jax.training import steps
from tests import tiny

ROOT = pathlib.Path(__file__).parents[2]


def train_step(model, optimizer, **changes):
  settings = {
    'front_end': tiny.FRONT_END, 'augmentation': augmentation.Augmentation(),
    'input_bits': 8, 'steps': 10, 'frozen_share': 0.2,
    'learning_rate': lambda step: 0.5 * step,
    'penalty_weight': lambda step: 2.0, 'penalty_kind': 'hinge',
    'penalty_margin': 0.5, 'label_smoothing': 0.1,
  }
  return jax.jit(
    steps.make_train_step(model, optimizer, **(settings | changes))
  )


def batch(clips):
  split = tiny.Split(clips)
  audio = np.stack([split[i].audio for i in range(clips)]) / 32768
  labels = np.array([split[i].label for i in range(clips)], np.int32)
  return {'audio': audio.astype(np.float32), 'label': labels}


@pytest.fixture(scope='module')
def trained():
  """The states and metrics of a step of training and of a frozen one."""
  model, optimizer = tiny.network(), optax.adam(0.1)
  step = train_step(model, optimizer)
  start = tiny.state(model)
  frozen = start.replace(step=jnp.int32(8))
  return start, step(start, batch(10)), step(frozen, batch(10))


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
  assert values['overflow_rate'] == pytest.approx(np.mean(rates), rel=1e-6)
  assert values['accuracy'] * 10 == pytest.approx(
    round(values['accuracy'] * 10), abs=1e-5
  )


def test_statistics_are_frozen_at_the_end(trained):
  start, _, (state, _) = trained
  for (path, old), new in zip(
    jax.tree_util.tree_leaves_with_path(start.batch_stats),
    jax.tree.leaves(state.batch_stats), strict=True,
  ):
    # The exponent follows the parameters to the end.
    if path[-1].key != 'exponent':
      assert np.array_equal(old, new), path


def test_latent_weights_stay_inside(trained):
  params = {'latent': jnp.array([-1.5, -0.5, 2.0]), 'beta': jnp.array([3.0])}
  clipped = steps.clip_latent({'a': params})['a']
  assert clipped['latent'].tolist() == [-1.0, -0.5, 1.0]
  assert clipped['beta'].tolist() == [3.0]
  latent = trained[1][0].params['stem']['latent']
  assert np.abs(latent).max() <= 1.0


def test_flip_ratio():
  # sign(0) = sign(-0) = +1, so only the last of four changes.
  before = {'latent': jnp.array([0.0, 0.5, -0.0, -0.1]), 'b': jnp.ones(3)}
  after = {'latent': jnp.array([-0.0, 0.1, 0.3, 0.0]), 'b': -jnp.ones(3)}
  assert float(steps.flip_ratio(before, after)) == 0.25
  assert float(steps.flip_ratio({'b': jnp.ones(2)}, {'b': jnp.ones(2)})) == 0


SHARDED = '''
import jax, numpy as np, optax
from jax import sharding
from bnn_jax.training import evaluate
from tests import tiny
from tests.training import test_steps

model, optimizer = tiny.network(), optax.adam(0.1)
start = tiny.state(model)
step = test_steps.train_step(model, optimizer)
evaluator = evaluate.Evaluator(model)
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
  _, observed = step(state, batch)
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
