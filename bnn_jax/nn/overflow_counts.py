"""Overflow counted from exact prefixes; `docs/arithmetic.md`, section 4."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bnn_jax.nn import register


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


class Prefixes(NamedTuple):
  """Exact sums `[B, *output, N]`, int32, in units of the register.

  Attributes:
    last: the sum of all words.
    lowest: the smallest prefix.
    highest: the largest prefix.
  """

  last: jax.Array
  lowest: jax.Array
  highest: jax.Array


def count(
  prefixes: Prefixes,
  accumulator: register.Accumulator,
  result: jax.Array,
  exact: jax.Array,
) -> Telemetry:
  """Counts the overflow of each example.

  Args:
    prefixes: the exact sums on the way.
    accumulator: the register.
    result: `[B, *output, N]`, what the accumulator gave.
    exact: the same without overflow.

  Returns:
    Counts `[B]`.
  """
  low, high = accumulator.minimum, accumulator.maximum
  persistent = (prefixes.last < low) | (prefixes.last > high)
  outside = (prefixes.lowest < low) | (prefixes.highest > high)
  distance = jnp.maximum(low - prefixes.lowest, prefixes.highest - high)

  def total(values):
    values = values.astype(jnp.int32)
    return jnp.sum(values, axis=tuple(range(1, values.ndim)))

  return Telemetry(
    outputs=total(jnp.ones_like(persistent)),
    persistent=total(persistent),
    transient=total(outside & ~persistent),
    sign_flip=total((result >= 0) != (exact >= 0)),
    magnitude=total(jnp.maximum(distance, 0)),
  )
