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
_END = 8
# Behind the last step: from the first row of weights to the last logit.
_CLASSIFIER = 4


@dataclasses.dataclass(frozen=True)
class Passes:
  """How a step runs on the array.

  Attributes:
    words: of one output, each a cycle.
    tap_words: of one tap.
    word_taps: taps that share a word; each is loaded for itself.
    loads: of one window, each a cycle.
    tiles: passes of one window, each for `pes` outputs.
    cycles: of a pass: its words, but no fewer than elements that share a unit.
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


def passes(step: plan.Step, pes: int, lanes: int) -> Passes:
  """How a step runs on an array of `pes` elements with `lanes` units."""
  channels, simd = step.conv.weights.shape[-1], step.conv.accumulator.simd
  taps = math.prod(step.conv.kernel)
  tap_words = -(-channels // simd)
  words = len(step.conv.words)
  return Passes(
    words=words,
    tap_words=tap_words,
    word_taps=max(1, simd // channels),
    loads=taps * tap_words,
    tiles=-(-step.group_outputs // pes),
    cycles=max(words, pes // lanes),
    windows=step.positions * len(step.groups),
  )


def step_cycles(
  step: plan.Step, spec: spec_lib.AcceleratorSpec, lanes: int
) -> int:
  """Cycles of one step, from its fetch to that of the next.

  A window is worked on while the next one is loaded, so that the longer of both
  counts; the first load and the latency of the pipeline are not hidden.

  Args:
    step: of a network.
    spec: of the accelerator.
    lanes: batch normalization units.
  """
  run = passes(step, spec.pes, lanes)
  work = run.tiles * run.cycles
  hidden = max(work, run.loads)
  share = spec.pes // lanes
  last = min(share, -(-step.group_outputs // lanes) - (run.tiles - 1) * share)
  behind = run.words + last - 1 + (share > 1)
  tree = -(-(step.conv.accumulator.simd - 1).bit_length() // spec.span)
  return (
    _BEGIN + run.loads + (run.windows - 1) * hidden
    + (run.tiles - 1) * run.cycles + behind + tree + _END
  )


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
    found[name] = found.get(name, 0) + step_cycles(step, spec, width)
  classifier = model.layers[-1]
  assert isinstance(classifier, specs.Classifier)
  classes, channels = classifier.weights.shape
  found[classifier.name] = classes * (channels // width) + _CLASSIFIER
  return found
