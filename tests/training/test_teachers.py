"""A teacher by the command line, and what stops one."""

import json

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.training import evaluate
from bnn_jax.training import setup
from bnn_jax.training import teachers
from bnn_jax.training import workdir

FLAGS = ('--config.training.epochs=1',)


@pytest.fixture(scope='module')
def taught(command, tmp_path_factory):
  """A float teacher, its student, and the student's run."""
  folder = tmp_path_factory.mktemp('teachers')
  run = command(folder / 'teacher', *FLAGS, options=',variant=float')
  assert run.returncode == 0, run.stderr
  run = command(
    folder / 'student', *FLAGS,
    options=f',variant=binary,teacher={folder / "teacher"}',
  )
  return folder, run


def config_of(folder):
  return ml_collections.ConfigDict(workdir.read_config(folder))


def inputs():
  return {'lo': np.float32(0), 'exponent': np.int32(0)}


def test_a_student_learns_from_it(taught):
  folder, run = taught
  assert run.returncode == 0, run.stderr
  lines = (folder / 'student' / 'metrics.jsonl').read_text().splitlines()
  last = [json.loads(line) for line in lines if '"train"' in line][-1]
  # There is no penalty; without a teacher the two are one number.
  assert last['penalty'] == 0
  assert last['loss'] != pytest.approx(last['cross_entropy'], rel=1e-3)


@pytest.mark.parametrize('which', ['teacher', 'student'])
def test_answers_are_the_logits_of_training(taught, which):
  """Real or binary, in a scale of which a softmax can be taken."""
  folder = taught[0] / which
  config = config_of(folder)
  state = evaluate.restore(config, folder).state
  config.distillation.teacher = str(folder)
  answer = teachers.load(config, state.inputs)
  shape = 8, *setup.input_shape(config).values()
  q = jax.random.randint(jax.random.key(0), shape, 0, 256, jnp.uint8)
  found = np.asarray(answer(q))
  deployed = setup.model(config).apply(
    jax.device_get(state.variables()), q, train=False
  )
  if which == 'teacher':
    np.testing.assert_allclose(found, deployed, rtol=1e-5)
  else:
    # Integers, of which the training knows a small multiple.
    ratios = found / np.asarray(deployed)
    np.testing.assert_allclose(ratios, ratios[0, 0], rtol=1e-4)
    assert 0 < ratios[0, 0] < 0.1


def test_none_is_none(taught):
  config = config_of(taught[0] / 'teacher')
  assert teachers.load(config, inputs()) is None


def test_another_data_set_is_refused(taught):
  config = config_of(taught[0] / 'student')
  with pytest.raises(errors.UserError, match='another data set'):
    teachers.load(config, inputs())


def test_another_front_end_is_refused(taught):
  config = config_of(taught[0] / 'student')
  config.front_end.lower_hz = 50.0
  with pytest.raises(errors.UserError, match='another front_end'):
    teachers.load(config, inputs())


def test_who_has_learned_dev_teaches_nobody_who_is_judged_by_it(taught):
  config = config_of(taught[0] / 'student')
  config.data.training_split = 'fit'
  with pytest.raises(errors.UserError, match='learned the clips of dev'):
    teachers.check(config)


def test_a_missing_teacher_is_refused(taught):
  config = config_of(taught[0] / 'student')
  config.distillation.teacher = str(taught[0] / 'nobody')
  with pytest.raises(errors.UserError, match='nobody'):
    teachers.load(config, inputs())
