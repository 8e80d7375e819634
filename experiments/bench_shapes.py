"""Layers of keyword-spotting networks, to be timed.

Ours is size M of `bnn_jax.models.speech_resnet`; the others are DS-CNN-L
(Zhang et al. 2017), res15 (Tang and Lin 2018) and TC-ResNet14-1.5 (Choi et al.
2019) with binarized operands.
"""

import math
from typing import Any
from typing import NamedTuple

from bnn_jax.models import speech_resnet

FRAMES, BINS, LEVELS = 98, 40, 8
BATCH = 100
# Where an image has this many positions, fewer of them are as good.
FEW = 8


class Shape(NamedTuple):
  """One layer.

  Attributes:
    name: its network and its place there.
    x: `[B, *spatial, C]`.
    w: `[*kernel, C // groups, N]`.
    geometry: keyword arguments of `accumulator.conv`.
    outputs: positions of one output channel.
  """

  name: str
  x: tuple[int, ...]
  w: tuple[int, ...]
  geometry: dict[str, Any]
  outputs: int

  @property
  def operands(self) -> int:
    """K."""
    return math.prod(self.w[:-1])

  @property
  def macs(self) -> int:
    """Multiply-accumulates of the whole batch."""
    return self.x[0] * self.outputs * self.operands * self.w[-1]


def _shape(name, x, w, *, strides=1, dilation=1, groups=1) -> Shape:
  steps = (strides,) * (len(x) - 2) if isinstance(strides, int) else strides
  outputs = math.prod(
    math.ceil(size / step) for size, step in zip(x[1:-1], steps, strict=True)
  )
  geometry = {'strides': strides, 'dilation': dilation, 'groups': groups}
  return Shape(name, x, w, geometry, outputs)


def ours(size: str = 'M') -> list[Shape]:
  """The different convolutions of our network of `size`."""
  stem, stages = speech_resnet.SIZES[size]
  channels = BINS * LEVELS
  shapes = [
    _shape(
      'ours stem', (BATCH, FRAMES, channels),
      (stem.kernel, channels // stem.parts, stem.channels * stem.parts),
      strides=stem.stride, groups=stem.parts,
    )
  ]
  frames, channels = math.ceil(FRAMES / stem.stride), stem.channels
  block = 0
  for stage in stages:
    for i in range(stage.blocks):
      stride = stage.stride if i == 0 else 1
      w = (stage.kernel, channels // stage.groups, stage.channels)
      shape = _shape(
        f'ours block {block}', (BATCH, frames, channels), w,
        strides=stride, dilation=stage.dilation, groups=stage.groups,
      )
      if all((shape.x, shape.w) != (s.x, s.w) for s in shapes):
        shapes.append(shape)
      frames, channels = math.ceil(frames / stride), stage.channels
      block += 1
  return shapes


SHAPES = [
  *ours(),
  _shape('DS-CNN-L first', (BATCH, 49, 10, 1), (10, 4, 1, 276),
         strides=(2, 1)),
  _shape('DS-CNN-L depthwise', (BATCH, 25, 5, 276), (3, 3, 1, 276),
         groups=276),
  _shape('DS-CNN-L pointwise', (BATCH, 25, 5, 276), (1, 1, 276, 276)),
  _shape('res15', (FEW, 98, 40, 45), (3, 3, 45, 45)),
  _shape('res15 dilated', (FEW, 98, 40, 45), (3, 3, 45, 45), dilation=4),
  _shape('TC-ResNet14 36', (BATCH, 49, 36), (9, 36, 36)),
  _shape('TC-ResNet14 48', (BATCH, 25, 48), (9, 48, 48)),
  _shape('TC-ResNet14 72', (BATCH, 13, 72), (9, 72, 72)),
]
