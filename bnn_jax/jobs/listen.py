"""Listens to a file or a microphone with a workdir's exported network."""

from collections.abc import Callable
from collections.abc import Iterator
import pathlib
import statistics
import time

import ml_collections
import numpy as np

from bnn_jax import errors
from bnn_jax.data import source
from bnn_jax.data import wav
from bnn_jax.export import files
from bnn_jax.jobs import export as export_job
from bnn_jax.jobs import spotter as spotter_lib

# Samples taken at once.
BLOCK = source.SAMPLE_RATE // 10


def run(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  *,
  path: str = '',
  threshold: float,
  tell: Callable[[str], None] = print,
) -> None:
  """Tells words as they are heard, and at the end the time that they took.

  Args:
    config: the configuration that was exported.
    folder: the workdir.
    path: of a wav file of any length; '' is the microphone, without end.
    threshold: the lowest score that counts.
    tell: gets each line for the user.

  Raises:
    UserError: there is no export, no such file or no microphone.
  """
  model = files.read(export_job.existing_path(config, folder))
  spotter = spotter_lib.Spotter(model, threshold=threshold)
  heard, words, spent = 0, 0, []
  for samples in blocks(wav.read(path)) if path else microphone():
    start = time.perf_counter()
    told = spotter.push(samples)
    spent.append(1e3 * (time.perf_counter() - start))
    heard += len(samples)
    words += len(told)
    for found in told:
      tell(f'{found.seconds:9.2f} s  {found.word:<10} {found.score:.2f}')
  tell(
    f'{words} words in {heard / source.SAMPLE_RATE:.2f} s; '
    f'{statistics.median(spent):.1f} ms for 100 ms of sound'
  )


def blocks(samples: np.ndarray) -> Iterator[np.ndarray]:
  """Cuts samples `[n]` into blocks."""
  for start in range(0, len(samples), BLOCK):
    yield samples[start : start + BLOCK]


def microphone() -> Iterator[np.ndarray]:
  """Blocks of int16 samples `[n]` of the default microphone, without end.

  Raises:
    UserError: there is no microphone, or nothing to read it with.
  """
  try:
    # An optional package, which fails to load without its system library.
    import sounddevice
  except (ImportError, OSError) as error:
    raise errors.UserError(
      f'a microphone needs the package sounddevice ({error}); install '
      'bnn_jax[listen], or name a wav file with --input=FILE.'
    ) from error
  try:
    with sounddevice.InputStream(
      source.SAMPLE_RATE, BLOCK, channels=1, dtype='int16'
    ) as device:
      while True:
        samples, _ = device.read(BLOCK)
        yield samples[:, 0]
  except sounddevice.PortAudioError as error:
    raise errors.UserError(
      f'no microphone can be read ({error}); connect one, or name a wav file '
      'with --input=FILE.'
    ) from error
