import json

import jax.numpy as jnp
import pytest

from bnn_jax.training import curriculum


def run(rates, steps, start=8.0, end=10.0):
  """Narrowness after some steps of layers with these constant rates."""
  made = curriculum.Curriculum(start, end, bound=0.01)
  state = {path: jnp.zeros(()) for path in rates}
  measured = {path: jnp.asarray(rate) for path, rate in rates.items()}
  for step in range(steps):
    state = made.narrowed(state, measured, jnp.asarray(step))
  factors = made.factors(state)
  return (
    {path: float(value) for path, value in state.items()},
    {path: float(value) for path, value in factors.items()},
  )


def test_a_layer_is_held_while_it_overflows():
  state, factors = run({'calm': 0.0, 'wild': 0.5}, 2)
  assert state == pytest.approx({'calm': 0.4, 'wild': 0.0})
  assert factors == pytest.approx({'calm': 8**0.6, 'wild': 8})


def test_a_layer_that_is_held_waits_until_half_of_the_steps():
  assert run({'calm': 0.0, 'wild': 0.5}, 5)[0] \
    == pytest.approx({'calm': 1.0, 'wild': 0.0})
  assert run({'wild': 0.5}, 7)[0] == pytest.approx({'wild': 0.4})


def test_all_are_narrow_at_the_end():
  assert run({'calm': 0.0, 'wild': 0.5}, 9)[1]['wild'] > 1
  state, factors = run({'calm': 0.0, 'wild': 0.5}, 10)
  assert state == {'calm': 1.0, 'wild': 1.0}
  assert factors == {'calm': 1.0, 'wild': 1.0}
  assert run({'calm': 0.0, 'wild': 0.5}, 12)[1] == factors


def test_a_range_never_grows_again():
  made = curriculum.Curriculum(8.0, 10.0, 0.01)
  state = {'a': jnp.asarray(0.9)}
  moved = made.narrowed(state, {'a': jnp.asarray(0.5)}, jnp.asarray(0))
  assert float(moved['a']) == pytest.approx(0.9)


def test_a_training_ends_with_the_registers(command, tmp_path):
  done = command(
    tmp_path / 'run', '--config.training.epochs=4',
    '--config.training.log_steps=1', '--config.training.range_start=4.0',
    '--config.training.range_share=0.9',
  )
  assert done.returncode == 0, done.stderr
  lines = (tmp_path / 'run' / 'metrics.jsonl').read_text().splitlines()
  steps = [line for line in map(json.loads, lines) if line['kind'] == 'train']
  ranges = [line['range']['stem'] for line in steps]
  assert ranges[0] == 4.0 and ranges[-1] == 1.0
  assert ranges == sorted(ranges, reverse=True)


def test_no_curriculum():
  assert curriculum.make(1.0, 0.5, 0.01, 100) is None
  made = curriculum.make(4.0, 0.5, 0.01, 100)
  assert made == curriculum.Curriculum(4.0, 50.0, 0.01)
