"""Layers of published keyword-spotting networks, for any runtime.

Shape letters: T frames, F features, C channels, N outputs.
"""

import dataclasses

import numpy as np

CLASSES = 12
# Of size M of our own networks: four parts of 80 channels, then the blocks.
BINARY_MACS = (
  25 * 3 * 320 * 96 + 2 * 25 * 5 * 96 * 96 + 13 * 3 * (96 + 128) * 128
)


@dataclasses.dataclass(frozen=True)
class Conv:
  """A convolution with bias and SAME padding, then a ReLU.

  Attributes:
    outputs: N; 0 makes it depthwise.
    kernel: taps in time and frequency.
    stride: in time and frequency.
    source: the layer it reads, by its place in the network; 0 is the input.
    add: the layer it is added to before the ReLU; None for none.
  """

  outputs: int
  kernel: tuple[int, int]
  stride: tuple[int, int] = (1, 1)
  source: int = -1
  add: int | None = None


@dataclasses.dataclass(frozen=True)
class Net:
  """Convolutions, an average over all positions and a dense layer.

  Attributes:
    shape: `[T, F, C]` of the input.
    convs: the i-th makes layer i + 1.
  """

  shape: tuple[int, int, int]
  convs: tuple[Conv, ...]

  def sources(self) -> list[int]:
    """The layer that each convolution reads."""
    return [
      i if conv.source < 0 else conv.source for i, conv in enumerate(self.convs)
    ]

  def shapes(self) -> list[tuple[int, int, int]]:
    """`[T, F, C]` of every layer, the input being the first."""
    made = [self.shape]
    for conv, source in zip(self.convs, self.sources(), strict=True):
      *axes, channels = made[source]
      t, f = (-(-n // s) for n, s in zip(axes, conv.stride, strict=True))
      made.append((t, f, conv.outputs or channels))
    return made

  def macs(self) -> int:
    """Multiply-accumulates of one clip."""
    shapes = self.shapes()
    total = CLASSES * shapes[-1][-1]
    for conv, source, made in zip(
      self.convs, self.sources(), shapes[1:], strict=True
    ):
      reads = shapes[source][-1] if conv.outputs else 1
      total += int(np.prod(made)) * int(np.prod(conv.kernel)) * reads
    return total

  def activations(self) -> int:
    """Elements of the largest input and output of one layer together."""
    sizes = [int(np.prod(shape)) for shape in self.shapes()]
    return max(
      sizes[source] + made
      for source, made in zip(self.sources(), sizes[1:], strict=True)
    )


def ds_cnn(
  channels: int, strides: tuple[tuple[int, int], ...]
) -> Net:
  """DS-CNN.

  Args:
    channels: C of all its layers.
    strides: of the first convolution and of each depthwise one.
  """
  first, *others = strides
  convs = [Conv(channels, (10, 4), first)]
  for stride in others:
    convs += [Conv(0, (3, 3), stride), Conv(channels, (1, 1))]
  return Net((49, 10, 1), tuple(convs))


def tc_resnet(first: int, blocks: tuple[int, ...]) -> Net:
  """TC-ResNet, whose blocks each change channels and halve the frames.

  Args:
    first: channels of the first convolution.
    blocks: channels of each block.
  """
  convs = [Conv(first, (3, 1))]
  for channels in blocks:
    source = len(convs)
    shortcut = source + 1
    convs += [
      Conv(channels, (1, 1), (2, 1)),
      Conv(channels, (9, 1), (2, 1), source=source),
      Conv(channels, (9, 1), add=shortcut),
    ]
  return Net((98, 1, 40), tuple(convs))


NETS = {
  'DS-CNN-S': ds_cnn(64, ((2, 2), *((1, 1),) * 4)),
  'DS-CNN-L': ds_cnn(276, ((2, 1), (2, 2), *((1, 1),) * 4)),
  'TC-ResNet8': tc_resnet(16, (24, 32, 48)),
}


def weights(
  net: Net, random: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
  """Kernels `[*kernel, C, N]` (depthwise `[*kernel, C, 1]`) and biases.

  The last is of the dense layer, `[C, N]`.

  Args:
    net: the network.
    random: where they come from; their scale keeps that of the input.
  """
  shapes = net.shapes()
  made = []
  for conv, source in zip(net.convs, net.sources(), strict=True):
    reads = shapes[source][-1]
    form = (*conv.kernel, reads, conv.outputs or 1)
    operands = np.prod(conv.kernel) * (reads if conv.outputs else 1)
    kernel = random.normal(0, np.sqrt(2 / operands), form)
    made.append((kernel, random.normal(0, 0.1, conv.outputs or reads)))
  made.append((
    random.normal(0, 0.1, (shapes[-1][-1], CLASSES)),
    random.normal(0, 0.1, CLASSES),
  ))
  return [(a.astype(np.float32), b.astype(np.float32)) for a, b in made]
