"""Which engine runs the registers."""

import os

import jax

from bnn_jax import errors
from bnn_jax.nn import devices
from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import register
from bnn_jax.nn.kernels import compiled
from bnn_jax.nn.kernels import pallas_gpu

# Names an engine for the whole process, mostly to compare or to look for
# errors; a call's own argument goes before it.
VARIABLE = 'BNN_JAX_OVERFLOW_ENGINE'
ENGINES = ('lax', *compiled.LEVELS, 'pallas')


def available() -> tuple[str, ...]:
  """Engines that run here; the last is the one that is chosen."""
  backend = devices.backend()
  if backend == 'cpu':
    return ('lax', *compiled.levels())
  if backend != 'gpu':
    return ('lax',)
  # The partitioner cannot split a Pallas kernel: each GPU would run all of it.
  return ('lax', 'pallas') if jax.device_count() == 1 else ('pallas', 'lax')


def _fits(engine, accumulator, shape, outputs) -> bool:
  if engine == 'pallas':
    return pallas_gpu.fits(shape, outputs)
  return compiled.fits(accumulator, shape, outputs)


def describe() -> str:
  """One line for logs: the engine, and which layers or why all have another."""
  backend = devices.backend()
  name = choose(None)
  line = f'overflow engine: {name} on {backend}'
  if os.environ.get(VARIABLE):
    return f'{line}, which {VARIABLE} names'
  if name == 'pallas':
    return f'{line}; lax where {pallas_gpu.EXCEPTIONS}'
  if name != 'lax':
    return f'{line}; lax where {compiled.exceptions()}'
  if backend == 'cpu':
    return f'{line} ({compiled.library().trouble})'
  if backend == 'gpu':
    return f'{line} (the GPU kernel runs on one GPU a process)'
  return line


def choose(
  requested: str | None,
  accumulator: register.Accumulator | None = None,
  shape: geometry_lib.Geometry | None = None,
  outputs: int = 0,
) -> str:
  """The engine for one layer.

  Args:
    requested: the name of an engine; by default that of the environment
      variable `VARIABLE`, and without one the quickest.
    accumulator: the register of the layer.
    shape: geometry of the layer; without the two any layer.
    outputs: N.

  Returns:
    A name in `ENGINES`.

  Raises:
    UserError: an engine that does not exist or does not run here.
  """
  requested = requested or os.environ.get(VARIABLE)
  engines = available()
  if requested and requested not in engines:
    raise errors.UserError(
      f'overflow engine {requested!r} does not run here; choose one of '
      f'{", ".join(engines)}.'
    )
  if requested:
    return requested
  if accumulator is None or shape is None or engines[-1] == 'lax':
    return engines[-1]
  fits = _fits(engines[-1], accumulator, shape, outputs)
  return engines[-1] if fits else 'lax'
