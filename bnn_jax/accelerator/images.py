"""Rows of bits as the hex files that a memory is loaded from."""

import pathlib

import numpy as np


def rows(values: np.ndarray, width: int) -> np.ndarray:
  """Puts numbers side by side, the first in the lowest bits.

  Args:
    values: integers `[rows, n]`, negative ones as two's complement.
    width: bits of each, at most 63.

  Returns:
    uint8 0 or 1 `[rows, n * width]`, lowest bit first.
  """
  bits = (values.astype(np.int64)[..., None] >> np.arange(width)) & 1
  return bits.astype(np.uint8).reshape(len(values), -1)


def write(path: pathlib.Path, bits: np.ndarray) -> None:
  """Writes one row a line, in the place of what was there.

  Args:
    path: of the file.
    bits: 0 or 1 `[rows, width]`, lowest bit first.
  """
  digits = -(-bits.shape[1] // 4)
  octets = np.packbits(bits, axis=1, bitorder='little')[:, ::-1]
  # Verilator 5.006 loses a last row that no line break ends.
  text = ''.join(row.tobytes().hex()[-digits:] + '\n' for row in octets)
  new = path.with_name(f'{path.name}.new')
  new.write_text(text)
  new.rename(path)
