"""Whether the front end of an export in C gives the integers of NumPy."""

from collections.abc import Callable
import ctypes
import pathlib

import numpy as np

from bnn_jax.export import c_engine
from bnn_jax.export import print_c as print_network
from bnn_jax.export import specs
from bnn_jax.frontend import fixed_point
from bnn_jax.frontend import print_c
from bnn_jax.jobs import front_end


def compare(
  path: pathlib.Path,
  model: specs.Model,
  samples: np.ndarray,
  tell: Callable[[str], None],
) -> bool:
  """Compares q of some clips.

  Args:
    path: the export.
    model: its network, whose features have a form in integers.
    samples: int16 `[n, S]`.
    tell: gets a line for the user.

  Returns:
    Whether all are equal.

  Raises:
    UserError: the C code is damaged, of another front end, or cannot be
      compiled, or the front end has no form in integers.
  """
  tables = front_end.tables(model)
  expected = fixed_point.compute(samples, tables)
  unequal = compute(path, samples, tables) != expected
  tell(
    f'C front end vs NumPy front end: mismatches: {unequal.sum()} of '
    f'{unequal.size}'
  )
  if unequal.any():
    clip, *place = map(int, np.argwhere(unequal)[0])
    tell(f'  first: clip {clip} of those compared, index {place}')
  return not unequal.any()


def compute(
  path: pathlib.Path, samples: np.ndarray, tables: fixed_point.Tables
) -> np.ndarray:
  """Computes q by the C code of an export, printed anew where it was removed.

  Args:
    path: the export.
    samples: int16 `[n, S]`, at least as long as a frame.
    tables: those of its front end.

  Returns:
    uint8 `[n, T, F]`.

  Raises:
    UserError: the C code is damaged, of another front end, or cannot be
      compiled.
  """
  window, count = len(tables.window), samples.shape[1]
  folder = path / print_network.FOLDER
  sources = c_engine.exported_sources(folder, print_c.sources(tables))
  code = c_engine.Code(
    'frontend.c', 'frontend.h', 'front end', {
      'FRONTEND_WINDOW': window, 'FRONTEND_HOP': tables.hop,
      'FRONTEND_BINS': tables.mel_bins,
    }
  )
  frames = 1 + (count - window) // tables.hop
  q = np.zeros((len(samples), frames, tables.mel_bins), np.uint8)
  with c_engine.library(sources, code, folder) as loaded:
    run = c_engine.function(loaded, 'frontend_clip')
    for clip, row in zip(np.ascontiguousarray(samples), q, strict=True):
      run(
        ctypes.c_void_p(clip.ctypes.data), ctypes.c_long(count),
        ctypes.c_void_p(row.ctypes.data),
      )
  return q
