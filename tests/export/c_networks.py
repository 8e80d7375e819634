"""Networks of many convolutions beside each other, for the C engine."""

import dataclasses

import numpy as np

from bnn_jax.export import specs
from tests.export import networks

# A clip's bits have 160 channels, which many numbers of groups divide.
FRAMES, BINS, LEVELS = 9, 8, 20
CHANNELS = BINS * LEVELS


@dataclasses.dataclass(frozen=True)
class Case:
  """One convolution: register, outputs and geometry."""

  register: specs.Accumulator
  outputs: int
  kernel: tuple[int, ...] = (3,)
  stride: int = 1
  dilation: int = 1
  padding: tuple[int, int] = (1, 1)
  groups: int = 1
  preload: bool = False
  # Weights of +1 alone, of which a silent clip has all lanes unequal.
  ones: bool = False


def register(
  bits: int, mode: str = 'saturate', simd: int = 64, unit: str = 'dot'
) -> specs.Accumulator:
  return specs.Accumulator(bits, mode, simd, unit)


# Those whose words, widths and edges each meet another piece of the C code.
CASES = [
  Case(register(5), 96),
  Case(register(4, simd=128), 64),
  Case(register(8, simd=127), 70, preload=True),
  Case(register(8, simd=128), 70, preload=True),
  Case(register(6, simd=300), 20, preload=True),
  Case(register(9, simd=32), 100, preload=True),
  Case(register(5, simd=5), 16),
  Case(register(4, simd=1), 18, (2,), padding=(0, 0), preload=True),
  Case(register(6, simd=16, unit='popcount'), 33, groups=1, preload=True),
  Case(register(4, simd=7, unit='popcount'), 33),
  Case(register(4, simd=200, unit='popcount'), 65, (5,), padding=(2, 2)),
  Case(register(4, simd=64), 160, groups=4, stride=2),
  Case(register(4, simd=64), 160, groups=5, dilation=2, padding=(2, 2)),
  Case(register(4, simd=24), 160, (5,), groups=20, preload=True),
  Case(register(4, simd=12, unit='popcount'), 64, (4,), groups=32),
  Case(register(3, simd=2), 160, (7,), padding=(3, 3), groups=160),
  Case(register(4, simd=64), 48, (1,), 3, padding=(0, 0)),
  Case(register(4, simd=64), 48, (), padding=(0, 0), preload=True),
  Case(register(4, simd=64), 40, (3,), padding=(5, 0)),
  Case(register(4, simd=64), 40, (9,), padding=(0, 0)),
  Case(register(5), 8),
  Case(register(4, simd=100), 8, groups=2, preload=True),
  Case(register(6, 'wrap'), 96),
  Case(register(4, 'wrap', 5, 'popcount'), 20, preload=True),
  Case(register(8, 'wrap'), 64, groups=2),
  Case(register(9, 'wrap', 7), 64, preload=True),
  Case(register(7, 'wrap', 13, 'popcount'), 12),
  Case(register(9, 'wrap', 13, 'popcount'), 31, (5,), dilation=2),
  Case(register(4, 'exact'), 96, preload=True),
  Case(register(4, 'exact', 9, 'popcount'), 20),
  Case(register(12, simd=8), 32, preload=True),
  Case(register(11, 'wrap', 7), 16, ones=True),
  Case(register(9, simd=400), 16, ones=True),
  Case(register(4, 'exact', 1), 20, (7,), groups=20),
  # One full word that ends inside a byte, and a rest behind it.
  Case(register(5, simd=60), 40, (), padding=(0, 0), groups=2),
  Case(register(4, simd=64), 160, (5,), padding=(2, 2), groups=8),
]

# Those that 16 bits do not hold.
WIDE = [
  Case(register(16, simd=16), 40, preload=True),
  Case(register(16, simd=9, unit='popcount'), 40, preload=True),
  Case(register(16, 'wrap'), 40, preload=True),
  Case(register(24, 'wrap'), 40, preload=True),
  Case(register(24, simd=400), 20, preload=True),
  Case(register(20, 'exact', 7, 'popcount'), 20, preload=True),
  Case(register(5), 40),
]


def side_by_side(
  cases: list[Case], seed: int = 0, stream: specs.Stream = networks.STREAM
) -> specs.Model:
  """All convolutions read the same bits; those that follow use all results.

  Args:
    cases: the convolutions.
    seed: of all numbers.
    stream: format of the streams.
  """
  make = networks.Maker(seed, cases[0].register)
  layers: list[specs.Layer] = [
    specs.Thermometer('encode', ('q',), 8, thresholds(make))
  ]
  for i, case in enumerate(cases):
    layers += _branch(make, f'conv{i}', case, stream)
  last = layers[-2]
  channels = len(last.g)
  layers.append(specs.Classifier(
    'classifier', (last.name,), stream, make.integers(0, 1, 3, channels),
    make.integers(-99, 99, 3),
  ))
  return specs.Model(
    specs.Input(FRAMES, BINS, 8, -1.5, -4), {'sample_rate': 8000},
    ('yes', 'a "b"\\', 'né??/'), tuple(layers), {},
  )


def thresholds(make: networks.Maker) -> np.ndarray:
  rows = [make.random.permutation(250)[:LEVELS] + 1 for _ in range(BINS)]
  return np.sort(np.stack(rows)).astype(np.int32)


def _branch(make, name, case, stream) -> list[specs.Layer]:
  axes = len(case.kernel)
  make.register = case.register
  conv = make.conv(
    name, 'encode', CHANNELS, case.outputs, case.kernel,
    (case.padding,) * axes, strides=(case.stride,) * axes,
    dilation=(case.dilation,) * axes, groups=case.groups,
    preload=make.preload(case.outputs) if case.preload else None,
  )
  if case.ones:
    conv = dataclasses.replace(conv, weights=np.ones_like(conv.weights))
  limit = 2 ** (conv.register_bits - 1)
  half = 2 ** (stream.bits - 1)
  n = case.outputs
  return [
    conv,
    specs.Threshold(
      f'{name}/bits', (name,), conv.register_bits,
      edges(make, -limit, limit, n),
    ),
    specs.ShiftBatchNorm(
      f'{name}/norm', (name,), stream, make.integers(-8, 7, n),
      make.integers(-(2**15), 2**15 - 1, n) // 2 ** make.integers(0, 15, n),
    ),
    specs.ShiftPReLU(
      f'{name}/act', (f'{name}/norm',), stream, make.integers(0, 7, n),
      edges(make, -half, half - 1, n), edges(make, -half, half - 1, n),
    ),
    specs.RSign(
      f'{name}/sign', (f'{name}/act',), stream, edges(make, -half, half, n)
    ),
  ]


def edges(make, low: int, high: int, count: int) -> np.ndarray:
  """Small integers, of which the first are the ends of the range."""
  values = np.clip(make.integers(-6, 6, count), low, high)
  values[:2] = low, high
  return values


def clips(count: int, seed: int = 0) -> np.ndarray:
  random = np.random.default_rng(seed)
  q = random.integers(0, 256, (count, FRAMES, BINS)).astype(np.uint8)
  q[:2] = np.array([0, 255]).reshape(2, 1, 1)
  return q
