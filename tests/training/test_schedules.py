import pytest

from bnn_jax import errors
from bnn_jax.training import schedules


def test_learning_rate():
  rate = schedules.learning_rate(100, 2.0, 0.1)
  assert float(rate(0)) == 0.0
  assert float(rate(5)) == 1.0
  assert float(rate(10)) == 2.0
  # The middle of the cosine.
  assert float(rate(55)) == pytest.approx(1.0, abs=1e-6)
  assert float(rate(100)) == 0.0
  values = [float(rate(step)) for step in range(10, 101)]
  assert all(a > b for a, b in zip(values, values[1:], strict=False))


def test_without_warm_up_the_second_step_has_the_peak():
  rate = schedules.learning_rate(10, 2.0, 0.0)
  assert [float(rate(0)), float(rate(1))] == [0.0, 2.0]


@pytest.mark.parametrize('steps, share, rates', [
  (1, 0.05, [2.0]), (1, 0.99, [2.0]), (2, 0.99, [0.0, 2.0]),
  (3, 0.99, [0.0, 1.0, 2.0]),
])
def test_short_trainings_have_a_warm_up_before_their_end(steps, share, rates):
  rate = schedules.learning_rate(steps, 2.0, share)
  assert [float(rate(step)) for step in range(steps)] == rates


@pytest.mark.parametrize('step, weight', [
  (0, 0.0), (10, 2.0), (20, 4.0), (50, 4.0), (60, 4.0), (80, 3.0), (100, 2.0),
  (120, 2.0),
])
def test_penalty_weight(step, weight):
  schedule = schedules.penalty_weight(100, 4.0, 0.2, 0.4, 0.5)
  assert float(schedule(step)) == weight


def test_penalty_weight_without_slopes():
  schedule = schedules.penalty_weight(10, 3.0, 0.0, 0.0, 1.0)
  assert [float(schedule(step)) for step in (0, 5, 9)] == [3.0, 3.0, 3.0]


@pytest.mark.parametrize('share', [-0.1, 1.0, float('nan')])
def test_shares_are_checked(share):
  with pytest.raises(errors.UserError, match='optimizer.warmup_share'):
    schedules.learning_rate(10, 1.0, share)
  with pytest.raises(errors.UserError, match='penalty.rise_share'):
    schedules.penalty_weight(10, 1.0, share, 0.0, 1.0)
  with pytest.raises(errors.UserError, match='penalty.fall_share'):
    schedules.penalty_weight(10, 1.0, 0.0, share, 1.0)


def test_shares_fit_together():
  with pytest.raises(errors.UserError, match='more than 1 together'):
    schedules.penalty_weight(10, 1.0, 0.6, 0.6, 1.0)


@pytest.mark.parametrize('step, rate', [
  (0, 2.0), (32, 2.0), (33, 0.4), (66, 0.4), (67, 0.08), (99, 0.08),
])
def test_drops(step, rate):
  schedule = schedules.learning_rate(
    100, 2.0, 0.0, kind='step', drops=((0.333, 0.2), (0.667, 0.04))
  )
  assert float(schedule(step)) == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize('step, rate', [
  (0, 0.0), (5, 1.0), (10, 2.0), (50, 2.0), (75, 0.5 + 1.5 / 4), (100, 0.5),
])
def test_held_and_then_a_parabola(step, rate):
  schedule = schedules.learning_rate(
    100, 2.0, 0.1, kind='hold', hold_share=0.4, final_share=0.25
  )
  assert float(schedule(step)) == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize('step, rate', [(0, 3.0), (50, 0.3), (100, 0.03)])
def test_exponential(step, rate):
  schedule = schedules.learning_rate(
    100, 3.0, 0.0, kind='exponential', final_share=0.01
  )
  assert float(schedule(step)) == pytest.approx(rate, rel=1e-6)


def test_a_warm_up_goes_before_drops():
  schedule = schedules.learning_rate(
    10, 1.0, 0.5, kind='step', drops=((0.8, 0.5),)
  )
  assert [float(schedule(step)) for step in (0, 2, 5, 7, 8)] \
    == pytest.approx([0.0, 0.4, 1.0, 1.0, 0.5])


@pytest.mark.parametrize('message, fields', [
  ("schedule='linear' does not exist", {'kind': 'linear'}),
  ('drops=', {'kind': 'step'}),
  ('drops=', {'kind': 'step', 'drops': ((0.5, 0.1), (0.5, 0.01))}),
  ('drops=', {'kind': 'step', 'drops': ((1.0, 0.1),)}),
  ('drops=', {'kind': 'step', 'drops': ((0.5, 0.0),)}),
  ('final_share=0.0', {'kind': 'exponential'}),
  ('together=1.0', {'kind': 'hold', 'hold_share': 0.9}),
  ('hold_share=-0.1', {'kind': 'hold', 'hold_share': -0.1}),
  ('final_share=1.0', {'kind': 'hold', 'final_share': 1.0}),
])
def test_shapes_are_checked(message, fields):
  with pytest.raises(errors.UserError, match=message):
    schedules.learning_rate(10, 1.0, 0.1, **fields)
