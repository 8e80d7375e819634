"""The C library `overflow`: packed bits, XOR and popcount, for CPUs.

Signs are packed once; a word's sum is a popcount, a register is a lane of a
vector, and both leave as float32. `overflow.h` tells how.
"""

import ctypes
import functools
import importlib.machinery
import math
import pathlib
from typing import NamedTuple

import jax
from jax import lax
from jax.experimental import custom_partitioning
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import register

_TARGET = 'bnn_jax_overflow'
# What the library calls its levels, from the least to the most demanding.
LEVELS = ('portable', 'avx2', 'avx512')
# The kernels hold one output of a group in each of 16 lanes; with few of them
# in use the shifted products of `lax_engine` are faster. With more, no K, N or
# mode has been found that would be better served by the other engine: forward
# alone it is quicker on some (short rows, few words), but forward and backward
# the library is, or within 6 % (experiments/results/bench_overflow.json).
_FEWEST_OUTPUTS = 8
# Images that the positions of a single tap are cut into.
_IMAGES = 16


def library_path() -> pathlib.Path | None:
  """Where the library was built, or None where it was not."""
  folder = pathlib.Path(__file__).parent
  for suffix in importlib.machinery.EXTENSION_SUFFIXES:
    path = folder / f'overflow{suffix}'
    if path.exists():
      return path
  return None


class Library(NamedTuple):
  """The library as this machine can use it.

  Attributes:
    levels: that this processor has.
    trouble: why there are none, and the remedy.
  """

  levels: tuple[str, ...]
  trouble: str = ''


@functools.cache
def library() -> Library:
  """Loads the library, once."""
  path = library_path()
  if path is None:
    return Library((), (
      'the compiled kernel was not built; install a C compiler and the package '
      'again'
    ))
  try:
    loaded = ctypes.CDLL(str(path))
  except OSError as error:
    # Of another machine: everything works without the library, but slower.
    return Library((), (
      f'the compiled kernel cannot be loaded ({error}); install the package '
      'again on this machine'
    ))
  jax.ffi.register_ffi_target(
    _TARGET, jax.ffi.pycapsule(loaded.bnn_jax_overflow), platform='cpu'
  )
  return Library(LEVELS[: loaded.bnn_jax_overflow_level() + 1])


def levels() -> tuple[str, ...]:
  """Levels that this processor has; none without the library."""
  return library().levels


def exceptions() -> str:
  """Which layers `fits` leaves to the other engine, for users."""
  few = f'a group has fewer than {_FEWEST_OUTPUTS} outputs'
  if 'avx512' in levels():
    return few
  return f'{few} or registers saturate'


def fits(
  accumulator: register.Accumulator,
  shape: geometry_lib.Geometry,
  outputs: int,
) -> bool:
  """True where the library is faster than `lax_engine` on this processor."""
  if outputs // shape.groups < _FEWEST_OUTPUTS:
    return False
  # XLA's own vectors of 16 bits beat the plain loops that saturate in 32.
  return accumulator.overflow_mode != 'saturate' or 'avx512' in levels()


def run(
  x: jax.Array,
  w: jax.Array,
  preload: jax.Array | None,
  accumulator: register.Accumulator,
  shape: geometry_lib.Geometry,
  level: str,
  with_exact: bool,
) -> tuple[jax.Array, jax.Array | None]:
  """Runs all registers; has no derivatives.

  Args:
    x: `[B, *spatial, C]` of +-1, float32.
    w: `[*kernel, C // G, N]` of +-1, float32.
    preload: `[N]` or None.
    accumulator: the register.
    shape: geometry of the convolution.
    level: one of `levels()`.
    with_exact: also give the exact results.

  Returns:
    Results `[B, *output, N]` and the exact ones or None, float32.
  """
  output = (x.shape[0], *shape.output_shape(x.shape[1:-1]), w.shape[-1])
  images = _images(x, shape)
  kernels = w.reshape(*_two(shape.kernel, 1), *w.shape[-2:])
  start = jnp.zeros(w.shape[-1:], jnp.int32)
  if preload is not None:
    start = preload.astype(jnp.int32)
  frames = images.shape[1:3]
  if not _is_pointwise(shape):
    frames = _two(output[1:-1], 1)
  plan = _plan(accumulator, preload is not None, shape, level, with_exact)
  values = _call(
    images.astype(jnp.float32), kernels.astype(jnp.float32), start, plan,
    (*frames, w.shape[-1]),
  )
  positions = math.prod(output[:-1])
  values = [
    value.reshape(-1, output[-1])[:positions].reshape(output)
    for value in values
  ]
  return values[0], values[1] if with_exact else None


def _call(x, w, start, plan, image) -> list[jax.Array]:
  """Runs images `[B, T, F, C]` on whatever devices hold them.

  Args:
    x: `[B, T, F, C]`.
    w: `[kT, kF, C // G, N]`.
    start: `[N]` int32.
    plan: see `_plan`.
    image: shape of one image's results.

  Returns:
    Results `[B, *image]`, and the exact ones where the plan says so.
  """
  def one_device(x, w, start):
    result = jax.ShapeDtypeStruct((x.shape[0], *image), jnp.float32)
    call = jax.ffi.ffi_call(_TARGET, [result] * (1 + plan[-1]))
    return call(x, w, start, plan=np.array(plan, np.int64))

  run = custom_partitioning.custom_partitioning(one_device)

  def partition(mesh, operands, results):
    batch = operands[0].sharding.spec[:1]
    split = jax.sharding.NamedSharding(mesh, jax.P(*batch))
    whole = jax.sharding.NamedSharding(mesh, jax.P())
    return (
      mesh, one_device, [split] * len(results), (split, whole, whole)
    )

  outputs = ['b u v l', 'b p q r'][: 1 + plan[-1]]
  run.def_partition(
    partition,
    sharding_rule=f'b t f c, i j k n, m -> {", ".join(outputs)}',
    need_replication_factors=tuple(
      factor for factor in 'tfcijknmuvlpqr'
      if factor not in 'pqr' or plan[-1]
    ),
  )

  @jax.custom_batching.custom_vmap
  def mapped(x, w, start):
    return run(x, w, start)

  @mapped.def_vmap
  def rule(size, is_mapped, x, w, start):
    if is_mapped == [True, False, False]:
      values = mapped(x.reshape(-1, *x.shape[2:]), w, start)
      values = [v.reshape(*x.shape[:2], *v.shape[1:]) for v in values]
    else:
      operands = [
        v if m else jnp.broadcast_to(v, (size, *v.shape))
        for v, m in zip((x, w, start), is_mapped, strict=True)
      ]
      values = lax.map(lambda one: mapped(*one), tuple(operands))
    return values, [True] * len(values)

  return mapped(x, w, start)


def _plan(accumulator, preloaded, shape, level, with_exact) -> list[int]:
  """The numbers that `read_problem` of handler.c reads, in its order."""
  padding = _two(shape.padding, (0, 0))
  return [
    *_two(shape.strides, 1), *_two(shape.dilation, 1), *padding[0],
    *padding[1], shape.groups, accumulator.bits,
    register.MODES.index(accumulator.overflow_mode),
    register.UNITS.index(accumulator.unit), accumulator.simd, int(preloaded),
    LEVELS.index(level), int(with_exact),
  ]


def _two(values, missing) -> tuple:
  """Values of at most two spatial axes as those of two."""
  return (*values, missing, missing)[:2]


def _is_pointwise(shape: geometry_lib.Geometry) -> bool:
  padded = any(map(any, shape.padding))
  return shape.taps == 1 and not padded and set(shape.strides) <= {1}


def _images(x: jax.Array, shape: geometry_lib.Geometry) -> jax.Array:
  """`[B, T, F, C]`; a single tap takes all positions as few long images.

  Threads share images, so where positions do not divide into enough of them,
  some are added whose results nobody reads.
  """
  if not _is_pointwise(shape):
    return x.reshape(x.shape[0], *_two(x.shape[1:-1], 1), x.shape[-1])
  positions = math.prod(x.shape[:-1])
  images = math.gcd(positions, _IMAGES)
  if images < _IMAGES // 2:
    images = min(positions, _IMAGES)
  rows = math.ceil(positions / images)
  flat = x.reshape(positions, x.shape[-1])
  missing = images * rows - positions
  if missing:
    flat = jnp.pad(flat, ((0, missing), (0, 0)))
  return flat.reshape(images, rows, 1, x.shape[-1])
