"""Integers of a few bits each, one behind the other in bytes.

Bit i of the whole is bit i % 8, from the lowest, of byte i // 8; the lowest bit
of an integer comes first, and negative ones are two's complement.
"""

from collections.abc import Sequence

import numpy as np

from bnn_jax.export import specs


def pack(fields: Sequence[tuple[np.ndarray, specs.Width]]) -> np.ndarray:
  """Packs arrays of integers without gaps.

  Args:
    fields: arrays of any shape, with the width of their elements.

  Returns:
    uint8 `[ceil(bits / 8)]`, the last bits 0.
  """
  pieces = [np.zeros(0, np.uint8)]
  for array, width in fields:
    values = np.asarray(array, np.int64).reshape(-1, 1)
    pieces.append(((values >> np.arange(width.bits)) & 1).astype(np.uint8))
  bits = np.concatenate([piece.reshape(-1) for piece in pieces])
  return np.packbits(bits, bitorder='little')


def unpack(
  data: np.ndarray, offset: int, shape: Sequence[int], bits: int, signed: bool
) -> np.ndarray:
  """Reads one array of what `pack` wrote.

  Args:
    data: uint8, all bytes.
    offset: of its first bit.
    shape: of the array.
    bits: of one element, at most 32.
    signed: whether it is two's complement.

  Returns:
    int32 of `shape`, C order.
  """
  count = int(np.prod(shape, dtype=np.int64))
  first = offset // 8
  last = -(-(offset + count * bits) // 8)
  stream = np.unpackbits(data[first:last], bitorder='little')
  start = offset - 8 * first
  rows = stream[start : start + count * bits].reshape(count, bits)
  values = rows.astype(np.int64) @ (np.int64(1) << np.arange(bits))
  if signed:
    values -= (values >> (bits - 1)) << bits
  return values.astype(np.int32).reshape(shape)
