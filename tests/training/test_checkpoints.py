import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bnn_jax import errors
from bnn_jax.training import checkpoints
from bnn_jax.training import control
from bnn_jax.training import state as state_lib


def state_at(step, value=0.0):
  params = {'a': {'latent': jnp.full((2, 3), value, jnp.float32)}}
  return state_lib.TrainState(
    step=jnp.int32(step), params=params, batch_stats={'mean': jnp.ones(3)},
    inputs={'lo': jnp.zeros(()), 'model': {}},
    deployed={'a': {'shift': jnp.arange(3, dtype=jnp.int32)}},
    control=control.create(['a']),
    opt_state=optax.adam(0.1).init(params),
    rng=jnp.array([7, 2**32 - 1], jnp.uint32),
  )


@pytest.fixture
def manager(tmp_path):
  with checkpoints.manager(str(tmp_path / 'checkpoints')) as made:
    yield made


def damage(manager, step):
  for path in pathlib.Path(manager.directory, str(step)).rglob('*'):
    if path.is_file():
      path.write_text('x')


def test_everything_comes_back(manager):
  saved = state_at(3, value=1 / 3)
  checkpoints.save(manager, saved, {'next': [1, 'a']})
  found = checkpoints.restore(manager, state_at(0))
  assert found.position == {'next': [1, 'a']}
  assert found.notes == ()
  assert jax.tree.all(jax.tree.map(np.array_equal, found.state, saved))
  assert found.state.deployed['a']['shift'].dtype == jnp.int32


def test_variables_of_another_revision(manager):
  saved = state_at(3)
  checkpoints.save(manager, saved.replace(batch_stats={'var': jnp.ones(3)}), {})
  with pytest.raises(errors.UserError, match='git_revision in provenance.json'):
    checkpoints.restore(manager, state_at(0))


def test_nothing_to_restore(manager):
  assert checkpoints.restore(manager, state_at(0)) is None


def test_three_are_kept_and_any_can_be_chosen(manager):
  for step in (1, 2, 3, 4):
    checkpoints.save(manager, state_at(step), {})
  assert sorted(manager.all_steps()) == [2, 3, 4]
  assert int(checkpoints.restore(manager, state_at(0)).state.step) == 4
  assert int(checkpoints.restore(manager, state_at(0), step=2).state.step) == 2
  with pytest.raises(errors.UserError, match=r'step 1 in .* \[2, 3, 4\]'):
    checkpoints.restore(manager, state_at(0), step=1)


def test_falls_back_and_writes_again_what_was_damaged(manager):
  for step in (1, 5):
    checkpoints.save(manager, state_at(step), {})
  damage(manager, 5)
  found = checkpoints.restore(manager, state_at(0))
  assert int(found.state.step) == 1
  assert len(found.notes) == 1
  assert found.notes[0].startswith('The checkpoint of step 5')
  folder = pathlib.Path(manager.directory)
  assert checkpoints.set_aside_after(manager, 1) == [
    f'{folder}/5 is kept as unreadable-5-1.'
  ]
  assert list(manager.all_steps()) == [1]
  # Before the step of the damaged one too, which Orbax would pass over.
  for step in (3, 5):
    checkpoints.save(manager, state_at(step, value=1.0), {})
  found = checkpoints.restore(manager, state_at(0))
  assert int(found.state.step) == 5
  assert float(found.state.params['a']['latent'][0, 0]) == 1.0
  # A second one of the same step does not replace the first.
  assert checkpoints.set_aside_after(manager, 3) == [
    f'{folder}/5 is kept as unreadable-5-2.'
  ]
  assert checkpoints.set_aside_after(manager, 3) == []
  assert sorted(path.name for path in folder.iterdir()) == [
    '1', '3', 'unreadable-5-1', 'unreadable-5-2',
  ]


def test_what_was_set_aside_is_whole(manager):
  for step in (1, 5):
    checkpoints.save(manager, state_at(step, value=step), {})
  checkpoints.set_aside_after(manager, 1)
  folder = pathlib.Path(manager.directory)
  (folder / 'unreadable-5-1').rename(folder / '5')
  with checkpoints.manager(str(folder)) as again:
    found = checkpoints.restore(again, state_at(0))
  assert float(found.state.params['a']['latent'][0, 0]) == 5.0


def test_chosen_step_has_no_substitute(manager):
  for step in (1, 2):
    checkpoints.save(manager, state_at(step), {})
  damage(manager, 2)
  with pytest.raises(errors.UserError, match=r'tried steps \[2\].*left as'):
    checkpoints.restore(manager, state_at(0), step=2)
  assert sorted(manager.all_steps()) == [1, 2]


def test_too_little_space(manager, monkeypatch):
  checkpoints.save(manager, state_at(1), {})
  usage = shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)
  monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
  with pytest.raises(errors.UserError) as caught:
    checkpoints.save(manager, state_at(2), {})
  assert 'the checkpoint of step 2 needs 1.0 MB' in str(caught.value)
  assert 'the checkpoint of step 1 is whole' in str(caught.value)
  assert list(manager.all_steps()) == [1]


def test_write_that_fails(manager, monkeypatch):
  def fail(*args, **kwargs):
    raise OSError(28, 'No space left on device')
  monkeypatch.setattr(manager, 'save', fail)
  with pytest.raises(errors.UserError, match='No space left.*no earlier'):
    checkpoints.save(manager, state_at(2), {})
