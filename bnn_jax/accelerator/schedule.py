"""Cycles of the accelerator, and the sizes that they follow from."""

import dataclasses
import math

from bnn_jax import errors
from bnn_jax.accelerator import plan
from bnn_jax.accelerator import spec as spec_lib
from bnn_jax.export import specs

# From a step's fetch to its first load, and from the last word of its last
# pass to the next fetch, without the latency of tree and shared units.
_BEGIN = 4
_END = 9
# Behind the last step: from the first row of weights to the last logit.
_CLASSIFIER = 4


@dataclasses.dataclass(frozen=True)
class Shape:
  """What cycles follow from.

  Attributes:
    positions: of the output.
    groups: of channels, that are read.
    channels: of one group.
    taps: positions of the kernel.
    outputs: of one group.
    simd: lanes of a word.
  """

  positions: int
  groups: int
  channels: int
  taps: int
  outputs: int
  simd: int

  @property
  def words(self) -> int:
    """Of one output (`docs/arithmetic.md`, section 2)."""
    if self.channels >= self.simd:
      return self.taps * -(-self.channels // self.simd)
    return -(-self.taps // (self.simd // self.channels))


@dataclasses.dataclass(frozen=True)
class Passes:
  """How a step runs on the array.

  Attributes:
    words: of one output, each a cycle.
    tap_words: of one tap.
    word_taps: taps that share a word; each is loaded for itself.
    loads: of one window, each a cycle.
    tiles: passes of one window, each for `pes` outputs.
    cycles: of a pass: its words, but no fewer than the outputs that wait for a
      shared unit.
    windows: positions times groups.
  """

  words: int
  tap_words: int
  word_taps: int
  loads: int
  tiles: int
  cycles: int
  windows: int


def lanes(made: tuple[plan.Step, ...], spec: spec_lib.AcceleratorSpec) -> int:
  """Channels that leave the array in a cycle.

  Args:
    made: the steps of a network.
    spec: of the accelerator.

  Returns:
    The lanes of `spec`, or else as many as the network's channels allow.

  Raises:
    UserError: channels of the network are no multiple of the lanes of `spec`.
  """
  common = spec.pes
  for step in made:
    common = math.gcd(common, step.group_outputs, len(step.outputs))
    if not isinstance(step.source, specs.Thermometer):
      channels, simd = step.conv.weights.shape[-1], step.conv.accumulator.simd
      common = math.gcd(common, channels)
      if channels >= simd:
        common = math.gcd(common, simd)
  largest = common & -common
  if spec.lanes is None:
    return largest
  if largest % spec.lanes:
    raise errors.UserError(
      f'lanes={spec.lanes} do not divide all channels of this network; leave '
      f'lanes out or give at most {largest}.'
    )
  return spec.lanes


def shape(step: plan.Step) -> Shape:
  """The shape of a step of a network."""
  return Shape(
    positions=step.positions, groups=len(step.groups),
    channels=step.conv.weights.shape[-1], taps=math.prod(step.conv.kernel),
    outputs=step.group_outputs, simd=step.conv.accumulator.simd,
  )


def passes(shape: Shape, pes: int, lanes: int) -> Passes:
  """How a step runs on an array of `pes` elements with `lanes` units."""
  tap_words = -(-shape.channels // shape.simd)
  served = min(pes // lanes, -(-shape.outputs // lanes))
  return Passes(
    words=shape.words,
    tap_words=tap_words,
    word_taps=max(1, shape.simd // shape.channels),
    loads=shape.taps * tap_words,
    tiles=-(-shape.outputs // pes),
    cycles=max(shape.words, served),
    windows=shape.positions * shape.groups,
  )


def step_cycles(shape: Shape, pes: int, lanes: int, span: int) -> int:
  """Cycles of one step, from its fetch to that of the next.

  A window is worked on while the next one is loaded, so that the longer of both
  counts; the first load and the latency of the pipeline are not hidden.

  Args:
    shape: of the step.
    pes: processing elements.
    lanes: batch normalization units.
    span: levels of the popcount tree between two registers.
  """
  run = passes(shape, pes, lanes)
  work = run.tiles * run.cycles
  hidden = max(work, run.loads)
  share = pes // lanes
  last = min(share, -(-shape.outputs // lanes) - (run.tiles - 1) * share)
  behind = run.words + last - 1 + (share > 1)
  tree = -(-(shape.simd - 1).bit_length() // span)
  return (
    _BEGIN + run.loads + (run.windows - 1) * hidden
    + (run.tiles - 1) * run.cycles + behind + tree + _END
  )


def classifier_cycles(classes: int, channels: int, lanes: int) -> int:
  """Cycles of the classifier, which adds `lanes` channels at a time."""
  return classes * -(-channels // lanes) + _CLASSIFIER


def cycles(
  model: specs.Model, spec: spec_lib.AcceleratorSpec
) -> dict[str, int]:
  """Cycles of one inference.

  Args:
    model: the network.
    spec: of the accelerator.

  Returns:
    Cycles by the name of the convolution, in the order of their computation,
    and of the classifier. They are independent of the data.

  Raises:
    UserError: the accelerator cannot run the network.
  """
  made = plan.steps(model)
  width = lanes(made, spec)
  found: dict[str, int] = {}
  for step in made:
    name = step.conv.name
    found[name] = found.get(name, 0) + step_cycles(
      shape(step), spec.pes, width, spec.span
    )
  classifier = model.layers[-1]
  assert isinstance(classifier, specs.Classifier)
  classes, channels = classifier.weights.shape
  found[classifier.name] = classifier_cycles(classes, channels, width)
  return found
