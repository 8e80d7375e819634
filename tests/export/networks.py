"""Small random networks as lists of layers, made without training or JAX."""

import dataclasses

import numpy as np

from bnn_jax.export import specs

FRAMES, BINS, LEVELS, CLASSES = 11, 6, 3, 4
WINDOW = 29
STREAM = specs.Stream(7, 3)
REGISTER = specs.Accumulator(4, 'saturate', 5, 'dot')


class Maker:
  """Random layers, one behind the other."""

  def __init__(self, seed: int, register: specs.Accumulator):
    self.random = np.random.default_rng(seed)
    self.register = register

  def integers(self, low: int, high: int, *shape: int) -> np.ndarray:
    return self.random.integers(low, high + 1, shape).astype(np.int32)

  def conv(self, name, x, channels, outputs, kernel, padding, **changes):
    groups = changes.get('groups', 1)
    axes = len(kernel)
    fields = {
      'strides': (1,) * axes, 'dilation': (1,) * axes, 'groups': 1,
      'accumulator': self.register,
    } | changes
    weights = self.integers(0, 1, outputs, *kernel, channels // groups)
    return specs.Conv(
      name, (x,), kernel, padding=padding, weights=weights, **fields
    )

  def preload(self, outputs: int) -> np.ndarray:
    half = 2 ** (self.register.bits - 1)
    return self.integers(-half, half - 1, outputs)

  def norm(self, name, x, channels):
    return specs.ShiftBatchNorm(
      name, (x,), STREAM, self.integers(-1, 3, channels),
      self.integers(-6, 6, channels),
    )

  def prelu(self, name, x, channels):
    return specs.ShiftPReLU(
      name, (x,), STREAM, self.integers(0, 7, channels),
      self.integers(-9, 9, channels), self.integers(-9, 9, channels),
    )

  def sign(self, name, x, channels):
    return specs.RSign(name, (x,), STREAM, self.integers(-4, 4, channels))


def network(
  seed: int = 0, register: specs.Accumulator = REGISTER
) -> specs.Model:
  """Every kind of layer, each field of a convolution at work.

  Args:
    seed: of all numbers.
    register: of all convolutions.
  """
  make = Maker(seed, register)
  thresholds = np.sort(
    np.stack([make.random.permutation(250)[:LEVELS] + 1 for _ in range(BINS)])
  ).astype(np.int32)
  stem = make.conv(
    'stem', 'encode', BINS * LEVELS, 8, (5,), ((2, 2),), strides=(2,),
    groups=2, preload=make.preload(8),
  )
  threshold = specs.Threshold(
    'first', ('stem',), stem.register_bits, make.integers(-3, 3, 8)
  )
  layers = (
    specs.Thermometer('encode', ('q',), 8, thresholds),
    stem,
    threshold,
    make.conv('wide', 'first', 8, 8, (3,), ((2, 2),), dilation=(2,)),
    make.norm('wide/norm', 'wide', 8),
    make.prelu('wide/act', 'wide/norm', 8),
    make.sign('wide/sign', 'wide/act', 8),
    make.conv('depth', 'wide/sign', 8, 8, (4,), ((1, 2),), groups=8),
    make.norm('depth/norm', 'depth', 8),
    specs.Add('depth/add', ('wide/act', 'depth/norm'), STREAM),
    make.sign('depth/sign', 'depth/add', 8),
    specs.Shortcut('short', ('depth/add',), (2,), 12),
    make.conv('point', 'depth/sign', 8, 12, (1,), ((0, 0),), strides=(2,)),
    make.norm('point/norm', 'point', 12),
    specs.Add('point/add', ('short', 'point/norm'), STREAM),
    make.sign('point/sign', 'point/add', 12),
    make.conv(
      'dense', 'point/sign', 12, 24, (), (), preload=make.preload(24)
    ),
    make.norm('dense/norm', 'dense', 24),
    specs.Slice('dense/part0', ('dense/norm',), 0, 12),
    specs.Add('dense/add0', ('point/add', 'dense/part0'), STREAM),
    specs.Slice('dense/part1', ('dense/norm',), 12, 12),
    specs.Add('dense/add1', ('dense/add0', 'dense/part1'), STREAM),
    specs.Classifier(
      'classifier', ('dense/add1',), STREAM,
      make.integers(0, 1, CLASSES, 12), make.integers(-99, 99, CLASSES),
    ),
  )
  return specs.Model(
    input=specs.Input(FRAMES, BINS, 8, -1.5, -4),
    front_end={'kind': 'log_mel'},
    class_names=('a', 'b', 'c', 'd'),
    layers=layers,
    provenance={'step': 7},
  )


def unpadded(seed: int, register: specs.Accumulator = REGISTER) -> specs.Model:
  """The same without padding; a shortcut is cropped instead.

  Args:
    seed: of all numbers.
    register: of all convolutions.
  """
  model = network(seed, register)
  layers: list[specs.Layer] = []
  for layer in model.layers:
    if isinstance(layer, specs.Conv) and layer.kernel:
      layer = dataclasses.replace(layer, padding=((0, 0),))
    layers.append(layer)
    if layer.name == 'wide/act':
      crop = specs.Shortcut('crop', (layer.name,), (1,), 8, ((1, 2),))
      layers.append(crop)
  model = dataclasses.replace(
    model, layers=tuple(layers),
    input=dataclasses.replace(model.input, frames=WINDOW),
  )
  return changed(model, 'depth/add', inputs=('crop', 'depth/norm'))


def clips(count: int, seed: int = 0, frames: int = FRAMES) -> np.ndarray:
  """Random q."""
  random = np.random.default_rng(seed)
  return random.integers(0, 256, (count, frames, BINS)).astype(np.uint8)


def changed(model: specs.Model, name: str, /, **fields) -> specs.Model:
  """The network with fields of one layer replaced."""
  layers = tuple(
    dataclasses.replace(layer, **fields) if layer.name == name else layer
    for layer in model.layers
  )
  assert layers != model.layers
  return dataclasses.replace(model, layers=layers)
