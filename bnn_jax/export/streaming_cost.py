"""What a frame of a stream costs: counted, not measured."""

from collections.abc import Mapping
import math
from typing import NamedTuple

import numpy as np

from bnn_jax.export import check
from bnn_jax.export import specs
from bnn_jax.export import streaming


class Cost(NamedTuple):
  """What one frame costs, on average.

  Attributes:
    words: XNOR and popcount of at most `simd` lanes.
    additions: of integers, one a word included.
    memory: bytes of what the layers keep from frame to frame.
  """

  words: float
  additions: float
  memory: int


def rates(model: specs.Model) -> dict[str, float]:
  """Frames of each array for one frame of input, in the long run."""
  found = {specs.INPUT: 1.0}
  for layer in model.layers:
    found[layer.name] = found[layer.inputs[0]]
    if isinstance(layer, specs.Conv | specs.Shortcut):
      found[layer.name] /= math.prod(layer.strides)
  return found


def cost(model: specs.Model) -> Cost:
  """Counts the cost of a frame of a stream.

  Args:
    model: the network.

  Returns:
    Words and additions of one frame of input in the long run, and the memory
    of a stream: bits in one bit, streams in theirs, sums in 32.
  """
  values = check.check(model)
  by_name, words, additions = rates(model), 0.0, 0.0
  for layer in model.layers:
    rate = by_name[layer.name]
    if isinstance(layer, specs.Conv):
      words += rate * len(layer.words) * len(layer.weights)
    additions += rate * _additions(layer, values)
  return Cost(words, additions + words, _memory(model, values))


def _additions(
  layer: specs.Layer, values: Mapping[str, check.Value]
) -> int:
  """Additions of one frame of a layer, those of words left out."""
  channels = values[layer.inputs[0]].shape[-1]
  match layer:
    case specs.ShiftBatchNorm() | specs.Add() | specs.Classifier():
      return channels
    case specs.ShiftPReLU():
      return 2 * channels
    case _:
      return 0


def _memory(model: specs.Model, values: Mapping[str, check.Value]) -> int:
  """Bytes, counted while a clip is fed frame by frame."""
  frames = streaming.Frames(model)
  most = dict.fromkeys(frames.kept(), 0)
  for _ in range(model.input.frames):
    frames.push(np.zeros((1, model.input.bins), np.uint8))
    most = {name: max(most[name], n) for name, n in frames.kept().items()}
  total = 4 * values[model.layers[-1].inputs[0]].shape[-1]
  for layer in model.layers[:-1]:
    read = values[layer.inputs[0]]
    bits = read.stream.bits if read.stream else 1
    total += -(-most[layer.name] * read.shape[-1] * bits // 8)
  return total
