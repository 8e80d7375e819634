import contextlib
import re

import jax
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.training import checkpoints
from bnn_jax.training import evaluate
from bnn_jax.training import setup
from bnn_jax.training import state as state_lib
from bnn_jax.training import workdir
from configs import kws


def config(string='smoke,data=folder,data_dir=x', **changes):
  made = kws.get_config(string).unlock()
  made.update_from_flattened_dict(changes)
  return made


@pytest.mark.parametrize('changes, splits, checkpoint, name', [
  ({}, (), None, 'results'),
  ({}, ('testing',), None, 'results'),
  ({}, ('validation', 'testing'), None,
   'results-7-wrap-64-dot-validation-testing'),
  ({}, (), 40, 'results-7-wrap-64-dot-step40'),
  ({'accumulator.bits': 6, 'accumulator.overflow_mode': 'saturate',
    'accumulator.simd': 16}, (), None, 'results-6-saturate-16-dot'),
  ({'accumulator.bits': 6}, ('validation',), 3,
   'results-6-wrap-64-dot-validation-step3'),
])
def test_results_path(tmp_path, changes, splits, checkpoint, name):
  workdir.prepare(tmp_path, config().to_dict(), seed=0)
  path = evaluate.results_path(config(**changes), tmp_path, splits, checkpoint)
  assert path == tmp_path / f'{name}.json'


def test_results_path_tells_other_keys_apart(tmp_path):
  workdir.prepare(tmp_path, config().to_dict(), seed=0)
  names = {
    evaluate.results_path(config(**{key: value}), tmp_path).name
    for key, value in (
      ('data.data_dir', 'y'), ('data.data_dir', 'z'), ('seed', 1),
      ('accumulator.layer_bits', (('stem', 9),)),
      ('accumulator.layer_bits', (('stem', 10),)),
    )
  }
  assert len(names) == 5
  for name in names:
    assert re.fullmatch(r'results-7-wrap-64-dot-[0-9a-f]{8}\.json', name)


@pytest.mark.parametrize('key, value', [
  ('distillation.weight', 0.25), ('optimizer.balance_weights', True),
  ('training.gate_share', 0.5), ('augmentation.resample', 0.1),
])
def test_what_only_a_training_reads_may_differ(tmp_path, key, value):
  workdir.prepare(tmp_path, config().to_dict(), seed=0)
  with pytest.raises(errors.UserError, match='there is no checkpoint'):
    evaluate.run(config(**{key: value}), tmp_path)


@pytest.mark.parametrize('key, value', [
  ('model.learn_preload', True),
  ('data.classes', 35), ('front_end.mel_bins', 8), ('model.size', 'L'),
])
def test_another_network_is_refused(tmp_path, key, value):
  workdir.prepare(tmp_path, config().to_dict(), seed=0)
  with pytest.raises(errors.UserError, match=f'{key} .* there, {value!r} now'):
    evaluate.run(config(**{key: value}), tmp_path)


def test_a_checkpoint_is_read_by_the_optimizer_of_its_training(tmp_path):
  """An evaluation names another one, whose state has another shape."""
  tiny_network = {
    'model.shape': '4-4x1', 'front_end.mel_bins': 8, 'front_end.hop_ms': 80.0,
  }
  trained = config(**tiny_network, **{'optimizer.kind': 'sgd'})
  workdir.prepare(tmp_path, trained.to_dict(), seed=0)
  state = state_lib.replicate(state_lib.create(
    setup.model(trained), setup.optimizer(trained, 10), seed=3,
    **setup.input_shape(trained),
  ))
  with contextlib.closing(
    checkpoints.manager(str(tmp_path / workdir.CHECKPOINTS))
  ) as manager:
    checkpoints.save(manager, state, {})
  found = evaluate.restore(config(**tiny_network), tmp_path).state
  for value, other in zip(
    jax.tree.leaves(found.params), jax.tree.leaves(state.params), strict=True
  ):
    assert np.array_equal(value, other)
