"""Products of +-1 operands summed in a narrow register that overflows.

A dot product of K operands is formed in words of at most `simd` lanes. A word
is summed exactly by an adder tree and then added to a two's-complement
register of `bits` bits, which wraps around or saturates. `docs/arithmetic.md`,
section 3, is the definition, and every integer here equals it.

All values are float32 that hold integers below 2^24, so sums of products are
exact in any order; the register itself is int32.

Shape letters: B batch, C input channels, G groups, K operands of one output,
N outputs.
"""

from collections.abc import Sequence
import dataclasses
import math
import re
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from bnn_jax import errors
from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import straight_through

MODES = ('exact', 'wrap', 'saturate')
UNITS = ('dot', 'popcount')
GRADIENTS = ('straight_through', 'clip')
# Up to this many words are unrolled, so that XLA fuses the register into the
# products; beyond it a scan keeps the time to compile constant.
_UNROLLED_WORDS = 16
# Up to this many groups are separate products: XLA's CPU backend has no fast
# product with a batch axis in the middle.
_UNROLLED_GROUPS = 16


@dataclasses.dataclass(frozen=True)
class Accumulator:
  """A register and the way it is fed.

  Attributes:
    bits: width P, 2 to 24; the range is [-2^(P-1), 2^(P-1) - 1].
    overflow_mode: 'exact' (never overflows), 'wrap' or 'saturate'.
    simd: lanes S summed exactly before each addition; 1 is per-MAC.
    unit: 'dot' adds a word's +-1 sum; 'popcount' adds its number of equal
      bits less half its lanes, and doubles the result.
    gradient: 'straight_through' (1 everywhere), or 'clip' (0 where the exact
      sum is outside the range; for 'saturate' only).

  Raises:
    UserError: a field with a value that no register has.
  """

  bits: int = 16
  overflow_mode: str = 'exact'
  simd: int = 64
  unit: str = 'dot'
  gradient: str = 'straight_through'

  def __post_init__(self):
    for name, valid in (
      ('overflow_mode', MODES), ('unit', UNITS), ('gradient', GRADIENTS),
    ):
      if getattr(self, name) not in valid:
        raise errors.UserError(
          f'{name}={getattr(self, name)!r} does not exist; '
          f'choose one of {", ".join(valid)}.'
        )
    if not _is_integer(self.bits) or not 2 <= self.bits <= 24:
      raise errors.UserError(
        f'accumulator bits={self.bits!r} is not possible; choose 2 to 24.'
      )
    if not _is_integer(self.simd) or self.simd < 1:
      raise errors.UserError(
        f'simd={self.simd!r} is not possible; choose a positive integer.'
      )
    if self.gradient == 'clip' and self.overflow_mode != 'saturate':
      raise errors.UserError(
        f"gradient='clip' does not fit overflow_mode={self.overflow_mode!r}; "
        "choose overflow_mode='saturate' or gradient='straight_through'."
      )

  @property
  def minimum(self) -> int:
    """The lowest value that the register holds."""
    return -(2 ** (self.bits - 1))

  @property
  def maximum(self) -> int:
    """The highest value that the register holds."""
    return 2 ** (self.bits - 1) - 1

  def register(self, value: jax.Array) -> jax.Array:
    """The rule R: int32 `value` as the register holds it."""
    if self.overflow_mode == 'wrap':
      return ((value - self.minimum) & (2**self.bits - 1)) + self.minimum
    if self.overflow_mode == 'saturate':
      return jnp.clip(value, self.minimum, self.maximum)
    return value

  def at(self, path: str) -> 'Accumulator':
    """Itself, whatever the layer; see `LayerAccumulators`."""
    del path
    return self


@dataclasses.dataclass(frozen=True)
class LayerAccumulators:
  """One accumulator for most layers and others for some.

  Attributes:
    default: for layers that no rule names.
    rules: (regular expression, accumulator) pairs; the first whose expression
      is found in a layer's path, such as 'stem/conv', holds.
  """

  default: Accumulator
  rules: tuple[tuple[str, Accumulator], ...] = ()

  def at(self, path: str) -> Accumulator:
    """The accumulator of the layer at `path`."""
    for pattern, accumulator in self.rules:
      if re.search(pattern, path):
        return accumulator
    return self.default


class Telemetry(NamedTuple):
  """Counts of overflow over outputs, int32; `docs/arithmetic.md`, section 4.

  Attributes:
    outputs: how many outputs were counted.
    persistent: the exact sum is outside the range.
    transient: the exact sum is inside, but some exact prefix is outside.
    sign_flip: the result's sign differs from the exact sum's.
    magnitude: sum of each output's largest distance of an exact prefix from
      the range.
  """

  outputs: jax.Array
  persistent: jax.Array
  transient: jax.Array
  sign_flip: jax.Array
  magnitude: jax.Array


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
) -> jax.Array:
  """Matrix product of +-1 operands through `accumulator`.

  Args:
    x: `[..., K]` of +-1.
    w: `[K, N]` of +-1.
    accumulator: the register.
    preload: `[N]` integers in its range that it starts from; 0 by default.

  Returns:
    `[..., N]` float32 integers. The gradient is that of the exact product
    (section 5).

  Raises:
    UserError: shapes that do not fit.
  """
  _check_dense(w)
  flat = x.reshape(-1, x.shape[-1])
  result = accumulate(flat, w, accumulator, preload).result
  return result.reshape(*x.shape[:-1], -1)


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

  Returns:
    `[B, *output, N]` float32 integers. The gradient is that of the exact
    convolution (section 5).

  Raises:
    UserError: shapes or arguments that do not fit.
  """
  return accumulate(
    x, w, accumulator, preload, strides=strides, padding=padding,
    dilation=dilation, groups=groups,
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
) -> Accumulation:
  """`conv` (or `matmul` on `[B, K]`) together with all it can tell.

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

  Returns:
    Result, exact sum and telemetry.
  """
  shape = geometry_lib.geometry(
    x.shape, w.shape, strides, padding, dilation, groups
  )
  scale = 1 if accumulator.unit == 'dot' else 2
  exact = _exact(x, w, shape)
  if preload is not None:
    exact = exact + scale * preload
  m = odd_words(w.shape, accumulator.simd) if scale == 2 else 0
  # An exact sum has the parity of m, so the register's is an integer.
  integer_sum = (exact.astype(jnp.int32) + m) // scale
  trace = None
  if with_telemetry or accumulator.overflow_mode == 'saturate':
    trace = _run_words(x, w, accumulator, preload, shape, with_telemetry)
    register = trace.register
  else:
    # Addition modulo 2^P: wrapping once at the end is wrapping every time.
    register = accumulator.register(integer_sum)
  result = (scale * register - m).astype(exact.dtype)
  surrogate = exact
  if accumulator.gradient == 'clip':
    inside = (integer_sum >= accumulator.minimum) & (
      integer_sum <= accumulator.maximum
    )
    surrogate = jnp.where(inside, exact, lax.stop_gradient(exact))
  counts = None
  if with_telemetry:
    counts = _count(trace, accumulator, result, scale, m)
  return Accumulation(
    straight_through.straight_through(result, surrogate), exact, counts
  )


class _Trace(NamedTuple):
  """State of all registers after some words; exact_* stay 0 if not traced."""

  register: jax.Array
  exact: jax.Array
  lowest: jax.Array
  highest: jax.Array


def _run_words(x, w, accumulator, preload, shape, with_prefixes) -> _Trace:
  """Feeds the registers word by word, int32 `[B, *output, N]`."""
  parts = geometry_lib.words(shape.taps, w.shape[-2], accumulator.simd)
  x, w = lax.stop_gradient((x, w))
  outputs = (x.shape[0], *shape.output_shape(x.shape[1:-1]), w.shape[-1])
  start = jnp.zeros(outputs, jnp.int32)
  if preload is not None:
    start = start + lax.stop_gradient(preload).astype(jnp.int32)
  state = _Trace(start, start, start, start)

  def step(state, word_x, word_w, lanes):
    total = _grouped_dot(word_x, word_w).astype(jnp.int32)
    if accumulator.unit == 'popcount':
      # popcount - floor(n / 2), from total = 2 * popcount - n.
      total = (total + lanes % 2) // 2
    register = accumulator.register(state.register + total)
    if not with_prefixes:
      return state._replace(register=register)
    exact = state.exact + total
    return _Trace(
      register, exact, jnp.minimum(state.lowest, exact),
      jnp.maximum(state.highest, exact),
    )

  patches = geometry_lib.operands(x, shape)
  weights = geometry_lib.grouped_weights(w, shape.groups)
  if len(parts) <= _UNROLLED_WORDS:
    for word in parts:
      lanes = slice(word.start, word.stop)
      state = step(
        state, patches[..., lanes], weights[:, lanes], word.stop - word.start
      )
    return state
  return _scan_words(step, state, patches, weights, parts)


def _scan_words(step, state, patches, weights, parts) -> _Trace:
  """The same by a scan over words of equal length; missing lanes weigh 0."""
  lanes = np.array([word.stop - word.start for word in parts])
  starts = np.array([word.start for word in parts])
  index = starts[:, None] + np.arange(lanes.max())
  present = np.arange(lanes.max()) < lanes[:, None]
  index = np.where(present, index, 0)
  word_x = jnp.moveaxis(patches[..., index], -2, 0)
  word_w = jnp.moveaxis(weights[:, index], 1, 0)
  word_w = word_w * present[:, None, :, None].astype(weights.dtype)

  def body(carry, word):
    return step(carry, *word), None

  return lax.scan(body, state, (word_x, word_w, jnp.asarray(lanes)))[0]


def _grouped_dot(x: jax.Array, w: jax.Array) -> jax.Array:
  """`[..., G, K]` by `[G, K, N // G]` to `[..., N]`, exactly."""
  if w.shape[0] <= _UNROLLED_GROUPS:
    return jnp.concatenate(
      [_dot(x[..., group, :], w[group]) for group in range(w.shape[0])], -1
    )
  y = jnp.einsum('...gk,gkn->...gn', x, w, precision=lax.Precision.HIGHEST)
  return y.reshape(*y.shape[:-2], -1)


def _dot(x: jax.Array, w: jax.Array) -> jax.Array:
  # The default precision is TF32 on recent GPUs and bfloat16 on TPUs, which
  # do not hold the gradient's operands.
  return jnp.matmul(x, w, precision=lax.Precision.HIGHEST)


def _exact(x: jax.Array, w: jax.Array, shape: geometry_lib.Geometry):
  """The sums without a register, by whichever products are fast."""
  if shape.kernel and w.shape[-2] == 1:
    return _depthwise(x, w, shape)
  if shape.kernel and shape.groups == 1:
    return _convolution(x, w, shape)
  kernels = w.reshape(-1, *w.shape[-2:])
  return sum(
    _grouped_dot(
      view.reshape(*view.shape[:-1], shape.groups, -1),
      geometry_lib.grouped_weights(kernel, shape.groups),
    )
    for view, kernel in zip(geometry_lib.taps(x, shape), kernels, strict=True)
  )


def _convolution(x, w, shape):
  axes = 'HW'[: len(shape.kernel)]
  return lax.conv_general_dilated(
    geometry_lib.pad(x, shape), w, shape.strides, 'VALID',
    rhs_dilation=shape.dilation,
    dimension_numbers=(f'N{axes}C', f'{axes}IO', f'N{axes}C'),
    precision=lax.Precision.HIGHEST,
  )


def _depthwise(x, w, shape):
  """One input channel an output: shifted multiply-adds beat a convolution."""
  multiplier = w.shape[-1] // shape.groups
  kernels = w.reshape(-1, w.shape[-1])
  views = geometry_lib.taps(x, shape)
  if multiplier > 1:
    views = [jnp.repeat(view, multiplier, axis=-1) for view in views]
  return sum(
    view * kernel for view, kernel in zip(views, kernels, strict=True)
  )


def _count(trace, accumulator, result, scale, m) -> Telemetry:
  """Telemetry `[B]` from the registers' traces."""
  low, high = accumulator.minimum, accumulator.maximum
  persistent = (trace.exact < low) | (trace.exact > high)
  outside = (trace.lowest < low) | (trace.highest > high)
  distance = jnp.maximum(low - trace.lowest, trace.highest - high)
  flipped = (result >= 0) != (scale * trace.exact - m >= 0)

  def total(values):
    values = values.astype(jnp.int32)
    return jnp.sum(values, axis=tuple(range(1, values.ndim)))

  return Telemetry(
    outputs=total(jnp.ones_like(persistent)),
    persistent=total(persistent),
    transient=total(outside & ~persistent),
    sign_flip=total(flipped),
    magnitude=total(jnp.maximum(distance, 0)),
  )


def _is_integer(value) -> bool:
  return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _check_dense(w: jax.Array) -> None:
  if w.ndim != 2:
    raise errors.UserError(
      f'matmul takes weights [K, N], not {w.shape}; use conv for kernels.'
    )
