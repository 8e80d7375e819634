"""The arithmetic contract in plain Python integers and loops: slow, obvious.

Written from docs/arithmetic.md alone, section by section. It shares nothing
with `bnn_jax`. Operands are nested sequences (lists or arrays) of -1 and +1,
read one element at a time. Every rule that a wrong machine could break is a
function of its own, so that a test can replace exactly that rule.

Letters: B batch, T frames, F mel bins, C channels, K operands, N outputs.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

PADDING = -1


class Machine(NamedTuple):
  """An accumulator: register width, overflow, lanes of a word, unit."""

  bits: int
  overflow_mode: str = 'exact'
  simd: int = 64
  unit: str = 'dot'


class Output(NamedTuple):
  """One output: its result, what was counted about it, its cycles."""

  result: int
  exact: int
  persistent: bool
  transient: bool
  sign_flip: bool
  magnitude: int
  cycles: int


class Telemetry(NamedTuple):
  """Sums over outputs (section 4)."""

  outputs: int
  persistent: int
  transient: int
  sign_flip: int
  magnitude: int


def sign(x: float) -> int:
  """Section 1: zero is positive."""
  return 1 if x >= 0 else -1


# Section 2: geometry and order.


def same_padding(
    size: int, kernel: int, stride: int, dilation: int
) -> tuple[int, int]:
  """Positions added (before, after); the odd one goes after."""
  outputs = -(-size // stride)
  total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
  return total // 2, total - total // 2


def output_size(
    size: int, kernel: int, stride: int, dilation: int, pad: Sequence[int]
) -> int:
  reach = (kernel - 1) * dilation + 1
  return (size + pad[0] + pad[1] - reach) // stride + 1


def taps(kernel: Sequence[int]) -> list[tuple[int, int]]:
  """Kernel positions (time, frequency), in the order they are added."""
  return [(kt, kf) for kt in range(kernel[0]) for kf in range(kernel[1])]


def channels(size: int) -> list[int]:
  """Channels of one tap, in the order they are added."""
  return list(range(size))


def group_of(n: int, outputs: int, groups: int) -> int:
  """The group that writes output n; depthwise: output c * M + m reads c."""
  return n // (outputs // groups)


def words(number_of_taps: int, size: int, simd: int) -> list[list[int]]:
  """Operand numbers of each word; operand = tap * size + channel."""
  if size >= simd:
    return [
        [tap * size + c for c in range(first, min(first + simd, size))]
        for tap in range(number_of_taps)
        for first in range(0, size, simd)
    ]
  whole = simd // size
  return [
      [
          tap * size + c
          for tap in range(first, min(first + whole, number_of_taps))
          for c in range(size)
      ]
      for first in range(0, number_of_taps, whole)
  ]


# Section 3: the register.


def minimum(bits: int) -> int:
  return -(2 ** (bits - 1))


def maximum(bits: int) -> int:
  return 2 ** (bits - 1) - 1


def wrap(v: int, bits: int) -> int:
  return (v + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def clip(v: int, low: int, high: int) -> int:
  return min(max(v, low), high)


def reduce(v: int, machine: Machine) -> int:
  """R(v): what the register keeps of a lossless sum."""
  if machine.overflow_mode == 'wrap':
    return wrap(v, machine.bits)
  if machine.overflow_mode == 'saturate':
    return clip(v, minimum(machine.bits), maximum(machine.bits))
  return v


def half(lanes: int) -> int:
  """What the popcount unit subtracts from a word's popcount."""
  return lanes // 2


def word_sum(products: Sequence[int], unit: str) -> int:
  """u_t of one word: its dot product, or its popcount less half its lanes."""
  if unit == 'popcount':
    return sum(1 for p in products if p == 1) - half(len(products))
  return sum(products)


def distance(v: int, bits: int) -> int:
  """How far outside the range a value lies; 0 inside."""
  return max(minimum(bits) - v, v - maximum(bits), 0)


def accumulate(
    products: Sequence[int], cut: Sequence[Sequence[int]], machine: Machine,
    preload: int,
) -> Output:
  """Runs one output's register over its words."""
  register = exact = preload
  largest = odd = 0
  for word in cut:
    u = word_sum([products[i] for i in word], machine.unit)
    register = reduce(register + u, machine)
    exact += u
    largest = max(largest, distance(exact, machine.bits))
    odd += len(word) % 2
  result, ideal = register, exact
  if machine.unit == 'popcount':
    result, ideal = 2 * register - odd, 2 * exact - odd
  persistent = distance(exact, machine.bits) > 0
  return Output(
      result=result,
      exact=ideal,
      persistent=persistent,
      transient=largest > 0 and not persistent,
      sign_flip=sign(result) != sign(ideal),
      magnitude=largest,
      cycles=len(cut),
  )


# Layers: nested lists of `Output`.


def matmul(x: Any, w: Any, machine: Machine, preload: Any = None) -> Any:
  """Takes x [..., K], w [K, N] -> [..., N]; one tap of K operands."""
  if len(x) and hasattr(x[0], '__len__'):
    return [matmul(row, w, machine, preload) for row in x]
  cut = words(1, len(x), machine.simd)
  order = channels(len(x))
  return [
      accumulate(
          [int(x[k]) * int(w[k][n]) for k in order],
          cut,
          machine,
          start(preload, n),
      )
      for n in range(len(w[0]))
  ]


def start(preload: Any, n: int) -> int:
  return 0 if preload is None else int(preload[n])


def conv(
    x: Any,
    w: Any,
    machine: Machine,
    preload: Any = None,
    *,
    strides: Any = 1,
    padding: Any = 'SAME',
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
  """Takes x [B, T(, F), C], w [*kernel, C/groups, N] -> [B, ..., N]."""
  if depth(w) == 4:
    strides, dilation = each(strides, 2), each(dilation, 2)
    return conv2d(x, w, machine, preload, strides, padding, dilation, groups)
  x = [[[frame] for frame in clip_] for clip_ in x]
  w = [[tap] for tap in w]
  strides = [*each(strides, 1), 1]
  dilation = [*each(dilation, 1), 1]
  if not isinstance(padding, str):
    padding = [*padding, (0, 0)]
  y = conv2d(x, w, machine, preload, strides, padding, dilation, groups)
  return [[frame[0] for frame in clip_] for clip_ in y]


def depth(nested: Any) -> int:
  return 1 + depth(nested[0]) if hasattr(nested, '__len__') else 0


def each(value: Any, axes: int) -> list[int]:
  return [value] * axes if isinstance(value, int) else list(value)


def pads(
    size: Sequence[int], kernel: Sequence[int], strides: Sequence[int],
    padding: Any, dilation: Sequence[int],
) -> list[tuple[int, int]]:
  if padding == 'SAME':
    return [
        same_padding(*axis)
        for axis in zip(size, kernel, strides, dilation, strict=True)
    ]
  if padding == 'VALID':
    return [(0, 0)] * len(size)
  return [(int(before), int(after)) for before, after in padding]


def conv2d(
    x: Any, w: Any, machine: Machine, preload: Any, strides: Sequence[int],
    padding: Any, dilation: Sequence[int], groups: int,
) -> Any:
  """Takes x [B, T, F, C], w [kT, kF, C/groups, N] -> [B, T', F', N]."""
  size = len(x[0]), len(x[0][0])
  kernel = len(w), len(w[0])
  pad = pads(size, kernel, strides, padding, dilation)
  out = [
      output_size(*axis)
      for axis in zip(size, kernel, strides, dilation, pad, strict=True)
  ]
  outputs = len(w[0][0][0])
  own = len(w[0][0])
  cut = words(len(taps(kernel)), own, machine.simd)

  def read(clip_: Any, t: int, f: int, c: int) -> int:
    inside = 0 <= t < size[0] and 0 <= f < size[1]
    return int(clip_[t][f][c]) if inside else PADDING

  def output(clip_: Any, t: int, f: int, n: int) -> Output:
    first = group_of(n, outputs, groups) * own
    products = [
        read(
            clip_,
            t * strides[0] - pad[0][0] + kt * dilation[0],
            f * strides[1] - pad[1][0] + kf * dilation[1],
            first + c,
        ) * int(w[kt][kf][c][n])
        for kt, kf in taps(kernel)
        for c in channels(own)
    ]
    return accumulate(products, cut, machine, start(preload, n))

  return [
      [
          [[output(clip_, t, f, n) for n in range(outputs)]
           for f in range(out[1])]
          for t in range(out[0])
      ]
      for clip_ in x
  ]


def outputs_of(nested: Any) -> Iterator[Output]:
  """The outputs of a layer, row-major."""
  if isinstance(nested, Output):
    yield nested
  else:
    for part in nested:
      yield from outputs_of(part)


def results(nested: Any) -> Any:
  """The same nesting, each output replaced by its integer result."""
  if isinstance(nested, Output):
    return nested.result
  return [results(part) for part in nested]


# Section 4: overflow.


def telemetry(nested: Any) -> Telemetry:
  flat = list(outputs_of(nested))

  def total(count: Callable[[Output], int]) -> int:
    return sum(int(count(output)) for output in flat)

  return Telemetry(
      outputs=len(flat),
      persistent=total(lambda o: o.persistent),
      transient=total(lambda o: o.transient),
      sign_flip=total(lambda o: o.sign_flip),
      magnitude=total(lambda o: o.magnitude),
  )
