"""A random network over time and frequency, made without training or JAX."""

import numpy as np

from bnn_jax.export import specs
from tests.export import networks

FRAMES, BINS, LEVELS, CLASSES = 9, 6, 3, 4
SILENCE = (2, 1)


def network(
  seed: int = 0, register: specs.Accumulator = networks.REGISTER
) -> specs.Model:
  """Every layer that works on planes, and each of its fields.

  Args:
    seed: of all numbers.
    register: of all convolutions.
  """
  make = networks.Maker(seed, register)
  thresholds = np.sort(
    np.stack([make.random.permutation(250)[:LEVELS] + 1 for _ in range(BINS)])
  ).astype(np.int32)
  encode = specs.Thermometer('encode', ('q',), 8, thresholds, SILENCE)
  layers = (
    encode,
    specs.Reshape('image', ('encode',), (12, 6, 3)),
    make.conv(
      'stem', 'image', 3, 20, (4, 3), ((2, 1), (1, 1)), preload=make.preload(20)
    ),
    make.norm('stem/norm', 'stem', 20),
    make.prelu('stem/act', 'stem/norm', 20),
    specs.MaxPool('largest', ('stem/act',), (1, 2)),
    make.sign('largest/sign', 'largest', 20),
    make.conv(
      'depth', 'largest/sign', 20, 20, (3, 2), ((2, 0), (0, 2)),
      strides=(2, 1), dilation=(1, 2), groups=20,
    ),
    make.norm('depth/norm', 'depth', 20),
    specs.Shortcut('short', ('largest',), (2, 1), 20, ((0, 0), (0, 0))),
    specs.Add('depth/add', ('depth/norm', 'short'), networks.STREAM),
    make.sign('depth/sign', 'depth/add', 20),
    make.conv(
      'wide', 'depth/sign', 20, 16, (2, 3), ((0, 1), (2, 3)), dilation=(2, 1),
      groups=2,
    ),
    loud(make, 'wide/norm', 'wide', 16),
    specs.AveragePool('mean', ('wide/norm',), (2, 2)),
    specs.Shortcut('cut', ('mean',), (1, 1), 18, ((0, 0), (1, 0))),
    make.sign('cut/sign', 'cut', 18),
    make.conv('point', 'cut/sign', 18, 10, (), ()),
    loud(make, 'point/norm', 'point', 10),
    specs.Reshape('frames', ('point/norm',), (2, 20)),
    make.prelu('frames/act', 'frames', 20),
    specs.Reshape('flat', ('frames/act',), (40,)),
    make.sign('flat/sign', 'flat', 40),
    specs.Reshape('split', ('flat/sign',), (8, 5)),
    specs.Reshape('joined', ('split',), (40,)),
    make.conv('dense', 'joined', 40, 17, (), (), preload=make.preload(17)),
    make.norm('dense/norm', 'dense', 17),
    specs.Classifier(
      'classifier', ('dense/norm',), networks.STREAM,
      make.integers(0, 1, CLASSES, 17), make.integers(-99, 99, CLASSES),
    ),
  )
  return specs.Model(
    input=specs.Input(FRAMES, BINS, 8, -1.5, -4),
    front_end={'kind': 'log_mel'},
    class_names=('a', 'b', 'c', 'd'),
    layers=layers,
    provenance={'step': 7},
  )


def loud(make, name, x, channels) -> specs.ShiftBatchNorm:
  """A normalization whose means still lie on both sides of a threshold."""
  return specs.ShiftBatchNorm(
    name, (x,), networks.STREAM, make.integers(3, 4, channels),
    make.integers(-6, 6, channels),
  )


def clips(count: int, seed: int = 0) -> np.ndarray:
  """Random q."""
  return networks.clips(count, seed, FRAMES)
