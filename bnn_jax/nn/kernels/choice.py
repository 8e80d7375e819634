"""Which engine runs the registers."""

import os

import jax

from bnn_jax import errors
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
  backend = jax.default_backend()
  if backend == 'cpu':
    return ('lax', *compiled.levels())
  return ('lax', 'pallas') if backend == 'gpu' else ('lax',)


def _fits(engine, accumulator, shape, outputs) -> bool:
  if engine == 'pallas':
    return pallas_gpu.fits(shape, outputs)
  return compiled.fits(accumulator, shape, outputs)


def describe() -> str:
  """One line for logs: the engine, and why there is none better."""
  backend = jax.default_backend()
  name = choose(None)
  if name == 'lax' and backend == 'cpu' and not compiled.levels():
    return (
      'overflow engine: lax (the compiled kernel was not built; install a C '
      'compiler and the package again)'
    )
  return f'overflow engine: {name} on {backend}'


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
