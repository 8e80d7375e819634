"""The register that sums are held in, by its width, rule and feeding."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax import errors

MODES = ('exact', 'wrap', 'saturate')
UNITS = ('dot', 'popcount')
GRADIENTS = ('straight_through', 'clip')


@dataclasses.dataclass(frozen=True)
class Accumulator:
  """A register and the way it is fed.

  Attributes:
    bits: width P, 2 to 24 (23 for 'popcount', whose result has a bit more); the
      range is [-2^(P-1), 2^(P-1) - 1].
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
    # Its results, odd ones among them, would be no float32 integers.
    if self.unit == 'popcount' and self.bits > 23:
      raise errors.UserError(
        f"accumulator bits={self.bits!r} does not fit unit='popcount'; choose "
        "2 to 23 bits, or unit='dot'."
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

  def widened(self, value: jax.Array, factor: jax.Array) -> jax.Array:
    """The rule R, of a range that is `factor` times as wide.

    Args:
      value: int32 sums, formed exactly.
      factor: real, at least 1 and small enough for int32.

    Returns:
      As a register of that range holds them at the end. One that saturates on
      its way there may hold something else.
    """
    half = jnp.round(-self.minimum * factor).astype(jnp.int32)
    if self.overflow_mode == 'wrap':
      return jnp.mod(value + half, 2 * half) - half
    if self.overflow_mode == 'saturate':
      return jnp.clip(value, -half, half - 1)
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


def _is_integer(value) -> bool:
  return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
