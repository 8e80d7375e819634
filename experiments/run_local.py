"""Trainings as processes of bnn_jax.main, some at a time."""

from collections.abc import Iterator
from collections.abc import Sequence
import concurrent.futures
import json
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

from bnn_jax.training import evaluate
from bnn_jax.training import workdir as workdir_lib
from experiments import outcome as outcome_lib
from experiments import plan

_ROOT = pathlib.Path(__file__).resolve().parents[1]


def run(
  runs: Sequence[plan.Run], *, jobs: int
) -> Iterator[tuple[plan.Run, dict[str, Any]]]:
  """Trains and judges; a workdir that was begun is gone on with.

  Args:
    runs: the trainings.
    jobs: processes at a time.

  Yields:
    Each training as it ends, with its record; `error` in it says why there is
    no other.
  """
  with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
    started = {pool.submit(train, one): one for one in runs}
    try:
      for future in concurrent.futures.as_completed(started):
        yield started[future], future.result()
    finally:
      pool.shutdown(cancel_futures=True)


def train(one: plan.Run) -> dict[str, Any]:
  """Runs the command of a training to its end.

  Args:
    one: the training; what its command prints is in `log.txt` of its workdir.

  Returns:
    Its record.
  """
  workdir = one.workdir.resolve()
  workdir.mkdir(parents=True, exist_ok=True)
  begun = time.monotonic()
  with (workdir / 'log.txt').open('w') as log:
    done = subprocess.run(
      [sys.executable, *one.command[1:], f'--workdir={workdir}'],
      cwd=_ROOT, stdout=log, stderr=subprocess.STDOUT, check=False,
    )
  seconds = time.monotonic() - begun
  if done.returncode:
    lines = (workdir / 'log.txt').read_text().split('\n')
    last = next(filter(None, map(str.strip, reversed(lines))), 'no output')
    return {'error': f'{last} (exit status {done.returncode}, {workdir})'}
  return _outcome(one, workdir, seconds)


def _outcome(one, workdir, seconds) -> dict[str, Any]:
  splits = one.splits if one.splits == plan.JUDGED_BY else ()
  results = workdir_lib.read_json(
    evaluate.results_path(one.config, workdir, splits)
  )
  provenance = workdir_lib.read_json(workdir / workdir_lib.PROVENANCE)
  return outcome_lib.outcome(
    one.config, results['splits'], wall_seconds=seconds, members=1,
    clips_per_second=_speed(workdir), engine=provenance['engine'],
    device=provenance['devices'][0], jax=provenance['versions']['jax'],
    environment=provenance['environment'],
    revision=provenance['git_revision'],
  )


def _speed(workdir: pathlib.Path) -> float:
  """Median of the training; the first line of several has the compiling."""
  lines = (workdir / workdir_lib.METRICS).read_text().splitlines()
  speeds = [
    line['clips_per_second'] for line in map(json.loads, lines)
    if line['kind'] == 'train'
  ]
  return statistics.median(speeds[1:] or speeds)
