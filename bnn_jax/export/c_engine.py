"""The C sources of an export, compiled here and called from Python."""

from collections.abc import Mapping
import contextlib
import ctypes
import math
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile

import numpy as np

from bnn_jax import errors
from bnn_jax.export import c_memory
from bnn_jax.export import check
from bnn_jax.export import files
from bnn_jax.export import print_c
from bnn_jax.export import specs

_NATIVE = ('x86_64', 'AMD64', 'aarch64', 'arm64')
_LINE = 200


def compiler() -> str | None:
  """The C compiler: that of the variable CC, or cc, gcc or clang."""
  names = (os.environ.get('CC', ''), 'cc', 'gcc', 'clang')
  return next(filter(None, map(shutil.which, filter(None, names))), None)


def missing() -> str | None:
  """Why C is left out, and what to do; None where there is a compiler."""
  if compiler():
    return None
  return (
    'C is left out, since no compiler is found; install gcc or clang, or name '
    'one in the variable CC.'
  )


def logits(folder: pathlib.Path, q: np.ndarray) -> np.ndarray:
  """Integer logits of an export by its C code.

  Args:
    folder: the export.
    q: uint8 `[n, T, F]`.

  Returns:
    int32 `[n, N]`.

  Raises:
    UserError: the export cannot be read, or its C code not be compiled.
  """
  model = files.read(folder)
  with _library(_sources(folder, model)) as library:
    return _run(library, model, q)


def _sources(folder: pathlib.Path, model: specs.Model) -> dict[str, str]:
  """Those that were exported; printed anew where there are none."""
  path = folder / print_c.FOLDER
  names = (print_c.HEADER, print_c.SOURCE)
  if not all((path / name).exists() for name in names):
    return print_c.sources(model)
  return {name: (path / name).read_text() for name in names}


def intermediates(
  folder: pathlib.Path, q: np.ndarray
) -> dict[str, np.ndarray]:
  """What every layer gives by the C code.

  Args:
    folder: the export.
    q: uint8 `[n, T, F]`.

  Returns:
    Arrays by name; bits are -1 and +1.

  Raises:
    UserError: the export cannot be read, or its C code not be compiled.
  """
  model = files.read(folder)
  return layers(model, print_c.sources(model, keep=True), q)


def layers(
  model: specs.Model, sources: Mapping[str, str], q: np.ndarray,
  options: tuple[str, ...] = (),
) -> dict[str, np.ndarray]:
  """What every layer gives by sources that keep their arrays.

  Args:
    model: the network.
    sources: texts of C by file names.
    q: uint8 `[n, T, F]`.
    options: of the compiler.

  Returns:
    Arrays by name; bits are -1 and +1.

  Raises:
    UserError: the sources cannot be compiled.
  """
  values = check.check(model)
  made: dict[str, list[np.ndarray]] = {one.name: [] for one in model.layers}
  with _library(sources, options) as library:
    places = (ctypes.c_void_p * len(model.layers)).in_dll(
      library, 'bnn_arrays'
    )
    sizes = _widths(library)
    for clip in q:
      last = _run(library, model, clip[None])[0]
      for layer, place in zip(model.layers[:-1], places, strict=False):
        value = values[layer.name]
        made[layer.name].append(_array(value, place, sizes))
      made[model.layers[-1].name].append(last)
  return {name: np.stack(rows) for name, rows in made.items()}


def _widths(library: ctypes.CDLL) -> dict[str, int]:
  """Bytes of a result and of an element of a stream."""
  found = (ctypes.c_uint8 * 2).in_dll(library, 'bnn_widths')
  return dict(zip(('result', 'stream'), found, strict=True))


def _array(
  value: check.Value, place: int, sizes: Mapping[str, int]
) -> np.ndarray:
  """A copy of what lies at an address."""
  if value.kind == 'bits':
    positions, channels = c_memory.extent(value)
    raw = _bytes(place, c_memory.size(value)).reshape(positions, -1)
    bits = np.unpackbits(raw, axis=-1, bitorder='little')[:, :channels]
    return (2 * bits.astype(np.int64) - 1).reshape(value.shape)
  size = sizes[value.kind]
  raw = _bytes(place, math.prod(value.shape) * size)
  return raw.view(f'i{size}').astype(np.int64).reshape(value.shape)


def _bytes(place: int, count: int) -> np.ndarray:
  return np.frombuffer(ctypes.string_at(place, count), np.uint8)


def _run(
  library: ctypes.CDLL, model: specs.Model, q: np.ndarray
) -> np.ndarray:
  shape = (model.input.frames, model.input.bins)
  if q.dtype != np.uint8 or q.shape[1:] != shape:
    raise errors.UserError(
      f'clips of {q.dtype} {q.shape} are not uint8 with {shape[0]} frames of '
      f'{shape[1]} bins; quantize them for this network.'
    )
  result = np.zeros((len(q), len(model.class_names)), np.int32)
  for clip, row in zip(np.ascontiguousarray(q), result, strict=True):
    library.bnn_run(
      ctypes.c_void_p(clip.ctypes.data), ctypes.c_void_p(row.ctypes.data)
    )
  return result


@contextlib.contextmanager
def _library(sources: Mapping[str, str], options: tuple[str, ...] = ()):
  """The compiled sources, loaded."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    for file, text in sources.items():
      (folder / file).write_text(text)
    path = folder / 'bnn_model.so'
    _compile(folder / print_c.SOURCE, path, options or _options())
    yield ctypes.CDLL(str(path))


def _options() -> tuple[str, ...]:
  """Those of the fastest code for this machine."""
  native = ('-march=native',) if platform.machine() in _NATIVE else ()
  return ('-O3', *native)


def _compile(
  source: pathlib.Path, output: pathlib.Path, options: tuple[str, ...]
) -> None:
  program = compiler()
  if program is None:
    raise errors.UserError(
      'no C compiler is found; install gcc or clang, or name one in the '
      'variable CC.'
    )
  line = [program, '-std=c99', *options, '-shared', '-fPIC', str(source),
          '-o', str(output)]
  done = subprocess.run(line, capture_output=True, text=True)
  if done.returncode:
    raise errors.UserError(
      f'{program} does not compile the C code '
      f'({done.stderr.strip()[:_LINE]!r}); name another compiler in the '
      'variable CC.'
    )
