import math

import jax.numpy as jnp
import pytest

from bnn_jax.training import control


def _run(rate, steps, gain=0.1, bound=0.01):
  state = control.create(['stem', 'block'])
  for step in range(steps):
    rates = {'stem': jnp.asarray(rate), 'block': jnp.asarray(0.0)}
    state = control.update(
      state, rates, step=jnp.asarray(step), bound=bound, gain=gain
    )
  return state


def test_it_starts_with_equal_shares_and_no_overflow():
  state = control.create(['stem'])
  assert float(state.shares['stem']) == 1
  assert float(state.rates['stem']) == 0


def test_one_step_by_hand():
  state = _run(0.02, 1)
  # The mean begins with the first rate, which is twice the bound.
  assert float(state.rates['stem']) == pytest.approx(0.02)
  assert float(state.shares['stem']) == pytest.approx(
    math.exp(0.1 * math.log(2)), rel=1e-6
  )
  assert float(state.shares['block']) == pytest.approx(math.exp(-0.1))


def test_the_mean_follows():
  state = control.update(
    _run(0.4, 1), {'stem': jnp.asarray(0.0), 'block': jnp.asarray(0.2)},
    step=jnp.asarray(1), bound=0.01, gain=0.0,
  )
  assert float(state.rates['stem']) == pytest.approx(0.95 * 0.4)
  assert float(state.rates['block']) == pytest.approx(0.05 * 0.2)


def test_shares_rise_above_the_bound_and_fall_below():
  state = _run(0.5, 40)
  assert float(state.shares['stem']) > 2
  assert float(state.shares['block']) < 0.5


def test_shares_keep_to_their_limits():
  state = _run(0.5, 200)
  assert float(state.shares['stem']) == control.LIMIT
  assert float(state.shares['block']) == 1 / control.LIMIT


def test_without_gain_shares_stay():
  state = _run(0.5, 20, gain=0.0)
  assert {float(share) for share in state.shares.values()} == {1.0}
  assert float(state.rates['stem']) > 0.3
