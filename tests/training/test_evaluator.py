import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import features
from bnn_jax.models import profile
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.training import evaluator as evaluator_lib
from tests import tiny


@pytest.fixture(scope='module')
def state():
  return tiny.state(tiny.network())


def evaluator(accumulator):
  return evaluator_lib.Evaluator(tiny.network(accumulator))


def quantized(state, clips):
  return evaluator_lib.quantize_split(
    tiny.Split(clips), state.inputs, front_end=tiny.FRONT_END, input_bits=8
  )


def test_quantized_split(state, monkeypatch):
  split = quantized(state, 7)
  assert split.labels.tolist() == [0, 1, 2, 3, 4, 0, 1]
  assert split.q.dtype == np.uint8
  assert split.q.shape == (7, tiny.SHAPE['frames'], tiny.SHAPE['bins'])
  audio = np.stack([tiny.Split(7)[i].audio for i in range(7)]) / 32768
  expected = features.quantize_by(
    features.extract(jnp.asarray(audio, jnp.float32), tiny.FRONT_END),
    state.inputs['lo'], state.inputs['exponent'], 8,
  )
  # Two programs may round a feature on a limit of q to its two sides.
  distance = np.abs(split.q.astype(int) - np.asarray(expected, int))
  assert distance.max() <= 1 and distance.mean() < 0.01
  assert len(np.unique(split.q)) > 20
  monkeypatch.setattr(evaluator_lib, '_BATCH', 3)
  assert np.array_equal(quantized(state, 7).q, split.q)


def test_ragged_batch_equals_single_clips(state, monkeypatch):
  """The logits without batches, padding or jit of the whole."""
  q = quantized(state, 7).q
  monkeypatch.setattr(evaluator_lib, '_BATCH', 4)
  logits = evaluator(tiny.REGISTER).logits(state, q)
  assert np.array_equal(logits, np.round(logits))
  model = tiny.network()
  single = [
    model.apply(state.variables(), q[i : i + 1], train=False)[0]
    for i in range(7)
  ]
  assert np.array_equal(logits, np.stack(single))
  assert len(np.unique(logits, axis=0)) > 1


def test_telemetry_does_not_depend_on_the_batch(state, monkeypatch):
  q = quantized(state, 7).q
  run = evaluator(tiny.REGISTER)
  logits = run.logits(state, q)
  counts = []
  for batch in (2, 7, 16):
    monkeypatch.setattr(evaluator_lib, '_BATCH', batch)
    with_counts, count = run.logits_and_telemetry(state, q)
    assert np.array_equal(with_counts, logits)
    counts.append(count)
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
  q = quantized(state, 6).q
  logits = {
    mode: evaluator(
      accumulator_lib.Accumulator(bits, mode, simd, unit)
    ).logits(state, q)
    for mode in accumulator_lib.MODES
  }
  assert np.array_equal(logits['exact'], logits['wrap'])
  assert np.array_equal(logits['exact'], logits['saturate'])
  narrow = evaluator(
    accumulator_lib.Accumulator(3, 'wrap', simd, unit)
  ).logits(state, q)
  assert not np.array_equal(logits['exact'], narrow)


def test_split_results(state):
  wrap = accumulator_lib.Accumulator(4, 'wrap', 8)
  exact = accumulator_lib.Accumulator(4, 'exact', 8)
  split = quantized(state, 9)
  labels = split.labels
  deployed_logits = evaluator(wrap).logits(state, split.q)
  exact_logits = evaluator(exact).logits(state, split.q)
  results = evaluator_lib.split_results(
    deployed=evaluator(wrap), exact=evaluator(exact), state=state,
    split=split, classes=tiny.CLASSES,
    registers={'stem': wrap, 'absent': wrap},
  )
  chosen = deployed_logits.argmax(-1)
  assert results['clips'] == 9
  assert results['accuracy_deployed'] == np.mean(chosen == labels)
  assert results['accuracy_exact'] == np.mean(exact_logits.argmax(-1) == labels)
  assert results['changed_decisions'] == np.sum(
    chosen != exact_logits.argmax(-1)
  )
  for name, logits in (('deployed', deployed_logits), ('exact', exact_logits)):
    right = evaluator_lib.unpack(results[f'right_{name}'], 9)
    assert np.array_equal(right, logits.argmax(-1) == labels)
  assert np.trace(results['confusion']) == np.sum(chosen == labels)
  assert [layer['path'] for layer in results['overflow']] == ['stem']
  stem = results['overflow'][0]
  assert stem['bits'] == 4
  frames = -(-tiny.SHAPE['frames'] // 2)
  assert stem['decisions'] == stem['outputs'] == 9 * frames * 8
  assert stem['persistent'] + stem['transient'] > 0
  assert stem['overflow_rate'] == (
    (stem['persistent'] + stem['transient']) / stem['outputs']
  )
  assert stem['overflow_magnitude'] == stem['magnitude'] / stem['outputs']


def test_deploy_replaces_only_the_constants(state):
  again = evaluator_lib.deployer(tiny.network(), **tiny.SHAPE)(state)
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
  q = quantized(state, 3).q
  assert np.array_equal(run.logits(state, q), run.logits(ruined, q))
