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
from typing import Any
from typing import NamedTuple

import numpy as np

from bnn_jax import errors
from bnn_jax.export import c_memory
from bnn_jax.export import check
from bnn_jax.export import files
from bnn_jax.export import print_c
from bnn_jax.export import specs

_NATIVE = ('x86_64', 'AMD64', 'aarch64', 'arm64')
_LINE = 200
_MISSING = (
  'no C compiler is found; install gcc or clang, or name one in the variable '
  'CC.'
)
# Compiled beside the sources: whether they are for the arrays handed to them.
_CHECK = 'sizes.c'
_CHECK_TEXT = '''#include "{header}"

typedef char sizes_fit[{equal} ? 1 : -1];
'''


class Code(NamedTuple):
  """Sources of an export that are compiled together.

  Attributes:
    source: the name of the one that is compiled.
    header: the name of the one that states the sizes.
    kind: what they compute, for an error.
    sizes: what the names of sizes must stand for.
  """

  source: str
  header: str
  kind: str
  sizes: Mapping[str, int]


def compiler() -> str | None:
  """The C compiler: that of the variable CC; if it is unset, the first found.

  Returns:
    Its path; None where neither cc, gcc nor clang is found.

  Raises:
    UserError: CC names no program.
  """
  named = os.environ.get('CC', '')
  if not named:
    return next(filter(None, map(shutil.which, ('cc', 'gcc', 'clang'))), None)
  found = shutil.which(named)
  if found is None:
    raise errors.UserError(
      f'CC={named!r} is no program that is found; name a C compiler in it, '
      'without options, or unset it.'
    )
  return found


def missing() -> str | None:
  """Why C cannot be run, and what to do; None where there is a compiler.

  Raises:
    UserError: see `compiler`.
  """
  return None if compiler() else _MISSING


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
  path = folder / print_c.FOLDER
  sources = exported_sources(path, print_c.sources(model))
  with library(sources, _network(model), path) as loaded:
    return _run(loaded, model, q)


def _network(model: specs.Model) -> Code:
  return Code(
    print_c.SOURCE, print_c.HEADER, 'network', {
      'BNN_FRAMES': model.input.frames, 'BNN_BINS': model.input.bins,
      'BNN_CLASSES': len(model.class_names),
    }
  )


def note(folder: pathlib.Path) -> str | None:
  """What to tell of an export whose C sources were removed; else None.

  Args:
    folder: the export.
  """
  path = folder / print_c.FOLDER
  return None if path.exists() else f'C: printed anew, {path}/ is not there'


def exported_sources(
  folder: pathlib.Path, printed: Mapping[str, str]
) -> dict[str, str]:
  """Reads texts of C that were exported.

  Args:
    folder: where they are; where it is not there, they are `printed`.
    printed: what they are by their names.

  Raises:
    UserError: one is missing, cannot be read, or ends too soon.
  """
  if not folder.exists():
    return dict(printed)
  return {
    name: _read_text(folder / name, text.splitlines()[-2:])
    for name, text in printed.items()
  }


def _read_text(path: pathlib.Path, end: list[str]) -> str:
  try:
    text = path.read_text('utf-8')
  except FileNotFoundError as error:
    raise errors.UserError(
      f'{path} is missing; export the network again, or remove {path.parent} '
      'to have it printed anew.'
    ) from error
  except (OSError, UnicodeDecodeError) as error:
    raise errors.UserError(
      f'{path} cannot be read ({str(error)[:_LINE]}); export the network again.'
    ) from error
  if text.splitlines()[-2:] != end:
    raise errors.UserError(f'{path} is truncated; export the network again.')
  return text


def intermediates(folder: pathlib.Path, q: np.ndarray) -> dict[str, np.ndarray]:
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
  with library(sources, _network(model), options=options) as loaded:
    places = (ctypes.c_void_p * len(model.layers)).in_dll(loaded, 'bnn_arrays')
    sizes = _widths(loaded)
    for clip in q:
      last = _run(loaded, model, clip[None])[0]
      for layer, place in zip(model.layers[:-1], places, strict=False):
        value = values[layer.name]
        content = ctypes.string_at(place, bytes_of(value, sizes))
        made[layer.name].append(array_of(value, content, sizes))
      made[model.layers[-1].name].append(last)
  return {name: np.stack(rows) for name, rows in made.items()}


def _widths(loaded: ctypes.CDLL) -> dict[str, int]:
  """Bytes of a result and of an element of a stream."""
  found = (ctypes.c_uint8 * 2).in_dll(loaded, 'bnn_widths')
  return dict(zip(('result', 'stream'), found, strict=True))


def bytes_of(value: check.Value, sizes: Mapping[str, int]) -> int:
  """Bytes of an array; `sizes` of a result and of an element of a stream."""
  if value.kind == 'bits':
    return c_memory.size(value)
  return math.prod(value.shape) * sizes[value.kind]


def array_of(
  value: check.Value, content: bytes, sizes: Mapping[str, int]
) -> np.ndarray:
  """An array of the C code.

  Args:
    value: what is known of it.
    content: its bytes, of a processor of this one's order.
    sizes: bytes of a result and of an element of a stream.

  Returns:
    int64 of the array's shape; bits are -1 and +1.
  """
  raw = np.frombuffer(content, np.uint8)
  if value.kind == 'bits':
    positions, channels = c_memory.extent(value)
    bits = np.unpackbits(
      raw.reshape(positions, -1), axis=-1, bitorder='little'
    )[:, :channels]
    return (2 * bits.astype(np.int64) - 1).reshape(value.shape)
  kind = f'i{sizes[value.kind]}'
  return raw.view(kind).astype(np.int64).reshape(value.shape)


def _run(loaded: ctypes.CDLL, model: specs.Model, q: np.ndarray) -> np.ndarray:
  shape = (model.input.frames, model.input.bins)
  if q.dtype != np.uint8 or q.shape[1:] != shape:
    raise errors.UserError(
      f'clips of {q.dtype} {q.shape} are not uint8 with {shape[0]} frames of '
      f'{shape[1]} bins; quantize them for this network.'
    )
  result = np.zeros((len(q), len(model.class_names)), np.int32)
  run = function(loaded, 'bnn_run')
  for clip, row in zip(np.ascontiguousarray(q), result, strict=True):
    run(ctypes.c_void_p(clip.ctypes.data), ctypes.c_void_p(row.ctypes.data))
  return result


def function(loaded: ctypes.CDLL, name: str) -> Any:
  """A function of a library.

  Raises:
    UserError: it has none of this name.
  """
  if not hasattr(loaded, name):
    raise errors.UserError(
      f'the C code has no function {name}; export the network again.'
    )
  return getattr(loaded, name)


@contextlib.contextmanager
def library(
  sources: Mapping[str, str], code: Code,
  origin: pathlib.Path = pathlib.Path(), options: tuple[str, ...] = (),
):
  """The compiled sources, loaded.

  Args:
    sources: texts of C by file names.
    code: which of them is compiled, and its sizes.
    origin: the folder that an error names.
    options: of the compiler; by default those of the fastest code.

  Raises:
    UserError: they cannot be compiled or loaded, or have other sizes.
  """
  equal = ' && '.join(f'{name} == {n}' for name, n in code.sizes.items())
  check_text = _CHECK_TEXT.format(header=code.header, equal=equal)
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    for file, text in {**sources, _CHECK: check_text}.items():
      (folder / file).write_text(text, 'utf-8')
    path = folder / 'library.so'
    _compile(code, path, origin, options or _options())
    yield _load(path, origin / code.source)


def _options() -> tuple[str, ...]:
  """Those of the fastest code for this machine."""
  native = ('-march=native',) if platform.machine() in _NATIVE else ()
  return ('-O3', *native)


def _compile(
  code: Code, output: pathlib.Path, origin: pathlib.Path,
  options: tuple[str, ...],
) -> None:
  program = compiler()
  if program is None:
    raise errors.UserError(_MISSING)
  # The source comes first, as the beginning of the message is told.
  line = [program, '-std=c99', *options, '-shared', '-fPIC', code.source,
          _CHECK, '-o', output.name]
  try:
    done = subprocess.run(
      line, cwd=output.parent, capture_output=True, text=True, errors='replace'
    )
  except OSError as error:
    raise errors.UserError(
      f'{program} cannot be run ({error.strerror}); name a C compiler in the '
      'variable CC.'
    ) from error
  if not done.returncode:
    return
  if 'sizes_fit' in done.stderr:
    raise errors.UserError(
      f'{origin / code.header} is of another {code.kind}; export the network '
      'again.'
    )
  raise errors.UserError(
    f'{origin / code.source} does not compile with {program} '
    f'({done.stderr.strip()[:_LINE]!r}); export the network again, or name '
    'another compiler in the variable CC.'
  )


def _load(path: pathlib.Path, source: pathlib.Path) -> ctypes.CDLL:
  try:
    return ctypes.CDLL(str(path))
  except OSError as error:
    raise errors.UserError(
      f'what {compiler()} makes of {source} cannot be loaded '
      f'({str(error)[:_LINE]}); name a compiler for this machine in the '
      'variable CC, or a folder whose programs may run in the variable TMPDIR.'
    ) from error
