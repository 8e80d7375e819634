"""Programs of the lax engine that have a loop over words."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest

from bnn_jax.nn import accumulator
from tests.contract import cases
from tests.contract import engines
from tests.contract import oracle


def size_of(jaxpr) -> int:
  """Operations of a program, those within others included."""
  size = 0
  for equation in jaxpr.eqns:
    parts = jax.tree.leaves(
      list(equation.params.values()), is_leaf=lambda v: hasattr(v, 'jaxpr')
    )
    inner = [getattr(part, 'jaxpr', part) for part in parts]
    size += 1 + sum(size_of(part) for part in inner if hasattr(part, 'eqns'))
  return size


@pytest.mark.parametrize('shapes', [
  [((2, 2048), (2048, 9), 7), ((2, 4096), (4096, 9), 7)],
  [((2, 4096), (4096, 9), 64), ((2, 8192), (8192, 9), 64)],
  [((2, 5, 901), (3, 901, 9), 7), ((2, 5, 1801), (3, 1801, 9), 7)],
])
def test_the_program_does_not_grow_with_the_words(shapes):
  register = accumulator.Accumulator(6, 'saturate')
  sizes = [
    size_of(jax.make_jaxpr(functools.partial(
      engines.through, 'lax',
      register=dataclasses.replace(register, simd=simd),
    ))(jnp.ones(x), jnp.ones(w)).jaxpr)
    for x, w, simd in shapes
  ]
  assert sizes[0] == sizes[1] < 200


@pytest.mark.parametrize('unit', cases.UNITS)
@pytest.mark.parametrize('shape, simd', [
  (cases.Shape((2, 700), (700, 3), {}), 7),
  (cases.Shape((1, 2, 401), (2, 401, 2), {}), 7),
  (cases.Shape((1, 60, 3), (60, 3, 2), {}), 7),
  (cases.Shape((2, 1700), (1700, 3), {}), 1000),
])
def test_words_in_a_loop(shape, simd, unit):
  x, w = cases.fill('mostly ones', shape.x, 1), cases.fill('random', shape.w, 2)
  w[: len(w) // 2] = 1
  machine = oracle.Machine(6, 'saturate', simd, unit)
  case = cases.Case(x, w, machine, None, shape.geometry)
  expected = cases.oracle_engine(case)
  assert expected.telemetry[1] + expected.telemetry[2] > 0
  assert engines.of_case('lax', case) == expected.results
  assert cases.agrees(cases.jitted_engine, case, expected)
