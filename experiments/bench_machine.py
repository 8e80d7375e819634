"""What timings depend on, and the file that they are kept in."""

import json
import os
import pathlib
import platform
from typing import Any

import jax

from bnn_jax.nn.kernels import choice


def machine() -> dict[str, Any]:
  """The processor and what runs on it, by name."""
  cpu = pathlib.Path('/proc/cpuinfo')
  lines = cpu.read_text().splitlines() if cpu.exists() else []
  models = [line for line in lines if line.startswith('model name')]
  return {
    'processor': models[0].split(':')[1].strip() if models else '',
    'cores': len(os.sched_getaffinity(0)), 'system': system(),
    'jax': jax.__version__, 'backend': jax.default_backend(),
    'engine': choice.describe(), 'load': os.getloadavg()[0],
  }


def system() -> str:
  """Operating system and architecture, such as 'Linux x86_64'."""
  return f'{platform.system()} {platform.machine()}'


def write(path: pathlib.Path, results: dict[str, Any]) -> None:
  """Writes results as JSON, all of them or nothing."""
  temporary = path.with_suffix('.part')
  temporary.write_text(json.dumps(results, indent=1) + '\n')
  temporary.rename(path)


def program_bytes(program) -> int:
  """XLA's arguments, results and temporary buffers of a compiled program.

  What the compiled kernel takes for itself, packed weights and one image a
  thread, is not in it.
  """
  sizes = program.memory_analysis()
  return (sizes.argument_size_in_bytes + sizes.output_size_in_bytes
          + sizes.temp_size_in_bytes)
