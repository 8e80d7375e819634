"""A tiny data set and the command line on it, for tests of whole runs."""

import contextlib
import fcntl
import os
import pathlib
import signal
import subprocess
import sys

import jax
from jax.experimental.compilation_cache import compilation_cache
import numpy as np
import pytest

from bnn_jax.data import wav

ROOT = pathlib.Path(__file__).parents[1]
# Three commands and an unknown word, each said by eight speakers, of whom the
# seventh validates and the eighth tests.
WORDS = ('yes', 'no', 'up', 'bed')
SPEAKERS = 8
# Short frames and few bins; 30 training clips make 3 steps an epoch.
TINY = (
  '--config.training.batch_size=8',
  '--config.front_end.mel_bins=8',
  '--config.front_end.hop_ms=40.0',
  '--config.model.thermometer_levels=3',
)


class Command:
  """`python -m bnn_jax.main` on the tiny data set.

  Attributes:
    data: the folder of the data set.
    cache: where compiled programs are kept, so that only the first run of a
      network takes long.
  """

  def __init__(self, data: pathlib.Path, cache: pathlib.Path):
    self.data = data
    self.environment = os.environ | {
      'JAX_PLATFORMS': 'cpu',
      'JAX_COMPILATION_CACHE_DIR': str(cache),
      'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
      'PYTHONPATH': str(ROOT),
    }

  def line(self, workdir, *flags, data=None, options='') -> list[str]:
    """The command; `flags` come last and so override."""
    config = f'smoke,data=folder,data_dir={data or self.data}{options}'
    return [
      sys.executable, '-m', 'bnn_jax.main',
      f'--config=configs/kws.py:{config}', f'--workdir={workdir}', *TINY,
      *flags,
    ]

  def __call__(self, workdir, *flags, before=(), **kwargs):
    """Runs to the end; `before` are the words of a wrapping command."""
    return self.run([*before, *self.line(workdir, *flags, **kwargs)])

  def run(self, line: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
      line, cwd=ROOT, env=self.environment, capture_output=True, text=True,
      timeout=300,
    )

  def start(self, workdir, *flags) -> subprocess.Popen[str]:
    return subprocess.Popen(
      self.line(workdir, *flags), cwd=ROOT, env=self.environment,
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
      # What a shell starts in the background ignores interrupts.
      preexec_fn=_heed_interrupts,
    )


def _heed_interrupts() -> None:
  signal.signal(signal.SIGINT, signal.SIG_DFL)


def make_data(folder: pathlib.Path) -> None:
  """Half-second tones in noise, one pitch a word."""
  random = np.random.default_rng(0)
  seconds = np.arange(8000) / 16000
  held_out: dict[int, list[str]] = {SPEAKERS - 2: [], SPEAKERS - 1: []}
  for i, word in enumerate(WORDS):
    (folder / word).mkdir(parents=True)
    for speaker in range(SPEAKERS):
      tone = 3000 * np.sin(2 * np.pi * (300 + 400 * i) * seconds)
      audio = tone + random.normal(0, 300, len(tone))
      name = f'{word}/{speaker:08x}_nohash_0.wav'
      wav.write(folder / name, audio.astype(np.int16))
      held_out.get(speaker, []).append(name)
  for split, names in zip(('validation', 'testing'), held_out.values(),
                          strict=True):
    (folder / f'{split}_list.txt').write_text('\n'.join(names) + '\n')


@contextlib.contextmanager
def locked(folder: pathlib.Path):
  """One process of pytest at a time."""
  with (folder / 'lock').open('w') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    yield


@pytest.fixture(scope='session')
def shared(tmp_path_factory) -> pathlib.Path:
  """A folder that all processes of one session of pytest share."""
  base = tmp_path_factory.getbasetemp()
  if 'PYTEST_XDIST_WORKER' in os.environ:
    base = base.parent
  folder = base / 'shared'
  folder.mkdir(exist_ok=True)
  return folder


@pytest.fixture(scope='session', autouse=True)
def compiled_once(shared) -> None:
  """Whatever took long to compile is compiled once for all processes."""
  jax.config.update('jax_compilation_cache_dir', str(shared / 'compiled'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)
  # Modules that compiled something as they were imported had no cache.
  compilation_cache.reset_cache()


@pytest.fixture(scope='session')
def tiny_data(shared) -> pathlib.Path:
  folder = shared / 'data'
  with locked(shared):
    if not folder.exists():
      make_data(folder)
  return folder


@pytest.fixture(scope='session')
def command(shared, tiny_data) -> Command:
  return Command(tiny_data, shared / 'cache')
