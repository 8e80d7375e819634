"""All engines of this machine, wherever it would choose them or not."""

from unittest import mock

from bnn_jax.nn import accumulator
from bnn_jax.nn.kernels import choice
from bnn_jax.nn.kernels import compiled
from tests.contract import cases

NAMES = ('lax', *compiled.levels(), 'pallas')


def through(engine: str, x, w, register, preload=None, **options):
  """All that one engine gives; Pallas in its interpreter."""
  with mock.patch.object(choice, 'available', lambda: NAMES):
    return accumulator.accumulate(
      x, w, register, preload, engine=engine, **options
    )


def of_case(engine: str, case: cases.Case):
  """The integers of a case, in the shape that they have."""
  *operands, preload = cases.arguments(case)
  return cases.integers(
    through(engine, *operands, preload, **case.geometry).result
  )
