"""Our networks in C, compiled for each set of instructions and called here."""

import ctypes
import json
import pathlib
import re
import subprocess
from typing import NamedTuple

import numpy as np

from bnn_jax import errors
from bnn_jax.export import c_engine

# What each target is called, its options and what /proc/cpuinfo calls them.
TARGETS = {
  'C': ((), ()),
  'C POPCNT': (('-mpopcnt',), ('popcnt',)),
  'C AVX2': (('-mavx2', '-mpopcnt'), ('avx2', 'popcnt')),
  'C AVX-512': (
    ('-march=native',), ('avx512bw', 'avx512_bitalg', 'avx512_vpopcntdq'),
  ),
}
SOURCE = pathlib.Path(__file__).with_name('bench_inference.c')
ROOFLINE_ROUNDS = 20000


class Network(NamedTuple):
  """A compiled network.

  Attributes:
    library: with the functions of bench_inference.c.
    macs: binary multiply-accumulates of its convolutions.
    model_bytes: its code and constants, without those of the front end.
    memory_bytes: its static arrays.
    classes: N.
    shape: T and F of q.
  """

  library: ctypes.CDLL
  macs: int
  model_bytes: int
  memory_bytes: int
  classes: int
  shape: tuple[int, int]


def targets() -> list[str]:
  """Those of this processor."""
  info = pathlib.Path('/proc/cpuinfo')
  words = set(info.read_text().split()) if info.exists() else set()
  return [name for name, (_, needs) in TARGETS.items() if words >= set(needs)]


def compile_network(
  export: pathlib.Path, target: str, folder: pathlib.Path
) -> Network:
  """Compiles an export with its sources.

  Args:
    export: with model.json and the folder c.
    target: a name in `TARGETS`.
    folder: where to write.

  Raises:
    UserError: there is no compiler, or it refuses.
  """
  sources = export / 'c'
  text = (sources / 'bnn_model.c').read_text()
  calls = re.findall(r'^  (run_conv_\w+\(\);)$', text, re.MULTILINE)
  name = f'{export.name}-{target}'.replace(' ', '-')
  parts = []
  for source, macros in (
    (SOURCE, (f'-DBENCH_CONVOLUTIONS={" ".join(calls)}',)),
    (sources / 'frontend.c', ()),
  ):
    parts.append(folder / f'{name}-{source.stem}.o')
    _compile('-c', str(source), *macros, *_options(target), '-fPIC',
             f'-I{sources}', '-o', str(parts[-1]))
  path = folder / f'{name}.so'
  _compile('-shared', *map(str, parts), '-o', str(path))
  header = (sources / 'bnn_model.h').read_text()
  stated = json.loads((export / 'model.json').read_text())
  return Network(
    ctypes.CDLL(str(path)), _macs(stated), _bytes(parts[0]),
    _define(header, 'MEMORY'), _define(header, 'CLASSES'),
    (_define(header, 'FRAMES'), _define(header, 'BINS')),
  )


def compile_front_end(
  sources: pathlib.Path, target: str, folder: pathlib.Path
) -> ctypes.CDLL:
  """Compiles a front end alone.

  Args:
    sources: of C.
    target: a name in `TARGETS`.
    folder: where to write.
  """
  path = folder / f'{sources.parent.name}.so'
  _compile('-shared', '-fPIC', *_options(target), str(sources / 'frontend.c'),
           '-o', str(path))
  return ctypes.CDLL(str(path))


def convolutions_us(network: Network, best_of) -> float:
  """Time of all its convolutions.

  Args:
    network: the network.
    best_of: the shortest time of a function, in microseconds.
  """
  return best_of(network.library.bench_convolutions)


def bits_per_us(network: Network, function: str, best_of) -> float:
  """Bits that its instructions process, from registers to registers.

  Args:
    network: the network.
    function: 'bench_popcount' or 'bench_products' of bench_inference.c.
    best_of: the shortest time of a function, in microseconds.
  """
  process = getattr(network.library, function)
  process.restype = ctypes.c_int64
  return process(ROOFLINE_ROUNDS) / best_of(lambda: process(ROOFLINE_ROUNDS))


def _options(target: str) -> tuple[str, ...]:
  return ('-std=c99', '-O3', *TARGETS[target][0])


def _compile(*arguments: str) -> None:
  program = c_engine.compiler()
  if program is None:
    raise errors.UserError(c_engine.missing())
  done = subprocess.run(
    [program, *arguments], capture_output=True, text=True
  )
  if done.returncode:
    raise errors.UserError(
      f'{program} does not compile {arguments[1]} '
      f'({done.stderr.strip()[:200]!r}); write the exports anew.'
    )


def _define(header: str, name: str) -> int:
  found = re.search(rf'^#define BNN_{name} (\d+)$', header, re.MULTILINE)
  if found is None:
    raise errors.UserError(
      f'bnn_model.h does not define BNN_{name}; write the exports anew.'
    )
  return int(found.group(1))


def _bytes(part: pathlib.Path) -> int:
  """Code and constants of an object, as `size` adds them up."""
  done = subprocess.run(
    ['size', str(part)], capture_output=True, text=True, check=True
  )
  text, data = done.stdout.splitlines()[1].split()[:2]
  return int(text) + int(data)


def _macs(stated: dict) -> int:
  shapes = {one['name']: one['shape'] for one in stated['layers']}
  return sum(
    shapes[one['name']][0] * int(np.prod(one['tensors']['weights']['shape']))
    for one in stated['layers'] if one['kind'] == 'conv'
  )
