"""Trainings as jobs of SLURM, through submitit."""

from collections.abc import Iterator
from collections.abc import Sequence
import pathlib
from typing import Any

from bnn_jax import errors
from experiments import plan
from experiments import run_local

_MINUTES = 24 * 60


def run(
  runs: Sequence[plan.Run], *, jobs: int, logs: pathlib.Path,
  cluster: str = 'slurm',
) -> Iterator[tuple[plan.Run, dict[str, Any]]]:
  """Submits an array of jobs and waits for them.

  What they ask for is read by sbatch from its variables SBATCH_PARTITION,
  SBATCH_ACCOUNT, SBATCH_TIMELIMIT, SBATCH_GPUS_PER_NODE and so on.

  Args:
    runs: the trainings, a job each.
    jobs: how many may run at a time.
    logs: a folder for submitit's files, that all nodes see.
    cluster: of submitit.

  Yields:
    As `run_local.run`.

  Raises:
    UserError: submitit is not installed, or there is no SLURM here.
  """
  try:
    import submitit
  except ImportError as error:
    raise errors.UserError(
      'submitit is not installed; run pip install -e ".[slurm]", or choose '
      '--runner=local.'
    ) from error
  try:
    executor = submitit.AutoExecutor(folder=logs, cluster=cluster)
  except RuntimeError as error:
    raise errors.UserError(
      f'there is no SLURM here ({error}); start the sweep on a login node, or '
      'choose --runner=local.'
    ) from error
  executor.update_parameters(
    name='sweep', timeout_min=_MINUTES, slurm_array_parallelism=jobs
  )
  submitted = executor.map_array(run_local.train, runs)
  of_job = dict(zip(submitted, runs, strict=True))
  for job in submitit.helpers.as_completed(submitted):
    failure = job.exception()
    if failure is None:
      yield of_job[job], job.result()
    else:
      last = str(failure).strip().splitlines()[-1]
      yield of_job[job], {'error': f'{last} (job {job.job_id}, {logs})'}
