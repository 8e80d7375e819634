"""The engine that runs on every backend, and the reference for the others.

Shape letters: B batch, C input channels, G groups, K operands of one output,
N outputs.
"""

from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import overflow_counts
from bnn_jax.nn import products
from bnn_jax.nn import register

# Up to this many words are unrolled, so that XLA fuses the register into the
# products; beyond it a scan keeps the time to compile constant.
_UNROLLED_WORDS = 16


class _Trace(NamedTuple):
  """State of all registers after some words; exact_* stay 0 if not traced."""

  register: jax.Array
  exact: jax.Array
  lowest: jax.Array
  highest: jax.Array


def run(
  x: jax.Array,
  w: jax.Array,
  preload: jax.Array | None,
  total: jax.Array,
  accumulator: register.Accumulator,
  shape: geometry_lib.Geometry,
  with_prefixes: bool,
) -> tuple[jax.Array, overflow_counts.Prefixes | None]:
  """What the registers hold in the end; has no derivatives.

  Args:
    x: `[B, *spatial, C]` of +-1.
    w: `[*kernel, C // G, N]` of +-1.
    preload: `[N]` or None.
    total: `[B, *output, N]` exact sums in units of the register, int32.
    accumulator: the register.
    shape: geometry of the convolution.
    with_prefixes: also trace the exact sums.

  Returns:
    The registers `[B, *output, N]`, int32, and the exact sums if asked for.
  """
  if accumulator.overflow_mode != 'saturate' and not with_prefixes:
    # Addition modulo 2^P: wrapping once at the end is wrapping every time.
    return accumulator.register(total), None
  trace = _run_words(x, w, accumulator, preload, shape, with_prefixes)
  prefixes = None
  if with_prefixes:
    prefixes = overflow_counts.Prefixes(
      trace.exact, trace.lowest, trace.highest
    )
  return trace.register, prefixes


def _run_words(x, w, accumulator, preload, shape, with_prefixes) -> _Trace:
  """Feeds the registers word by word, int32 `[B, *output, N]`."""
  parts = geometry_lib.words(shape.taps, w.shape[-2], accumulator.simd)
  outputs = (x.shape[0], *shape.output_shape(x.shape[1:-1]), w.shape[-1])
  start = jnp.zeros(outputs, jnp.int32)
  if preload is not None:
    start = start + preload.astype(jnp.int32)
  state = _Trace(start, start, start, start)

  def step(state, word_x, word_w, lanes):
    total = products.grouped_dot(word_x, word_w).astype(jnp.int32)
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
