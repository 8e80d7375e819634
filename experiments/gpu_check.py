"""Holds the overflow engines against NumPy on the device that is there."""

import itertools
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import accumulator
from bnn_jax.nn import geometry
from bnn_jax.nn.kernels import pallas_gpu

# Shapes of x and w, and the convolution's arguments.
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], Any]] = {
  'words in taps': ((40, 25, 96), (5, 96, 96), {}),
  'strided': ((7, 25, 96), (3, 96, 128), {'strides': 2}),
  'groups': ((5, 98, 320), (3, 80, 384), {'strides': 4, 'groups': 4}),
  '2-D': ((2, 12, 9, 45), (3, 3, 45, 45), {'dilation': 4}),
  'few channels': ((2, 49, 10, 1), (10, 4, 1, 276), {'strides': (2, 1)}),
  'dense': ((1000, 600), (600, 40), {}),
  'few of all': ((3, 70), (70, 5), {}),
}
# Registers, the first three on every shape.
REGISTERS = (
  (8, 'saturate', 64, 'dot'), (6, 'saturate', 16, 'popcount'),
  (5, 'wrap', 64, 'popcount'), (5, 'saturate', 1, 'dot'),
  (5, 'saturate', 7, 'popcount'), (24, 'exact', 64, 'dot'),
  (8, 'saturate', 1000, 'dot'), (5, 'saturate', 128, 'dot'),
)


class Case(NamedTuple):
  """Operands of one comparison; see `accumulator.conv`."""

  x: np.ndarray
  w: np.ndarray
  preload: np.ndarray
  register: accumulator.Accumulator
  shape: geometry.Geometry


def cases() -> dict[str, Case]:
  """What is compared, by name."""
  found = {}
  random = np.random.default_rng(0)
  for number, (name, (x, w, rest)) in enumerate(SHAPES.items()):
    registers = REGISTERS if number == 0 else REGISTERS[:3]
    if name == 'dense':
      registers = REGISTERS[-3:]
    for values in registers:
      register = accumulator.Accumulator(*values)
      # More +1 than -1, so that registers overflow.
      signs = np.where(random.random(x) < 0.6, 1, -1)
      weights = np.where(random.random(w) < 0.6, 1, -1)
      preload = random.integers(
        register.minimum, register.maximum + 1, w[-1]
      )
      found[f'{name} {values}'] = Case(
        signs, weights, preload, register, geometry.geometry(x, w, **rest)
      )
  return found


def reference(case: Case) -> tuple[np.ndarray, np.ndarray]:
  """Results and exact results `[M, N]`, word by word."""
  taps, groups = case.shape.taps, case.shape.groups
  operands = _operands(case.x, case.shape)
  weights = case.w.reshape(-1, groups, case.w.shape[-1] // groups)
  products = np.split(operands, groups, 1), np.moveaxis(weights, 1, 0)
  results, exacts = [], []
  starts = np.split(case.preload, groups)
  for x, w, start in zip(*products, starts, strict=True):
    held = total = np.broadcast_to(start, (len(x), len(start)))
    odd = 0
    for word in geometry.words(taps, case.w.shape[-2], case.register.simd):
      lanes = slice(word.start, word.stop)
      # float64 holds these integers, and has fast products.
      sums = (x[:, 0, lanes] @ w[lanes].astype(float)).astype(np.int64)
      if case.register.unit == 'popcount':
        count = word.stop - word.start
        sums, odd = (sums + count) // 2 - count // 2, odd + count % 2
      held, total = _rule(held + sums, case.register), total + sums
    if case.register.unit == 'popcount':
      held, total = 2 * held - odd, 2 * total - odd
    results.append(held)
    exacts.append(total)
  return np.concatenate(results, -1), np.concatenate(exacts, -1)


def _operands(x, shape) -> np.ndarray:
  """`[M, G, K]`."""
  padded = np.pad(
    x, ((0, 0), *shape.padding, (0, 0)) if shape.kernel else ((0, 0),) * 2,
    constant_values=-1,
  ).astype(float)
  output = shape.output_shape(x.shape[1:-1])
  found = []
  for tap in itertools.product(*map(range, shape.kernel)):
    place = tuple(
      slice(t * d, t * d + (n - 1) * s + 1, s)
      for t, d, n, s in zip(
        tap, shape.dilation, output, shape.strides, strict=True)
    )
    view = padded[(slice(None), *place)]
    found.append(view.reshape(-1, shape.groups, x.shape[-1] // shape.groups))
  return np.concatenate(found, -1)


def _rule(value, register):
  size = 2**register.bits
  if register.overflow_mode == 'wrap':
    return (value - register.minimum) % size + register.minimum
  if register.overflow_mode == 'saturate':
    return np.clip(value, register.minimum, register.maximum)
  return value


def wrong(case: Case, engine: str, doubled: bool = False) -> int:
  """How many results and exact results differ from the reference.

  Args:
    case: the operands.
    engine: 'pallas' or 'lax'.
    doubled: twice under `jax.vmap`, the second time with other weights.

  Returns:
    A number, 0 where all is right.
  """
  def run(x, w, preload):
    if engine == 'pallas':
      return pallas_gpu.run(
        x, w, preload, case.register, case.shape, with_exact=True
      )
    rest = {} if w.ndim == 2 else {
      'strides': case.shape.strides, 'padding': case.shape.padding,
      'dilation': case.shape.dilation, 'groups': case.shape.groups,
    }
    found = accumulator.accumulate(
      x, w, case.register, preload, engine='lax', **rest
    )
    return found.result, found.exact

  both = [case]
  if doubled:
    both.append(case._replace(w=-case.w[..., ::-1], x=case.x[::-1]))
  operands = [
    jnp.stack([jnp.asarray(getattr(c, name), dtype) for c in both])
    for name, dtype in (
      ('x', jnp.float32), ('w', jnp.float32), ('preload', jnp.int32)
    )
  ]
  if not doubled:
    operands = [operand[0] for operand in operands]
  got = jax.jit(jax.vmap(run) if doubled else run)(*operands)
  expected = [np.stack(v) for v in zip(*map(reference, both), strict=True)]
  return sum(
    int(np.sum(np.asarray(g).ravel() != e.ravel()))
    for g, e in zip(got, expected, strict=True)
  )
