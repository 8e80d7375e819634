"""Cases, the engines that run them, and the comparison all tests use.

A case is operands, a machine and a geometry. An engine turns it into an
`Observation`: every result and the five sums of section 4. Two engines agree
on a case when their observations are equal.
"""

from collections.abc import Callable
import functools
from typing import Any
from typing import NamedTuple

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import accumulator
from tests.contract import oracle

hypothesis.settings.register_profile(
    'contract', deadline=None, max_examples=50
)
CONTRACT = hypothesis.settings.get_profile('contract')
FEW = hypothesis.settings(CONTRACT, max_examples=4)

MODES = ('exact', 'wrap', 'saturate')
UNITS = ('dot', 'popcount')
SIMDS = (1, 7, 8, 16, 32, 64, 128)


class Shape(NamedTuple):
  """Shapes of the operands and the geometry of one layer."""

  x: tuple[int, ...]
  w: tuple[int, ...]
  geometry: dict[str, Any]


class Case(NamedTuple):
  """Operands of -1 and +1, a machine, a preload for each output channel."""

  x: np.ndarray
  w: np.ndarray
  machine: oracle.Machine
  preload: list[int] | None
  geometry: dict[str, Any]


class Observation(NamedTuple):
  """What an engine says about a case: nested integers and five sums."""

  results: Any
  telemetry: tuple[int, ...]


Engine = Callable[[Case], Observation]

DENSE = {
    'one operand': Shape((2, 1), (1, 3), {}),
    'no batch': Shape((5,), (5, 2), {}),
    'partial word': Shape((2, 13), (13, 4), {}),
    'whole word': Shape((2, 64), (64, 3), {}),
    'two leading axes': Shape((2, 2, 70), (70, 2), {}),
    'three words': Shape((1, 131), (131, 2), {}),
}
CONV_1D = {
    'one operand': Shape((1, 3, 1), (1, 1, 2), {}),
    'same': Shape((2, 7, 5), (3, 5, 4), {}),
    'even kernel': Shape((1, 8, 3), (4, 3, 2), {}),
    'stride': Shape((1, 8, 3), (3, 3, 2), {'strides': 2}),
    'stride skips': Shape((1, 7, 3), (1, 3, 2), {'strides': (3,)}),
    'dilation': Shape((1, 9, 2), (3, 2, 3), {'dilation': 2}),
    'valid': Shape(
        (1, 9, 2), (3, 2, 2),
        {'padding': 'VALID', 'strides': 2, 'dilation': (2,)},
    ),
    'causal': Shape((1, 6, 4), (3, 4, 2), {'padding': [(2, 0)]}),
    'long padding': Shape(
        (1, 4, 3), (2, 3, 2), {'padding': ((1, 4),), 'strides': 3}
    ),
    'groups': Shape((1, 6, 6), (3, 3, 4), {'groups': 2}),
    'depthwise': Shape((1, 6, 4), (9, 1, 4), {'groups': 4}),
    'multiplier': Shape(
        (2, 6, 3), (5, 1, 6), {'groups': 3, 'strides': 2}
    ),
    'wide': Shape((1, 3, 70), (3, 70, 2), {}),
    'wide groups': Shape((1, 3, 34), (2, 17, 4), {'groups': 2}),
}
CONV_2D = {
    'one operand': Shape((1, 2, 2, 1), (1, 1, 1, 2), {}),
    'same': Shape((2, 4, 5, 3), (3, 3, 3, 2), {}),
    'strides': Shape((1, 5, 6, 2), (2, 3, 2, 3), {'strides': (1, 2)}),
    'dilation': Shape((1, 6, 5, 2), (3, 2, 2, 2), {'dilation': (2, 1)}),
    'valid': Shape(
        (1, 6, 7, 2), (2, 3, 2, 2), {'padding': 'VALID', 'strides': 2}
    ),
    'explicit': Shape(
        (1, 3, 4, 5), (3, 2, 5, 2), {'padding': ((1, 0), (0, 2))}
    ),
    'groups': Shape((1, 4, 3, 4), (2, 2, 2, 6), {'groups': 2}),
    'depthwise': Shape((1, 4, 4, 3), (3, 3, 1, 3), {'groups': 3}),
    'multiplier': Shape(
        (1, 4, 3, 2), (3, 2, 1, 4), {'groups': 2, 'strides': (2, 1)}
    ),
    'wide': Shape((1, 3, 2, 65), (2, 1, 65, 2), {}),
}


# Enough outputs a group for the compiled engine, which fill one block of lanes
# and part of another; channels a part of a chunk, several of them, and groups
# that begin within one.
WIDE = {
    'dense': Shape((3, 70), (70, 67), {}),
    'dense of one operand': Shape((2, 1), (1, 33), {}),
    'dense of odd positions': Shape((19, 12), (12, 9), {}),
    'words of taps': Shape((1, 5, 5), (4, 5, 9), {}),
    'words in taps': Shape(
        (2, 4, 40), (3, 40, 20), {'strides': 2, 'padding': ((2, 1),)}
    ),
    'stride': Shape((1, 8, 6), (3, 6, 8), {'strides': 2}),
    'causal': Shape((1, 5, 9), (3, 9, 8), {'padding': ((2, 0),)}),
    'dilation': Shape((1, 7, 3), (3, 3, 10), {'dilation': 2}),
    'groups': Shape((1, 4, 42), (2, 21, 18), {'groups': 2}),
    'multiplier': Shape((1, 4, 2), (3, 1, 16), {'groups': 2}),
    'one tap': Shape((1, 3, 40), (1, 40, 9), {}),
    '2-D': Shape((1, 3, 4, 17), (2, 3, 17, 9), {'dilation': (1, 2)}),
    '2-D strides': Shape(
        (1, 4, 5, 3), (2, 3, 3, 8),
        {'strides': (2, 1), 'padding': ((1, 0), (0, 2))},
    ),
}
# Machines that tell words, range, rule and unit apart on all of these.
WIDE_MACHINES = (
    oracle.Machine(4, 'saturate', 4, 'dot'),
    oracle.Machine(3, 'wrap', 7, 'popcount'),
    oracle.Machine(3, 'saturate', 7, 'popcount'),
    oracle.Machine(4, 'wrap', 4, 'dot'),
)


def oracle_engine(case: Case) -> Observation:
  run = oracle.matmul if case.w.ndim == 2 else oracle.conv
  outputs = run(
      case.x, case.w, case.machine, case.preload, **case.geometry
  )
  return Observation(
      oracle.results(outputs), tuple(oracle.telemetry(outputs))
  )


def arguments(case: Case) -> tuple[Any, ...]:
  """The case as `bnn_jax.nn.accumulator` takes it: x, w, register, preload."""
  machine = case.machine
  register = accumulator.Accumulator(
      bits=machine.bits,
      overflow_mode=machine.overflow_mode,
      simd=machine.simd,
      unit=machine.unit,
  )
  preload = None
  if case.preload is not None:
    preload = jnp.asarray(case.preload, jnp.float32)
  x, w = (jnp.asarray(a, jnp.float32) for a in (case.x, case.w))
  return x, w, register, preload


def jax_engine(case: Case) -> Observation:
  run = accumulator.matmul if case.w.ndim == 2 else accumulator.conv
  y = run(*arguments(case), **case.geometry)
  measured = accumulator.telemetry(*arguments(case), **case.geometry)
  return Observation(integers(y), tuple(integers(v) for v in measured))


@functools.partial(jax.jit, static_argnames=('register', 'geometry'))
def _observe(x, w, preload, register, geometry):
  run = accumulator.matmul if w.ndim == 2 else accumulator.conv
  operands = x, w, register, preload
  geometry = dict(geometry)
  return run(*operands, **geometry), accumulator.telemetry(
      *operands, **geometry
  )


def jitted_engine(case: Case) -> Observation:
  """`jax_engine` as one program: quicker where each case is new."""
  x, w, register, preload = arguments(case)
  y, measured = _observe(x, w, preload, register, frozen(case.geometry))
  return Observation(integers(y), tuple(integers(v) for v in measured))


def frozen(value: Any) -> Any:
  """Dictionaries and lists as tuples, to be hashed."""
  if isinstance(value, dict):
    return tuple((key, frozen(v)) for key, v in value.items())
  if isinstance(value, (list, tuple)):
    return tuple(frozen(v) for v in value)
  return value


def integers(y: Any) -> Any:
  """An array as nested Python integers; refuses a fraction."""
  exact = np.asarray(y, np.float64)
  whole = exact.astype(np.int64)
  assert (whole == exact).all()
  return whole.tolist()


def agrees(engine: Engine, case: Case, expected: Observation) -> bool:
  """True when an engine gives the expected results and telemetry."""
  return engine(case) == expected


def fill(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
  """Operands of -1 and +1; a random or an adversarial pattern."""
  size = int(np.prod(shape))
  if kind == 'ones':
    values = np.ones(size)
  elif kind == 'minus':
    values = -np.ones(size)
  elif kind == 'alternating':
    values = np.where(np.arange(size) % 2, -1.0, 1.0)
  elif kind == 'blocks':
    # Along K: the sums rise to an extreme and come back.
    half = -(-shape[0] // 2)
    values = np.ones(shape)
    values[half:] = -1
  else:
    bias = {'random': 0.5, 'mostly ones': 0.9}[kind]
    draws = np.random.default_rng(seed).random(size)
    values = np.where(draws < bias, 1, -1)
  return np.reshape(values, shape).astype(np.int8)


@functools.cache
def wide_cases(
    names: tuple[str, ...] = tuple(WIDE)
) -> tuple[tuple[Case, Any], ...]:
  """Cases of the `WIDE` shapes of these names, and the oracle's integers."""
  found = []
  for i, (name, shape) in enumerate(WIDE.items()):
    if name not in names:
      continue
    for machine in (WIDE_MACHINES[i % 4], WIDE_MACHINES[(i + 1) % 4]):
      low = oracle.minimum(machine.bits)
      case = Case(
          fill('mostly ones', shape.x, i), fill('mostly ones', shape.w, i + 50),
          machine,
          [low + 5 * n % 2**machine.bits for n in range(shape.w[-1])],
          shape.geometry,
      )
      found.append((case, oracle_engine(case).results))
  return tuple(found)


KINDS = ('random', 'mostly ones', 'ones', 'minus', 'alternating', 'blocks')


@st.composite
def machines(
    draw: st.DrawFn,
    modes: tuple[str, ...] = MODES,
    units: tuple[str, ...] = UNITS,
) -> oracle.Machine:
  """Narrow registers more often than wide ones, where nothing happens.

  A popcount result has a bit more than its register and is odd with m, so at
  24 bits it would not be a float32 integer: popcount stops at 23.
  """
  unit = draw(st.sampled_from(units))
  widest = 23 if unit == 'popcount' else 24
  return oracle.Machine(
      bits=draw(st.one_of(st.integers(2, 5), st.integers(2, widest))),
      overflow_mode=draw(st.sampled_from(modes)),
      simd=draw(st.sampled_from(SIMDS)),
      unit=unit,
  )


@st.composite
def preloads(
    draw: st.DrawFn, bits: int, outputs: int
) -> list[int] | None:
  low, high = oracle.minimum(bits), oracle.maximum(bits)
  one = st.one_of(
      st.sampled_from((low, high, 0)), st.integers(low, high)
  )
  some = st.lists(one, min_size=outputs, max_size=outputs)
  return draw(st.one_of(st.none(), some))


@st.composite
def operands(
    draw: st.DrawFn, shape: Shape
) -> tuple[np.ndarray, np.ndarray]:
  x_kind, w_kind = draw(st.tuples(*[st.sampled_from(KINDS)] * 2))
  seed = draw(st.integers(0, 2**32 - 1))
  return fill(x_kind, shape.x, seed), fill(w_kind, shape.w, seed + 1)


@st.composite
def cases(
    draw: st.DrawFn,
    shape: Shape,
    modes: tuple[str, ...] = MODES,
    units: tuple[str, ...] = UNITS,
) -> Case:
  x, w = draw(operands(shape))
  machine = draw(machines(modes, units))
  if draw(st.booleans()):
    whole = shape.w[-2]
    machine = machine._replace(simd=whole)
  preload = draw(preloads(machine.bits, shape.w[-1]))
  return Case(x, w, machine, preload, shape.geometry)
