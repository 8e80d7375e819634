"""Operations of one bit that a network takes on an array.

Of each word: SIMD XNORs, SIMD - 1 additions of the popcount tree and P bits of
the accumulator. Of each output its normalization: a full one a multiplication,
16 P, and 24 bits of a bias; a shift one P and 16; a threshold P. Of each number
added to a stream its R bits. Lanes without an operand count, as they switch.

Where a one-bit weight gives a number another sign (a classifier), a product is
an addition of as many bits as the sum has; where both have several bits, a
multiplication takes the product of the bits, and its sum an addition.
"""

from collections.abc import Sequence
import dataclasses

from bnn_jax import errors
from bnn_jax.accelerator import workload

# Widths of the constants of normalization.
SCALE, FULL_BIAS, SHIFT_BIAS = 16, 24, 16
NORMS = ('threshold', 'shift', 'full', 'full_deep')
# What stays real in a binary network is taken as integers of this width, as
# any accelerator would have it.
REAL_BITS = 8


@dataclasses.dataclass(frozen=True)
class Operations:
  """Bit operations of one inference, by kind.

  Attributes:
    xnor: products.
    tree: additions of the popcount tree.
    accumulator: bits of additions to the accumulators.
    multiplications: products of bits, of full normalization.
    shifts: bits shifted, of shift normalization.
    biases: bits of additions of a bias.
    comparisons: bits compared with thresholds.
    residuals: bits of additions to streams.
    numbers: of layers whose products are more than XNORs.
  """

  xnor: int
  tree: int
  accumulator: int
  multiplications: int
  shifts: int
  biases: int
  comparisons: int
  residuals: int
  numbers: int

  @property
  def total(self) -> int:
    """All of them, the on-chip computation."""
    return sum(dataclasses.astuple(self))


def count(
  layers: Sequence[workload.Layer], *, simd: int, bits: int, norm: str,
  stream: int = 8, real_bits: int = REAL_BITS,
) -> Operations:
  """Counts the operations of a network.

  Args:
    layers: its products.
    simd: lanes of a word.
    bits: P of the accumulators.
    norm: one of `NORMS`.
    stream: R of its streams.
    real_bits: of what is real in the profile.

  Returns:
    Those of one inference.

  Raises:
    UserError: a kind of normalization that does not exist.
  """
  if norm not in NORMS:
    raise errors.UserError(
      f'norm={norm!r} does not exist; choose one of {", ".join(NORMS)}.'
    )
  words = outputs = 0
  for layer in layers:
    if layer.is_binary:
      words += layer.outputs * layer.shape(simd).words
      outputs += layer.outputs
  full, shift = norm in ('full', 'full_deep'), norm == 'shift'
  bias = FULL_BIAS * full + SHIFT_BIAS * shift
  return Operations(
    xnor=words * simd,
    tree=words * (simd - 1),
    accumulator=words * bits,
    multiplications=outputs * SCALE * bits * full,
    shifts=outputs * bits * shift,
    biases=outputs * bias,
    comparisons=outputs * bits * (norm == 'threshold'),
    residuals=stream * sum(layer.additions for layer in layers),
    numbers=sum(_of_numbers(layer, real_bits) for layer in layers),
  )


def _of_numbers(layer: workload.Layer, real_bits: int) -> int:
  if layer.is_binary:
    return 0
  weight, value = widths(layer, real_bits)
  growth = (layer.operands - 1).bit_length()
  if weight == 1:
    return layer.macs * (value + growth)
  return layer.macs * (weight * value + weight + value + growth)


def widths(layer: workload.Layer, real_bits: int) -> tuple[int, int]:
  """Bits of weight and input, real ones (32) as `real_bits`."""
  weight, value = (
    real_bits if bits == 32 else bits
    for bits in (layer.weight_bits, layer.input_bits)
  )
  return weight, value
