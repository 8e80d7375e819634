"""How a network lies in the accelerator: what its memories have in common."""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np

from bnn_jax import errors
from bnn_jax.accelerator import images
from bnn_jax.accelerator import plan
from bnn_jax.accelerator import schedule
from bnn_jax.accelerator import spec as spec_lib
from bnn_jax.export import specs

# What a lane behind the operands of a group compares with: no value reaches it.
_NEVER = 2**9 - 1


@dataclasses.dataclass(frozen=True, eq=False)
class Input:
  """How the input lies in its memory.

  Attributes:
    columns: bins `[rows of a frame, values]`.
    shift: log2 of words that read the same row.
    levels: thresholds of the words, bits `[words, simd * 9]`.
  """

  columns: np.ndarray
  shift: int
  levels: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
  """A network and the array that it runs on.

  Attributes:
    model: the network.
    classifier: its last layer.
    steps: in which it runs.
    passes: of each step.
    pes: processing elements.
    lanes: channels of a chunk.
    machine: the accumulator of all layers; its width is that of the register.
    stream: bits of the stream.
    bits: groups, and channels of a group, in which bits are read, by name.
    input: the memory of the clip.
  """

  model: specs.Model
  classifier: specs.Classifier
  steps: tuple[plan.Step, ...]
  passes: tuple[schedule.Passes, ...]
  pes: int
  lanes: int
  machine: specs.Accumulator
  stream: int
  bits: dict[str, tuple[int, int]]
  input: Input

  def frame_rows(self, name: str) -> int:
    """Rows of one position of an array of bits."""
    groups, channels = self.bits[name]
    return groups * -(-channels // self.machine.simd)

  def chunks(self, step: plan.Step) -> int:
    """Chunks of one position of a step."""
    return len(step.outputs) // self.lanes

  def writes_stream(self, step: plan.Step) -> bool:
    """Whether a later step adds the stream; the classifier has its own sum."""
    return bool(step.stream) and any(
      other.residual == step.stream for other in self.steps
    )


def layout(model: specs.Model, spec: spec_lib.AcceleratorSpec) -> Layout:
  """Finds out how a network lies in the accelerator.

  Args:
    model: the network.
    spec: of the accelerator.

  Returns:
    The layout.

  Raises:
    UserError: the accelerator does not have a layer or an accumulator of the
      network.
  """
  steps = plan.steps(model)
  machine = _machine([step.conv for step in steps])
  lanes = schedule.lanes(steps, spec)
  classifier = model.layers[-1]
  assert isinstance(classifier, specs.Classifier)
  return Layout(
    model=model,
    classifier=classifier,
    steps=steps,
    passes=tuple(
      schedule.passes(schedule.shape(step), spec.pes, lanes) for step in steps
    ),
    pes=spec.pes,
    lanes=lanes,
    machine=machine,
    stream=_stream_bits(model),
    bits=_bits(steps),
    input=_input(steps),
  )


def _machine(convs: Sequence[specs.Conv]) -> specs.Accumulator:
  first = convs[0].accumulator
  for conv in convs:
    if conv.accumulator != first:
      raise errors.UserError(
        f'layer {conv.name} has the accumulator {conv.accumulator}, others '
        f'have {first}; the array has one for all layers, so export the '
        'network without accumulator.layer_bits.'
      )
  bits = max(conv.register_bits for conv in convs)
  return dataclasses.replace(first, bits=bits)


def _stream_bits(model: specs.Model) -> int:
  widths = {
    layer.stream.bits
    for layer in model.layers if hasattr(layer, 'stream')
  }
  if len(widths) > 1:
    raise errors.UserError(
      f'the network has streams of {sorted(widths)} bits; the accelerator has '
      'one width for all, so export it with one.'
    )
  return widths.pop()


def _bits(steps: Sequence[plan.Step]) -> dict[str, tuple[int, int]]:
  """Groups and channels of a group, as the readers of some bits want them."""
  found: dict[str, tuple[int, int]] = {}
  for step in steps:
    layout = step.conv.groups, step.conv.weights.shape[-1]
    if found.setdefault(step.source.name, layout) != layout:
      raise errors.UserError(
        f'layer {step.conv.name} reads {step.source.name} in other groups than '
        'another layer, which the accelerator does not have; run this network '
        'with another engine.'
      )
  return found


def _input(steps: Sequence[plan.Step]) -> Input:
  """Of the thermometer, which all its readers read in the same way."""
  found = {
    step.source.name: (step.source, step.conv) for step in steps
    if isinstance(step.source, specs.Thermometer)
  }
  if len(found) != 1:
    raise errors.UserError(
      f'convolutions read {len(found)} thermometers and the accelerator has '
      'one; run this network with another engine.'
    )
  return _input_of(*next(iter(found.values())))


def _input_of(source: specs.Thermometer, conv: specs.Conv) -> Input:
  """One row for each word of a frame, or for several words of one bin."""
  simd, channels = conv.accumulator.simd, conv.weights.shape[-1]
  levels = source.thresholds.shape[1]
  group_words = -(-channels // simd)
  word = np.arange(conv.groups * group_words)
  start = word % group_words * simd
  lane = start[:, None] + np.arange(simd)
  missing = lane >= channels
  channel = word[:, None] // group_words * channels + lane
  channel[missing] = 0
  thresholds = source.thresholds.reshape(-1)[channel]
  thresholds[missing] = _NEVER
  each = math.gcd(levels, simd, channels)
  columns = channel[:, ::each] // levels
  ratio = levels // each
  shift = 0
  if each == simd and channels % levels == 0 and ratio & (ratio - 1) == 0:
    shift = ratio.bit_length() - 1
    columns = columns[::ratio]
  return Input(columns, shift, images.rows(thresholds, 9))
