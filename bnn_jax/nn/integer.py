"""Deployed integer arithmetic between the products; no multiplication.

Every function takes integers, held in int32 or in float32 (below 2^24), with
channels last, and returns integers of the same dtype, equal for both.
`docs/arithmetic.md`, sections 6 and 7, is the definition.
"""

import dataclasses

import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax import errors

SHIFT_MIN, SHIFT_MAX = -8, 7


@dataclasses.dataclass(frozen=True)
class StreamFormat:
  """Fixed-point format of a residual stream: value = integer * 2^-fraction.

  Attributes:
    bits: width R of the signed integer.
    fraction_bits: F, how many of them lie behind the point.

  Raises:
    UserError: a width that no stream has.
  """

  bits: int = 8
  fraction_bits: int = 4

  def __post_init__(self):
    if not 2 <= self.bits <= 16 or not 0 <= self.fraction_bits < self.bits:
      raise errors.UserError(
        f'a stream of {self.bits} bits with {self.fraction_bits} fraction bits '
        'is not possible; choose 2 to 16 bits and fewer fraction bits.'
      )

  @property
  def minimum(self) -> int:
    """The lowest integer of the stream."""
    return -(2 ** (self.bits - 1))

  @property
  def maximum(self) -> int:
    """The highest integer of the stream."""
    return 2 ** (self.bits - 1) - 1


def saturate(v: jax.Array, bits: int) -> jax.Array:
  """`v` clipped to the range of a signed integer of `bits` bits."""
  return jnp.clip(v, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def power_of_two(exponent: jax.Array) -> jax.Array:
  """2^exponent as float32, exact for integers in [-126, 127].

  The exponent is written into the float's bits, since exp2 rounds on some
  backends.
  """
  field = (exponent.astype(jnp.int32) + 127) << 23
  return lax.bitcast_convert_type(field, jnp.float32)


def shift(a: jax.Array, s: jax.Array) -> jax.Array:
  """Computes a * 2^s for s >= 0, floor(a / 2^-s) for s < 0."""
  if jnp.issubdtype(a.dtype, jnp.integer):
    left = jnp.left_shift(a, jnp.maximum(s, 0).astype(a.dtype))
    return jnp.right_shift(left, jnp.maximum(-s, 0).astype(a.dtype))
  return jnp.floor(a * power_of_two(s))


def shift_batch_norm(
  a: jax.Array, s: jax.Array, b: jax.Array, bits: int
) -> jax.Array:
  """sat_R(shift(a, s) + b) for accumulator results `a` `[..., C]`."""
  return saturate(shift(a, s) + b, bits)


def shift_prelu(
  y: jax.Array, k: jax.Array, g: jax.Array, h: jax.Array, bits: int
) -> jax.Array:
  """sat_R(f(y - g) + h), f(z) = z for z >= 0 and floor(z / 2^k) below."""
  z = y - g
  return saturate(jnp.where(z >= 0, z, shift(z, -k)) + h, bits)


def rsign(r: jax.Array, theta: jax.Array) -> jax.Array:
  """+1 where r >= theta, else -1."""
  return jnp.where(r >= theta, 1, -1).astype(r.dtype)
