"""Programs compiled, timed and reported on a GPU, whatever fails."""

from concurrent import futures
import json
import os
import pathlib
import statistics
import time
from typing import Any

import jax

from bnn_jax.nn.kernels import choice
from experiments import bench_machine

# Columns whose whole numbers mean nothing without their names.
_NAMED = 'batch', 'comparisons', 'right', 'wrong', 'skipped'


class Timing:
  """How programs are timed."""

  def __init__(self, calls: int, rounds: int):
    """Times `rounds` times `calls` runs of each program in a row."""
    self._calls, self._rounds = calls, rounds

  def seconds(
    self, programs: dict[Any, Any], repeats: int = 1
  ) -> dict[Any, Any]:
    """Medians by key, or what went wrong.

    Args:
      programs: (program, operands) by key, timed in turn.
      repeats: how often a program does what is timed.

    Returns:
      Seconds, or the first line of an error.
    """
    found: dict[Any, list[float]] = {key: [] for key in programs}
    failed = {}
    for _ in range(self._rounds + 1):
      for key, (program, operands) in programs.items():
        if key in failed:
          continue
        value, error = attempt(lambda p=program, o=operands: self._run(p, o))
        if error:
          failed[key] = error
        else:
          found[key].append(value)
    return {
      key: failed.get(key) or statistics.median(times[1:]) / repeats
      for key, times in found.items()
    }

  def _run(self, program, operands) -> float:
    begin = time.perf_counter()
    for _ in range(self._calls):
      result = program(*operands)
    jax.block_until_ready(result)
    return (time.perf_counter() - begin) / self._calls


class Report:
  """Rows that are printed and written as they are found."""

  def __init__(self, path: pathlib.Path | None, deadline: float):
    """Writes to `path`, if any; late after `deadline` on `perf_counter`."""
    self._path, self._deadline = path, deadline
    self._rows: list[dict[str, Any]] = []

  def is_late(self) -> bool:
    """True where nothing new is to be begun."""
    return time.perf_counter() > self._deadline

  def add(self, **row: Any) -> None:
    """Takes one row."""
    self._rows.append(row)
    values = [
      f'{name} {value:.4g}' if isinstance(value, float) else
      f'{name} {value}' if name in _NAMED else str(value)
      for name, value in row.items()
    ]
    print('  '.join(values), flush=True)
    if self._path:
      temporary = self._path.with_suffix('.part')
      results = {'machine': machine(), 'rows': self._rows}
      temporary.write_text(json.dumps(results, indent=1) + '\n')
      temporary.rename(self._path)


def attempt(run) -> tuple[Any, str]:
  """What `run` gives, or None and the first line of its error."""
  with futures.ThreadPoolExecutor(1) as pool:
    future = pool.submit(run)
  return _outcome(future)


def _outcome(future) -> tuple[Any, str]:
  error = future.exception()
  if error is None:
    return future.result(), ''
  lines = f'{type(error).__name__}: {error}'.splitlines()
  return None, lines[0][:300]


def compiled(programs: dict[Any, Any]) -> dict[Any, tuple[Any, str]]:
  """Programs lowered and compiled in threads; see `attempt`.

  Args:
    programs: functions without arguments, by key.

  Returns:
    ((program, seconds), '') or (None, error) by key.
  """
  def timed(run):
    begin = time.perf_counter()
    program = run()
    return program, time.perf_counter() - begin

  with futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
    started = {
      key: pool.submit(timed, run) for key, run in programs.items()
    }
  return {key: _outcome(future) for key, future in started.items()}


def machine() -> dict[str, Any]:
  """What the numbers depend on."""
  device = jax.devices()[0]
  return {
    'device': device.device_kind, 'backend': jax.default_backend(),
    'jax': jax.__version__, 'system': bench_machine.system(),
    'engine': choice.describe(),
  }
