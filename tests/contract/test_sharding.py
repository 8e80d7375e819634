"""Eight devices give the integers of one, each of its own examples."""

import os
import pathlib
import subprocess
import sys

from bnn_jax.nn.kernels import choice
from tests.contract import sharded

ROOT = pathlib.Path(__file__).parents[2]


def test_eight_devices_give_the_same_integers():
  environment = os.environ | {
    'XLA_FLAGS': '--xla_force_host_platform_device_count=8',
    'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(ROOT),
  }
  done = subprocess.run(
    [sys.executable, '-m', 'tests.contract.sharded'], cwd=ROOT,
    env=environment, capture_output=True, text=True, timeout=300,
  )
  assert done.returncode == 0, done.stderr
  lines = [
    f'{layer} {mode} {gradient} {engine} True True'
    for layer in sharded.LAYERS
    for mode, gradient in sharded.REGISTERS
    for engine in ('lax', choice.choose(None))
  ]
  assert done.stdout.splitlines() == lines
