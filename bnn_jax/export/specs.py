"""The layers of an exported network: integers and shapes, nothing to train.

A network is a list of layers in the order of their computation. Each names the
arrays that it reads and gives one array its own name; the network's input is
`q`, its output the last layer's. `docs/arithmetic.md` defines what each layer
computes, `docs/export.md` how it is written.

Shape letters: C input channels, C_g channels of a group, N outputs, F mel bins.
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any
from typing import ClassVar
from typing import NamedTuple

import numpy as np

INPUT = 'q'
SHIFT_BITS = 4
BIAS_BITS = 16
PRELU_SHIFT_BITS = 3
CLASSIFIER_BIAS_BITS = 24
MODES = ('exact', 'wrap', 'saturate')
UNITS = ('dot', 'popcount')


@dataclasses.dataclass(frozen=True)
class Stream:
  """Format of a residual stream: value = integer * 2^-fraction_bits.

  Attributes:
    bits: R, of the signed integer.
    fraction_bits: F, of which behind the point.
  """

  bits: int
  fraction_bits: int


@dataclasses.dataclass(frozen=True)
class Accumulator:
  """The register of a convolution (`docs/arithmetic.md`, section 3).

  Attributes:
    bits: P.
    overflow_mode: 'exact', 'wrap' or 'saturate'.
    simd: S, lanes of a word.
    unit: 'dot' or 'popcount'.
  """

  bits: int
  overflow_mode: str
  simd: int
  unit: str


class Width(NamedTuple):
  """How an array's elements are stored.

  Attributes:
    bits: of one element.
    signed: two's complement, otherwise not negative.
    axes: names of its axes; the last varies fastest.
  """

  bits: int
  signed: bool
  axes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Thermometer:
  """Comparisons q >= threshold; channel f * levels + i.

  Attributes:
    name: of its output.
    inputs: (q,).
    input_bits: B, of q.
    thresholds: `[F, levels]`, ascending in each row.
    silence: frames of q = 0 before and after the clip; None is none.
  """

  KIND: ClassVar[str] = 'thermometer'
  name: str
  inputs: tuple[str, ...]
  input_bits: int
  thresholds: np.ndarray
  silence: tuple[int, int] | None = None

  @property
  def around(self) -> tuple[int, int]:
    """The silence, with its zeros."""
    return self.silence or (0, 0)

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    return {'thresholds': Width(self.input_bits, False, ('bin', 'level'))}


@dataclasses.dataclass(frozen=True, eq=False)
class Conv:
  """Binary convolution; without a kernel, a dense layer at each position.

  Attributes:
    name: of its output.
    inputs: (bits,).
    kernel: its size along each spatial axis.
    strides: between outputs, along each axis.
    padding: (before, after) along each axis, of the value -1.
    dilation: between taps, along each axis.
    groups: of channels.
    accumulator: the register.
    weights: bits `[N, *kernel, C_g]`.
    preload: `[N]` what the registers start at; None is 0 everywhere.
  """

  KIND: ClassVar[str] = 'conv'
  name: str
  inputs: tuple[str, ...]
  kernel: tuple[int, ...]
  strides: tuple[int, ...]
  padding: tuple[tuple[int, int], ...]
  dilation: tuple[int, ...]
  groups: int
  accumulator: Accumulator
  weights: np.ndarray
  preload: np.ndarray | None = None

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    spatial = ('time', 'frequency')[: len(self.kernel)]
    widths = {'weights': Width(1, False, ('output', *spatial, 'channel'))}
    if self.preload is not None:
      bits = self.accumulator.bits
      widths['preload'] = Width(bits, True, ('output',))
    return widths

  @property
  def words(self) -> tuple[int, ...]:
    """Lanes of each word of one output, in the order of their cycles."""
    return word_lanes(
      math.prod(self.kernel), self.weights.shape[-1], self.accumulator.simd
    )

  @property
  def odd_words(self) -> int:
    """Words with an odd number of lanes: m, of the unit 'popcount'."""
    return sum(lanes % 2 for lanes in self.words)

  @property
  def safe_bits(self) -> int:
    """Width of a register that no input can overflow."""
    steps = self.words
    if self.accumulator.unit == 'popcount':
      steps = tuple((lanes + 1) // 2 for lanes in steps)
    start = 0 if self.preload is None else int(np.abs(self.preload).max())
    return max(2, (start + sum(steps)).bit_length() + 1)

  @property
  def register_bits(self) -> int:
    """P; of a register that never overflows, the width that it needs."""
    if self.accumulator.overflow_mode == 'exact':
      return self.safe_bits
    return self.accumulator.bits

  @property
  def overflow_free(self) -> bool:
    """Whether no input can overflow the register."""
    return self.safe_bits <= self.register_bits


@dataclasses.dataclass(frozen=True, eq=False)
class ShiftBatchNorm:
  """sat_R(shift(a, s) + b) of a convolution's results.

  Attributes:
    name: of its output.
    inputs: (results,).
    stream: format of the output.
    shift: s `[C]`.
    bias: b `[C]`.
  """

  KIND: ClassVar[str] = 'shift_batch_norm'
  name: str
  inputs: tuple[str, ...]
  stream: Stream
  shift: np.ndarray
  bias: np.ndarray

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    return {
      'shift': Width(SHIFT_BITS, True, ('channel',)),
      'bias': Width(BIAS_BITS, True, ('channel',)),
    }


@dataclasses.dataclass(frozen=True, eq=False)
class Threshold:
  """Bits acc >= t of a convolution's registers.

  Attributes:
    name: of its output.
    inputs: (results,).
    register_bits: P; t = 2^(P-1) is never met, t = -2^(P-1) always.
    thresholds: t `[C]`, in units of the register.
  """

  KIND: ClassVar[str] = 'threshold'
  name: str
  inputs: tuple[str, ...]
  register_bits: int
  thresholds: np.ndarray

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    return {'thresholds': Width(self.register_bits + 1, True, ('channel',))}


@dataclasses.dataclass(frozen=True, eq=False)
class Shortcut:
  """Every stride-th position but some at the edges; zeros appended.

  Attributes:
    name: of its output.
    inputs: (stream,).
    strides: along each spatial axis.
    channels: of the output; those behind the input's are zeros.
    crop: positions dropped (before, after) along each axis; None drops none.
  """

  KIND: ClassVar[str] = 'shortcut'
  name: str
  inputs: tuple[str, ...]
  strides: tuple[int, ...]
  channels: int
  crop: tuple[tuple[int, int], ...] | None = None

  @property
  def edges(self) -> tuple[tuple[int, int], ...]:
    """The crop, with its zeros."""
    if self.crop is None:
      return ((0, 0),) * len(self.strides)
    return self.crop

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    return {}


@dataclasses.dataclass(frozen=True, eq=False)
class Slice:
  """Some of the channels of a stream, side by side.

  Attributes:
    name: of its output.
    inputs: (stream,).
    start: the first of them.
    channels: how many.
  """

  KIND: ClassVar[str] = 'slice'
  name: str
  inputs: tuple[str, ...]
  start: int
  channels: int

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    return {}


@dataclasses.dataclass(frozen=True, eq=False)
class Reshape:
  """The same values in the same order, with other axes.

  Attributes:
    name: of its output.
    inputs: (bits or stream,).
    shape: of one clip's output, channels last.
  """

  KIND: ClassVar[str] = 'reshape'
  name: str
  inputs: tuple[str, ...]
  shape: tuple[int, ...]

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    return {}


@dataclasses.dataclass(frozen=True, eq=False)
class MaxPool:
  """The largest of each window; windows lie side by side.

  Attributes:
    name: of its output.
    inputs: (stream,).
    window: its size along each spatial axis; what no window holds is dropped.
  """

  KIND: ClassVar[str] = 'max_pool'
  name: str
  inputs: tuple[str, ...]
  window: tuple[int, ...]

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    return {}


@dataclasses.dataclass(frozen=True, eq=False)
class AveragePool:
  """floor(sum / N) of each window of N positions, a power of two.

  Attributes:
    name: of its output.
    inputs: (stream,).
    window: as of `MaxPool`.
  """

  KIND: ClassVar[str] = 'average_pool'
  name: str
  inputs: tuple[str, ...]
  window: tuple[int, ...]

  @property
  def shift(self) -> int:
    """log2 N."""
    return math.prod(self.window).bit_length() - 1

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    return {}


@dataclasses.dataclass(frozen=True, eq=False)
class Add:
  """sat_R(r + y).

  Attributes:
    name: of its output.
    inputs: (r, y), streams.
    stream: format of both and of the sum.
  """

  KIND: ClassVar[str] = 'add'
  name: str
  inputs: tuple[str, ...]
  stream: Stream

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    return {}


@dataclasses.dataclass(frozen=True, eq=False)
class ShiftPReLU:
  """sat_R(f(y - g) + h), f(z) = z if z >= 0 else floor(z / 2^k).

  Attributes:
    name: of its output.
    inputs: (stream,).
    stream: format of input and output.
    k: `[C]`.
    g: `[C]`.
    h: `[C]`.
  """

  KIND: ClassVar[str] = 'shift_prelu'
  name: str
  inputs: tuple[str, ...]
  stream: Stream
  k: np.ndarray
  g: np.ndarray
  h: np.ndarray

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    return {
      'k': Width(PRELU_SHIFT_BITS, False, ('channel',)),
      'g': Width(self.stream.bits, True, ('channel',)),
      'h': Width(self.stream.bits, True, ('channel',)),
    }


@dataclasses.dataclass(frozen=True, eq=False)
class RSign:
  """Bits r >= theta.

  Attributes:
    name: of its output.
    inputs: (stream,).
    stream: format of the input.
    theta: `[C]`; 2^(R-1) is never met.
  """

  KIND: ClassVar[str] = 'rsign'
  name: str
  inputs: tuple[str, ...]
  stream: Stream
  theta: np.ndarray

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    return {'theta': Width(self.stream.bits + 1, True, ('channel',))}


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier:
  """Sums over positions, times +-1 weights, plus a bias; exact.

  Attributes:
    name: of its output.
    inputs: (stream,).
    stream: format of the input.
    weights: bits `[N, C]`.
    bias: `[N]`.
  """

  KIND: ClassVar[str] = 'classifier'
  name: str
  inputs: tuple[str, ...]
  stream: Stream
  weights: np.ndarray
  bias: np.ndarray

  def widths(self) -> dict[str, Width]:
    """Storage of each array."""
    return {
      'weights': Width(1, False, ('output', 'channel')),
      'bias': Width(CLASSIFIER_BIAS_BITS, True, ('output',)),
    }


Layer = (
  Thermometer | Conv | ShiftBatchNorm | Threshold | Shortcut | Slice | Reshape
  | MaxPool | AveragePool | Add | ShiftPReLU | RSign | Classifier
)


@dataclasses.dataclass(frozen=True)
class Input:
  """What a clip enters as: q = clip(floor((x - lo) * 2^-exponent), 0, 2^B - 1).

  Attributes:
    frames: T.
    bins: F.
    bits: B.
    lo: the feature of q = 0.
    exponent: one step of q is 2^exponent.
  """

  frames: int
  bins: int
  bits: int
  lo: float
  exponent: int


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
  """An exported network.

  Attributes:
    input: format of q.
    front_end: settings of the features, by name; `settings.check` knows them.
    class_names: in the order of the logits.
    layers: in the order of their computation; the last is the classifier.
    provenance: what made it, for the record.
  """

  input: Input
  front_end: dict[str, Any]
  class_names: tuple[str, ...]
  layers: tuple[Layer, ...]
  provenance: dict[str, Any]


def word_lanes(taps: int, channels: int, simd: int) -> tuple[int, ...]:
  """Lanes of each word (`docs/arithmetic.md`, section 2).

  Args:
    taps: kernel positions.
    channels: C_g.
    simd: S.

  Returns:
    One number a word; their sum is taps * channels.
  """
  if channels >= simd:
    whole, rest = divmod(channels, simd)
    return ((simd,) * whole + (rest,) * (rest > 0)) * taps
  together = simd // channels
  whole, rest = divmod(taps, together)
  return (together * channels,) * whole + (rest * channels,) * (rest > 0)


def widths(layers: Sequence[Layer]) -> list[tuple[np.ndarray, Width]]:
  """Every array of some layers, with its storage, in the order of the file."""
  return [
    (getattr(layer, name), width)
    for layer in layers
    for name, width in layer.widths().items()
  ]


def information_bits(model: Model) -> int:
  """Bits of all weights and integers in their declared widths."""
  return sum(array.size * width.bits for array, width in widths(model.layers))
