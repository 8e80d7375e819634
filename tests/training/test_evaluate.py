import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import features
from bnn_jax.models import profile
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.training import evaluate
from tests import tiny


@pytest.fixture(scope='module')
def state():
  return tiny.state(tiny.network())


def evaluator(accumulator):
  return evaluate.Evaluator(tiny.network(accumulator), tiny.FRONT_END, 8)


def clip_by_clip(state, split):
  """The logits without batches, padding or jit of the whole."""
  model = tiny.network()
  rows = []
  for i in range(len(split)):
    audio = jnp.asarray(split[i].audio[None], jnp.float32) / 32768
    q = features.quantize_by(
      features.extract(audio, tiny.FRONT_END), state.inputs['lo'],
      state.inputs['exponent'], 8,
    )
    rows.append(model.apply(state.variables(), q, train=False)[0])
  return np.stack(rows)


def test_ragged_batch_equals_single_clips(state, monkeypatch):
  monkeypatch.setattr(evaluate, 'BATCH', 4)
  split = tiny.Split(7)
  logits, labels = evaluator(accumulator_lib.Accumulator(4, 'wrap', 8)).logits(
    state, split
  )
  assert labels.tolist() == [0, 1, 2, 3, 4, 0, 1]
  assert np.array_equal(logits, np.round(logits))
  assert np.array_equal(logits, clip_by_clip(state, split))
  assert len(np.unique(logits, axis=0)) > 1


def test_telemetry_does_not_depend_on_the_batch(state, monkeypatch):
  split = tiny.Split(7)
  counts = []
  for batch in (2, 7, 16):
    monkeypatch.setattr(evaluate, 'BATCH', batch)
    register = accumulator_lib.Accumulator(4, 'wrap', 8)
    counts.append(evaluator(register).telemetry(state, split))
  assert counts[0] == counts[1] == counts[2]
  assert sorted(counts[0]) == ['block0/conv', 'block1/conv', 'stem']
  # 7 clips; the stem halves the frames, and so does the second block.
  frames = -(-tiny.SHAPE['frames'] // 2)
  assert counts[0]['stem']['outputs'] == 7 * frames * 8
  assert counts[0]['block1/conv']['outputs'] == 7 * -(-frames // 2) * 12
  assert sum(layer['persistent'] for layer in counts[0].values()) > 0
  assert 'decision_flip' in counts[0]['block0/conv']
  assert 'decision_flip' not in counts[0]['block1/conv']


@pytest.mark.parametrize('simd, unit', [(1, 'dot'), (8, 'popcount')])
def test_modes_are_equal_at_a_width_that_cannot_overflow(state, simd, unit):
  register = accumulator_lib.Accumulator(23, 'exact', simd, unit)
  rows = profile.profile(tiny.network(register), **tiny.SHAPE)['layers']
  bits = max(row['safe_bits'] for row in rows if row['safe_bits'])
  split = tiny.Split(6)
  logits = {
    mode: evaluator(
      accumulator_lib.Accumulator(bits, mode, simd, unit)
    ).logits(state, split)[0]
    for mode in accumulator_lib.MODES
  }
  assert np.array_equal(logits['exact'], logits['wrap'])
  assert np.array_equal(logits['exact'], logits['saturate'])
  narrow, _ = evaluator(
    accumulator_lib.Accumulator(3, 'wrap', simd, unit)
  ).logits(state, split)
  assert not np.array_equal(logits['exact'], narrow)


def test_split_results(state):
  wrap = accumulator_lib.Accumulator(4, 'wrap', 8)
  exact = accumulator_lib.Accumulator(4, 'exact', 8)
  split = tiny.Split(9)
  deployed_logits, labels = evaluator(wrap).logits(state, split)
  exact_logits, _ = evaluator(exact).logits(state, split)
  results = evaluate.split_results(
    deployed=evaluator(wrap), exact=evaluator(exact), state=state,
    source=split, registers={'stem': wrap, 'absent': wrap},
  )
  chosen = deployed_logits.argmax(-1)
  assert results['clips'] == 9
  assert results['accuracy_deployed'] == np.mean(chosen == labels)
  assert results['accuracy_exact'] == np.mean(exact_logits.argmax(-1) == labels)
  assert results['changed_decisions'] == np.sum(
    chosen != exact_logits.argmax(-1)
  )
  assert np.trace(results['confusion']) == np.sum(chosen == labels)
  assert [layer['path'] for layer in results['overflow']] == ['stem']
  assert results['overflow'][0]['bits'] == 4


def test_deploy_replaces_only_the_constants(state):
  again = evaluate.deploy(tiny.network(), state, **tiny.SHAPE)
  assert jax.tree.all(jax.tree.map(np.array_equal, again.params, state.params))
  assert jax.tree.all(
    jax.tree.map(np.array_equal, again.deployed, state.deployed)
  )
  dtypes = {str(leaf.dtype) for leaf in jax.tree.leaves(again.deployed)}
  assert dtypes == {'int32'}


def test_evaluation_reads_only_what_is_deployed(state):
  """All parameters but the signs of latent weights may be anything."""
  def ruin(path, value):
    if path[-1].key == 'latent':
      return jnp.where(value >= 0, 0.7, -1e-6)
    return jnp.full_like(value, jnp.nan)

  ruined = state.replace(
    params=jax.tree_util.tree_map_with_path(ruin, state.params),
    batch_stats=jax.tree.map(lambda v: v * jnp.nan, state.batch_stats),
  )
  run = evaluator(accumulator_lib.Accumulator(4, 'wrap', 8))
  split = tiny.Split(3)
  assert np.array_equal(
    run.logits(state, split)[0], run.logits(ruined, split)[0]
  )
