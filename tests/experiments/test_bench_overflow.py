"""What is timed against what."""

import functools
import math

import jax
import numpy as np
import pytest

from bnn_jax.nn import geometry
from bnn_jax.nn import products
from experiments import bench_larq
from experiments import bench_machine
from experiments import bench_overflow
from experiments import bench_shapes
from tests.contract import cases

SMALL = [
  bench_shapes.Shape('1-D', (3, 9, 12), (3, 12, 16), {'strides': 2}, 5),
  bench_shapes.Shape('groups', (3, 9, 12), (3, 6, 16), {'groups': 2}, 9),
  bench_shapes.Shape('one channel', (2, 6, 5, 1), (3, 2, 1, 8), {}, 30),
  bench_shapes.Shape('depthwise', (2, 6, 5, 8), (3, 3, 1, 8), {'groups': 8},
                     30),
]


@pytest.mark.parametrize('shape', SMALL, ids=lambda shape: shape.name)
def test_both_baselines_are_the_exact_sums(shape):
  x, w = cases.fill('random', shape.x, 1), cases.fill('random', shape.w, 2)
  x, w = x.astype(np.float32), w.astype(np.float32)
  expected = products.exact(
    x, w, geometry.geometry(x.shape, w.shape, **shape.geometry)
  )
  operations = bench_overflow.operations(shape, ['lax'], 'forward')
  for name in bench_overflow.BASELINES:
    y = operations[bench_overflow.EXACT, 0, name](x, w)
    assert cases.integers(y) == cases.integers(expected)


@pytest.mark.parametrize('which', ['forward', 'forward_backward'])
def test_the_quicker_baseline_is_the_base(monkeypatch, which):
  seconds = {'convolution': 0.004, 'exact': 0.003, 'taps': 0.002}

  def interleaved(programs, operands, rounds):
    return {key: [seconds.get(key[2], 0.001)] * rounds for key in programs}

  monkeypatch.setattr(bench_overflow, 'interleaved', interleaved)
  monkeypatch.setattr(bench_overflow, 'REGISTERS', (('wrap', 64),))
  base, ours = bench_overflow.measure(
    SMALL[0], which, ['lax'], 3, {'popcount': 1e9, 'int8': 2e9}
  )
  assert (base['op'], base['engine'], base['ratio']) == (
    'exact_float32', 'XLA', 1.0
  )
  assert base['baseline'] == ours['baseline'] == 'taps'
  assert (ours['op'], ours['engine'], ours['ratio']) == ('wrap', 'lax', 0.5)
  # Gradients are float32, which has no share of these peaks.
  macs = 3 * 5 * 36 * 16
  if which == 'forward':
    assert math.isclose(ours['popcount_share'], macs / 0.001 / 1e9)
    assert math.isclose(ours['gops'], 2e-9 * macs / 0.001)
  else:
    assert 'popcount_share' not in ours and 'int8_share' not in ours
    assert math.isclose(ours['gops'], 2e-9 * 3 * macs / 0.001)


def test_a_machine_is_told_without_its_name():
  assert len(bench_machine.machine()['system'].split()) == 2


def test_the_step_against_larq_is_a_whole_one(monkeypatch):
  for name, value in (
    ('BATCH', 4), ('FRAMES', 7), ('CHANNELS', 8), ('BLOCKS', 2), ('RATE', 300.0)
  ):
    monkeypatch.setattr(bench_larq, name, value)
  random = np.random.default_rng(0)
  x = random.standard_normal((4, 7, 8)).astype(np.float32)
  labels = random.integers(0, bench_larq.CLASSES, 4)
  states = []
  step = jax.jit(functools.partial(bench_larq.step_of, 'wrap', 64))
  state = bench_larq.initial(jax.random.key(0))
  for _ in range(2):
    *state, loss = step(x, labels, *state)
    states.append(state)
    assert math.isfinite(loss)
  (_, moving), (second, later) = states
  assert all(np.abs(second[f'latent{i}']).max() == 1 for i in range(2))
  assert np.abs(second['dense']).max() > 1
  assert not any(np.array_equal(moving[name], later[name]) for name in moving)
  _, seen = bench_larq.loss_of(
    bench_larq.initial(jax.random.key(0))[0], x, labels,
    bench_larq.register_of('wrap', 64),
  )
  assert np.allclose(moving['mean0'], 0.01 * seen['mean0'], atol=1e-6)
  assert np.allclose(moving['var1'], 0.99 + 0.01 * seen['var1'], rtol=1e-5)


def test_the_normalization_against_larq_has_the_derivatives():
  def plain(a, gamma, beta):
    centered = a - a.mean((0, 1))
    rstd = (a.var((0, 1)) + bench_larq.EPSILON) ** -0.5
    return centered * rstd * gamma + beta

  random = np.random.default_rng(0)
  a, cotangent = random.integers(-9, 9, (2, 5, 7, 3)).astype(np.float32)
  gamma, beta = random.standard_normal((2, 3)).astype(np.float32)
  expected, derivative = jax.vjp(plain, a, gamma, beta)
  found, mine = jax.vjp(
    lambda *operands: bench_larq.normalize(*operands)[0], a, gamma, beta
  )
  np.testing.assert_allclose(found, expected, atol=1e-5)
  for value, other in zip(mine(cotangent), derivative(cotangent), strict=True):
    np.testing.assert_allclose(value, other, atol=1e-4)
