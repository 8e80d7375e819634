"""Products of +-1 operands summed in a narrow register that overflows.

A dot product of K operands is formed in words of at most `simd` lanes. A word
is summed exactly by an adder tree and then added to a two's-complement
register of `bits` bits, which wraps around or saturates. `docs/arithmetic.md`,
section 3, is the definition, and every integer here equals it.

Operands become float32 that hold integers below 2^24, so sums of products are
exact in any order; the register itself is int32.

Shape letters: B batch, C input channels, G groups, K operands of one output,
N outputs.
"""

from collections.abc import Sequence
import functools
import math
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax import errors
from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import marks
from bnn_jax.nn import overflow_counts
from bnn_jax.nn import products
from bnn_jax.nn import register
from bnn_jax.nn import straight_through
from bnn_jax.nn.kernels import choice
from bnn_jax.nn.kernels import compiled
from bnn_jax.nn.kernels import lax_engine
from bnn_jax.nn.kernels import pallas_gpu

MODES, UNITS, GRADIENTS = register.MODES, register.UNITS, register.GRADIENTS
Accumulator = register.Accumulator
LayerAccumulators = register.LayerAccumulators
Telemetry = overflow_counts.Telemetry


class Accumulation(NamedTuple):
  """What an accumulator computed.

  Attributes:
    result: `[B, *output, N]` as the following layer reads it.
    exact: the same without any overflow, and differentiable.
    telemetry: counts `[B]` of each example, where asked for.
  """

  result: jax.Array
  exact: jax.Array
  telemetry: Telemetry | None


def relative_sum(
  exact: jax.Array, accumulator: Accumulator, odd_words: int
) -> jax.Array:
  """An exact result as a share of the register's range; inside: [-1, 1)."""
  if accumulator.unit == 'popcount':
    exact = (exact + odd_words) / 2
  return exact / -accumulator.minimum


def widened(
  exact: jax.Array, accumulator: Accumulator, odd_words: int,
  factor: jax.Array,
) -> jax.Array:
  """What a register of `factor` times the range makes of exact results.

  Args:
    exact: `[..., N]`, of an accumulation.
    accumulator: the register.
    odd_words: of an output, see `odd_words`.
    factor: a scalar of at least 1.

  Returns:
    The same shape; differentiable as the register's own results are.
  """
  m = odd_words if accumulator.unit == 'popcount' else 0
  result = _held_at_the_end(
    exact, accumulator, m, lambda total: accumulator.widened(total, factor)
  )
  surrogate = exact
  if accumulator.gradient == 'clip':
    surrogate = _only_inside(exact, exact, accumulator, m, factor)
  return straight_through.straight_through(result, surrogate)


def odd_words(w_shape: Sequence[int], simd: int) -> int:
  """Words of an output with an odd number of lanes (m in section 3)."""
  return sum(lanes % 2 for lanes in _word_lanes(w_shape, simd))


def safe_bits(w_shape: Sequence[int], accumulator: Accumulator) -> int:
  """Width at which no input can overflow a register that starts at 0.

  Args:
    w_shape: `[*kernel, C // groups, N]`.
    accumulator: its simd and unit count.

  Returns:
    The smallest such number of bits.
  """
  lanes = _word_lanes(w_shape, accumulator.simd)
  if accumulator.unit == 'popcount':
    lanes = [(n + 1) // 2 for n in lanes]
  return max(2, sum(lanes).bit_length() + 1)


def _word_lanes(w_shape: Sequence[int], simd: int) -> list[int]:
  taps = math.prod(w_shape[:-2])
  words = geometry_lib.words(taps, w_shape[-2], simd)
  return [word.stop - word.start for word in words]


def matmul(
  x: jax.Array,
  w: jax.Array,
  accumulator: Accumulator,
  preload: jax.Array | None = None,
  *,
  engine: str | None = None,
) -> jax.Array:
  """Matrix product of +-1 operands through `accumulator`.

  Args:
    x: `[..., K]` of +-1.
    w: `[K, N]` of +-1.
    accumulator: the register.
    preload: `[N]` integers in its range that it starts from; 0 by default.
    engine: as for `conv`.

  Returns:
    `[..., N]` float32 integers. The gradient is that of the exact product
    (section 5).

  Raises:
    UserError: shapes that do not fit.
  """
  _check_dense(w)
  flat = x.reshape(-1, x.shape[-1])
  result = accumulate(
    flat, w, accumulator, preload, with_exact=False, engine=engine
  ).result
  return result.reshape(*x.shape[:-1], w.shape[-1])


def conv(
  x: jax.Array,
  w: jax.Array,
  accumulator: Accumulator,
  preload: jax.Array | None = None,
  *,
  strides: int | Sequence[int] = 1,
  padding: geometry_lib.Padding = 'SAME',
  dilation: int | Sequence[int] = 1,
  groups: int = 1,
  engine: str | None = None,
) -> jax.Array:
  """Convolution (cross-correlation) of +-1 operands through `accumulator`.

  Args:
    x: `[B, *spatial, C]` of +-1, with one or two spatial axes.
    w: `[*kernel, C // groups, N]` of +-1; groups = C is depthwise.
    accumulator: the register.
    preload: `[N]` integers in its range that it starts from; 0 by default.
    strides: step between outputs, one or one for each spatial axis.
    padding: 'SAME', 'VALID' or (before, after) pairs; padded values are -1.
    dilation: step between taps, one or one for each spatial axis.
    groups: channel groups.
    engine: see `bnn_jax.nn.kernels.choice`; all give the same integers.

  Returns:
    `[B, *output, N]` float32 integers. The gradient is that of the exact
    convolution (section 5).

  Raises:
    UserError: shapes or arguments that do not fit.
  """
  return accumulate(
    x, w, accumulator, preload, strides=strides, padding=padding,
    dilation=dilation, groups=groups, with_exact=False, engine=engine,
  ).result


def telemetry(
  x: jax.Array,
  w: jax.Array,
  accumulator: Accumulator,
  preload: jax.Array | None = None,
  *,
  strides: int | Sequence[int] = 1,
  padding: geometry_lib.Padding = 'SAME',
  dilation: int | Sequence[int] = 1,
  groups: int = 1,
) -> Telemetry:
  """Counts the overflow of `conv`, or of `matmul` where `w` is `[K, N]`.

  Args:
    x: as for `conv` or `matmul`.
    w: as for `conv` or `matmul`.
    accumulator: the register; its range counts also in mode 'exact'.
    preload: as for `conv`.
    strides: as for `conv`.
    padding: as for `conv`.
    dilation: as for `conv`.
    groups: as for `conv`.

  Returns:
    Scalar counts.
  """
  if w.ndim == 2:
    x = x.reshape(-1, x.shape[-1])
  counts = accumulate(
    x, w, accumulator, preload, strides=strides, padding=padding,
    dilation=dilation, groups=groups, with_telemetry=True,
  ).telemetry
  return jax.tree.map(jnp.sum, counts)


def accumulate(
  x: jax.Array,
  w: jax.Array,
  accumulator: Accumulator,
  preload: jax.Array | None = None,
  *,
  strides: int | Sequence[int] = 1,
  padding: geometry_lib.Padding = 'SAME',
  dilation: int | Sequence[int] = 1,
  groups: int = 1,
  with_telemetry: bool = False,
  with_exact: bool = True,
  engine: str | None = None,
) -> Accumulation:
  """`conv` (or `matmul` on `[B, K]`) together with all it can tell.

  Operands and preload of any type are cast to float32, as are the results: int8
  and bfloat16 do not hold the sums.

  Args:
    x: as for `conv`, or `[B, K]`.
    w: as for `conv`, or `[K, N]`.
    accumulator: the register.
    preload: as for `conv`.
    strides: as for `conv`.
    padding: as for `conv`.
    dilation: as for `conv`.
    groups: as for `conv`.
    with_telemetry: also count overflow, which costs the words' sums.
    with_exact: the values of the exact sum will be used. Without, they are
      right all the same, but cost products of their own where they are used.
    engine: as for `conv`.

  Returns:
    Result, exact sum and telemetry.

  Raises:
    UserError: shapes or arguments that do not fit.
  """
  x, w = jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32)
  if preload is not None:
    preload = jnp.asarray(preload, jnp.float32)
    _check_preload(preload, w)
  shape = geometry_lib.geometry(
    x.shape, w.shape, strides, padding, dilation, groups
  )
  if not x.shape[0]:
    return _of_no_example(x, w, shape, with_telemetry)
  chosen = choice.choose(engine, accumulator, shape, w.shape[-1])
  scale = 1 if accumulator.unit == 'dot' else 2
  m = odd_words(w.shape, accumulator.simd) if scale == 2 else 0
  with marks.register(
    math.prod(w.shape[:-1]), accumulator.bits, safe_bits(w.shape, accumulator)
  ):
    surrogate = products.exact(x, w, shape)
  if preload is not None:
    surrogate = surrogate + scale * preload
  operands = lax.stop_gradient((x, w, preload))
  exact, counts = surrogate, None
  if chosen != 'lax' and not with_telemetry:
    needs_exact = with_exact or accumulator.gradient == 'clip'
    with marks.simulation():
      result, sums = _kernel(chosen)(
        *operands, accumulator, shape, with_exact=needs_exact
      )
    if needs_exact:
      exact = straight_through.straight_through(sums, surrogate)
  elif with_telemetry or accumulator.overflow_mode == 'saturate':
    with marks.simulation():
      held, prefixes = lax_engine.run(
        *operands, accumulator, shape, with_telemetry
      )
    result = (scale * held - m).astype(exact.dtype)
    if prefixes is not None:
      counts = overflow_counts.count(prefixes, accumulator, result, exact)
  else:
    # Addition modulo 2^P: wrapping once at the end is wrapping every time.
    result = _held_at_the_end(exact, accumulator, m, accumulator.register)
  if accumulator.gradient == 'clip':
    surrogate = _only_inside(surrogate, exact, accumulator, m)
  return Accumulation(
    straight_through.straight_through(result, surrogate), exact, counts
  )


def _held_at_the_end(exact, accumulator, m, rule) -> jax.Array:
  """The exact results, held once by a rule of the register."""
  if accumulator.overflow_mode == 'exact':
    return lax.stop_gradient(exact)
  # An exact result has the parity of m, so the register's is an integer.
  scale = 1 if accumulator.unit == 'dot' else 2
  total = (lax.stop_gradient(exact).astype(jnp.int32) + m) // scale
  return (scale * rule(total) - m).astype(exact.dtype)


def _of_no_example(x, w, shape, with_telemetry) -> Accumulation:
  """What there is of a batch of none."""
  empty = jnp.zeros((0, *shape.output_shape(x.shape[1:-1]), w.shape[-1]))
  none = jnp.zeros(0, jnp.int32)
  return Accumulation(
    empty, empty, Telemetry(*(none,) * 5) if with_telemetry else None
  )


def _kernel(engine: str):
  """The function that runs a kernel of its own."""
  if engine == 'pallas':
    return pallas_gpu.run
  return functools.partial(compiled.run, level=engine)


def _only_inside(surrogate, exact, accumulator, m, factor=1.0):
  """The surrogate, a constant where the exact sum is outside the range."""
  share = relative_sum(lax.stop_gradient(exact), accumulator, m) / factor
  inside = (share >= -1) & (share < 1)
  return jnp.where(inside, surrogate, lax.stop_gradient(surrogate))


def _check_preload(preload: jax.Array, w: jax.Array) -> None:
  if preload.shape != w.shape[-1:]:
    raise errors.UserError(
      f'a preload of shape {preload.shape} does not fit {w.shape[-1]} outputs; '
      f'give one integer an output, of shape {w.shape[-1:]}.'
    )


def _check_dense(w: jax.Array) -> None:
  if w.ndim != 2:
    raise errors.UserError(
      f'matmul takes weights [K, N], not {w.shape}; use conv for kernels.'
    )
