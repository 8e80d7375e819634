"""A small random network like the package's own: parts, a stride, a residual.

Its numbers of channels let a unit serve one processing element or several.
"""

import numpy as np

from bnn_jax.export import specs
from tests.export import networks

FRAMES, BINS, LEVELS = 14, 8, 4
STREAM = networks.STREAM


def network(register: specs.Accumulator, seed: int = 0) -> specs.Model:
  """Two parts of a stem, then two blocks.

  Args:
    register: of all convolutions.
    seed: of all numbers.
  """
  make = networks.Maker(seed, register)
  thresholds = np.sort(
    np.stack([make.random.permutation(250)[:LEVELS] + 1 for _ in range(BINS)])
  ).astype(np.int32)
  return specs.Model(
    input=specs.Input(FRAMES, BINS, 8, -1.5, -4),
    front_end={'kind': 'log_mel'},
    class_names=('a', 'b', 'c'),
    layers=(
      specs.Thermometer('encode', ('q',), 8, thresholds),
      make.conv(
        'stem', 'encode', BINS * LEVELS, 24, (3,), ((0, 1),), strides=(2,),
        groups=2,
      ),
      make.norm('norm', 'stem', 24),
      specs.Slice('part0', ('norm',), 0, 12),
      specs.Slice('part1', ('norm',), 12, 12),
      specs.Add('add1', ('part0', 'part1'), STREAM),
      make.prelu('act', 'add1', 12),
      make.sign('sign', 'act', 12),
      make.conv('one', 'sign', 12, 12, (5,), ((2, 2),)),
      make.norm('one/norm', 'one', 12),
      specs.Add('one/add', ('act', 'one/norm'), STREAM),
      make.prelu('one/act', 'one/add', 12),
      make.sign('one/sign', 'one/act', 12),
      specs.Shortcut('two/short', ('one/act',), (2,), 20),
      make.conv('two', 'one/sign', 12, 20, (3,), ((1, 1),), strides=(2,)),
      make.norm('two/norm', 'two', 20),
      specs.Add('two/add', ('two/short', 'two/norm'), STREAM),
      make.prelu('two/act', 'two/add', 20),
      specs.Classifier(
        'classifier', ('two/act',), STREAM, make.integers(0, 1, 3, 20),
        make.integers(-99, 99, 3),
      ),
    ),
    provenance={'step': 7},
  )
