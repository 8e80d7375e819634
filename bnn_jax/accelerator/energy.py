"""Energy of operations and memories in 45 nm at 0.9 V, in pJ.

Mark Horowitz, "Computing's Energy Problem (and what we can do about it)",
ISSCC 2014, figure 1.1.9. What lies between its points is interpolated: an adder
grows with its bits, a multiplier with their square, and a memory by a power of
its size from point to point. A gate of one bit counts as a bit of an adder.
"""

import itertools
import math

# Bits of an integer: energy of its addition and multiplication.
ADDITIONS = {32: 0.1}
MULTIPLICATIONS = {8: 0.2, 32: 3.1}
# Bytes of a static memory: energy of reading 64 bits.
MEMORIES = {8 * 2**10: 10.0, 32 * 2**10: 20.0, 2**20: 100.0}
# What is larger is not on the chip: 64 bits of DRAM take 1300 to 2600.
ON_CHIP = 4 * 2**20
DRAM = 1300.0
_WORD = 64


def addition(bits: int) -> float:
  """Of two integers of so many bits; 1 for a gate."""
  return ADDITIONS[32] / 32 * bits


def multiplication(bits: int, other: int) -> float:
  """Of two integers, by the parabola through the points and 0."""
  small, large = 8, 32
  square = (
    MULTIPLICATIONS[large] / large - MULTIPLICATIONS[small] / small
  ) / (large - small)
  linear = MULTIPLICATIONS[small] / small - square * small
  return square * bits * other + linear * (bits + other) / 2


def memory(moved: int, size: float) -> float:
  """Of moving bits between an array and a memory.

  Args:
    moved: bits read and written.
    size: of the memory, in bytes. Below the smallest point the energy goes on
      falling as the square root of it, above the largest it rises as between
      the last two, until the memory is a DRAM.

  Returns:
    The energy.
  """
  if size > ON_CHIP:
    return DRAM * moved / _WORD
  points = sorted(MEMORIES.items())
  pairs = list(itertools.pairwise(points))
  low, high = next(
    (pair for pair in pairs if size <= pair[1][0]), pairs[-1]
  )
  power = math.log(high[1] / low[1]) / math.log(high[0] / low[0])
  word = low[1] * (max(size, 1) / low[0]) ** power
  return word * moved / _WORD
