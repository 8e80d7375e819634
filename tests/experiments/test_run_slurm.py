import sys
import types

import pytest

from bnn_jax import errors
from experiments import plan
from experiments import run_local
from experiments import run_slurm


class Job:
  """One of submitit's, that ended."""

  job_id = '7_0'

  def __init__(self, run):
    self.run = run

  def exception(self):
    if self.run.setting == 'strong':
      return RuntimeError('Traceback\nout of memory')
    return None

  def result(self):
    return {'seed': self.run.seed}


class Executor:
  """Submitit's, whose jobs end at once, the last one first."""

  parameters: dict[str, object] = {}

  def __init__(self, folder, cluster):
    assert cluster == 'slurm'

  def update_parameters(self, **parameters):
    self.parameters.update(parameters)

  def map_array(self, function, runs):
    assert function is run_local.train
    return [Job(run) for run in runs]


@pytest.fixture
def runs(ablation):
  return plan.runs(
    ablation, results=ablation.parent, options='smoke', seeds=1
  )


def test_jobs_as_they_end(runs, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'submitit', types.SimpleNamespace(
    AutoExecutor=Executor,
    helpers=types.SimpleNamespace(as_completed=lambda jobs: jobs[::-1]),
  ))
  found = list(run_slurm.run(runs, jobs=5, logs=tmp_path))
  assert [run.setting for run, _ in found] == ['wide', 'strong', 'default']
  assert found[0][1] == {'seed': 0}
  assert found[1][1] == {'error': f'out of memory (job 7_0, {tmp_path})'}
  assert Executor.parameters['slurm_array_parallelism'] == 5


def test_without_submitit(runs, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'submitit', None)
  with pytest.raises(errors.UserError, match='submitit is not installed'):
    next(run_slurm.run(runs, jobs=1, logs=tmp_path))


def test_without_slurm(runs, tmp_path, monkeypatch):
  def no_slurm(folder, cluster):
    raise RuntimeError('Could not detect "srun"')

  monkeypatch.setitem(
    sys.modules, 'submitit', types.SimpleNamespace(AutoExecutor=no_slurm)
  )
  with pytest.raises(errors.UserError, match='no SLURM here .*srun'):
    next(run_slurm.run(runs, jobs=1, logs=tmp_path))
