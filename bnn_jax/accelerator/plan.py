"""The steps in which the accelerator runs a network.

A step is a convolution, or the slice of its outputs that is one part, with all
that follows before the next convolution: batch normalization, residual,
ShiftPReLU, RSign. Its stream and its bits are written to memory, nothing else
is.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import NoReturn

from bnn_jax import errors
from bnn_jax.export import check
from bnn_jax.export import specs


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
  """What is computed in one go; absent layers are None.

  Attributes:
    conv: the convolution.
    source: what gives the bits that it reads.
    outputs: those of the convolution that this step computes.
    norm: of the results.
    threshold: in the place of all layers behind the convolution.
    part: the slice that cuts this step's channels from the norm's.
    shortcut: between the residual and the sum.
    residual: name of a stream that is added.
    add: the sum.
    prelu: of the stream.
    sign: of the stream.
    stream: name of the stream that is kept for others, else ''.
    frames: of the convolution's input.
    positions: of its output.
  """

  conv: specs.Conv
  source: specs.Thermometer | specs.RSign | specs.Threshold
  outputs: range
  norm: specs.ShiftBatchNorm | None
  threshold: specs.Threshold | None
  part: specs.Slice | None
  shortcut: specs.Shortcut | None
  residual: str
  add: specs.Add | None
  prelu: specs.ShiftPReLU | None
  sign: specs.RSign | None
  stream: str
  frames: int
  positions: int

  @property
  def group_outputs(self) -> int:
    """Outputs of this step that read the same group of channels."""
    whole = len(self.conv.weights) // self.conv.groups
    return min(whole, len(self.outputs))

  @property
  def groups(self) -> range:
    """Groups of channels that this step reads."""
    whole = len(self.conv.weights) // self.conv.groups
    first = self.outputs.start // whole
    return range(first, first + len(self.outputs) // self.group_outputs)

  @property
  def stride(self) -> int:
    """Frames from one output to the next."""
    return self.conv.strides[0] if self.conv.kernel else 1

  @property
  def dilation(self) -> int:
    """Frames from one tap to the next."""
    return self.conv.dilation[0] if self.conv.kernel else 1

  @property
  def before(self) -> int:
    """Frames of padding before the first."""
    return self.conv.padding[0][0] if self.conv.kernel else 0


def steps(model: specs.Model) -> tuple[Step, ...]:
  """Cuts a network into steps.

  Args:
    model: the network, which is consistent.

  Returns:
    The steps in the order of their computation; the classifier reads the stream
    of the last one.

  Raises:
    UserError: the accelerator has no way to run a layer.
  """
  planner = _Planner(model)
  made = tuple(planner.all_steps())
  planner.check_complete(made)
  return made


class _Planner:
  """Follows the arrays of a network from one convolution to the next."""

  def __init__(self, model: specs.Model):
    self.model = model
    self.values = check.check(model)
    self.layers = {layer.name: layer for layer in model.layers}
    self.readers: dict[str, list[specs.Layer]] = {
      name: [] for name in self.values
    }
    for layer in model.layers:
      for name in layer.inputs:
        self.readers[name].append(layer)
    self.kept: set[str] = set()

  def all_steps(self):
    """Every step of every convolution."""
    for layer in self.model.layers:
      if isinstance(layer, specs.Reshape | specs.MaxPool | specs.AveragePool):
        _refuse(layer, f'is of the kind {layer.KIND}')
      if isinstance(layer, specs.Thermometer) and any(layer.around):
        _refuse(layer, 'puts silence around a clip')
      if isinstance(layer, specs.Conv):
        yield from self._steps_of(layer)

  def _steps_of(self, conv: specs.Conv):
    outputs = range(len(conv.weights))
    behind = self.readers[conv.name]
    if len(behind) != 1:
      _refuse(conv, 'is read by several layers')
    follower = behind[0]
    if isinstance(follower, specs.Threshold):
      yield self._step(conv, outputs, threshold=follower)
      return
    assert isinstance(follower, specs.ShiftBatchNorm)
    parts = self.readers[follower.name]
    if not any(isinstance(part, specs.Slice) for part in parts):
      yield self._chain(conv, outputs, follower, None)
      return
    covered: list[int] = []
    for part in parts:
      if not isinstance(part, specs.Slice):
        _refuse(part, f'reads {follower.name}, of which others read slices')
      chosen = range(part.start, part.start + part.channels)
      covered += chosen
      self._check_groups(conv, part, chosen)
      yield self._chain(conv, chosen, follower, part)
    if sorted(covered) != list(outputs):
      _refuse(follower, 'is not cut into slices that make up the whole')

  def _check_groups(self, conv, part, chosen: range) -> None:
    whole = len(conv.weights) // conv.groups
    within = chosen.start // whole == (chosen.stop - 1) // whole
    if not within and (chosen.start % whole or chosen.stop % whole):
      _refuse(part, f'cuts through a channel group of {conv.name}')

  def _chain(self, conv, outputs, norm, part) -> Step:
    """Takes up every layer that only continues the stream."""
    name = part.name if part else norm.name
    found: dict[str, specs.Layer | str] = {}
    reader = self._only_reader(name)
    if isinstance(reader, specs.Add):
      other = next(one for one in reader.inputs if one != name)
      shortcut = self.layers[other]
      if isinstance(shortcut, specs.Shortcut):
        if shortcut.crop is not None:
          _refuse(shortcut, 'drops frames, as of a network without padding')
        other = shortcut.inputs[0]
        found['shortcut'] = shortcut
      if other in self.kept:
        found |= {'add': reader, 'residual': other}
        name = reader.name
        reader = self._only_reader(name)
      else:
        found.clear()
        reader = None
    if isinstance(reader, specs.ShiftPReLU):
      found['prelu'] = reader
      name = reader.name
    signs = [
      one for one in self.readers[name] if isinstance(one, specs.RSign)
    ]
    if len(signs) > 1:
      _refuse(signs[1], f'is a second sign of {name}')
    if signs:
      found['sign'] = signs[0]
    if len(self.readers[name]) > len(signs):
      self.kept.add(name)
      found['stream'] = name
    return self._step(conv, outputs, norm=norm, part=part, **found)

  def _only_reader(self, name: str) -> specs.Layer | None:
    readers = self.readers[name]
    return readers[0] if len(readers) == 1 else None

  def _step(self, conv, outputs, **fields) -> Step:
    source = self.layers[conv.inputs[0]]
    if not isinstance(
      source, specs.Thermometer | specs.RSign | specs.Threshold
    ):
      _refuse(conv, f'reads {source.name}, which are no bits')
    if len(conv.kernel) > 1:
      _refuse(conv, 'has more than one spatial axis')
    absent: dict = dict.fromkeys(
      ('norm', 'threshold', 'part', 'shortcut', 'add', 'prelu', 'sign')
    )
    return Step(
      **absent | {'residual': '', 'stream': ''} | fields | {
        'conv': conv, 'source': source, 'outputs': outputs,
        'frames': self.values[source.name].shape[0],
        'positions': self.values[conv.name].shape[0],
      }
    )

  def check_complete(self, made: Sequence[Step]) -> None:
    """Every layer belongs to a step, and the classifier to the last."""
    classifier = self.model.layers[-1]
    computed = {classifier.name} | {
      layer.name for step in made for layer in layers_of(step)
    }
    for layer in self.model.layers:
      if layer.name not in computed:
        _refuse(
          layer, 'does not follow a convolution in the order batch '
          'normalization, slice, sum, ShiftPReLU, RSign',
        )
    if not made or classifier.inputs[0] != made[-1].stream:
      _refuse(classifier, 'does not read what the last convolution gives')


def layers_of(step: Step) -> tuple[specs.Layer, ...]:
  """The layers of a step, with the thermometer that it reads."""
  encode = step.source if isinstance(step.source, specs.Thermometer) else None
  return tuple(
    layer
    for layer in (
      encode, step.conv, step.norm, step.part, step.shortcut, step.add,
      step.prelu, step.sign, step.threshold,
    )
    if layer is not None
  )


def bits_of(step: Step) -> str:
  """Name of the bits that a step gives, '' for none."""
  giver = step.sign or step.threshold
  return giver.name if giver else ''


def last_readers(made: Sequence[Step]) -> Mapping[str, int]:
  """For every array in memory, the number of the last step that reads it."""
  last: dict[str, int] = {}
  for i, step in enumerate(made):
    for name in (bits_of(step), step.stream):
      last.setdefault(name, i)
    last[step.source.name] = i
    if step.residual:
      last[step.residual] = i
  return last


def _refuse(layer: specs.Layer, problem: str) -> NoReturn:
  raise errors.UserError(
    f'layer {layer.name} {problem}, which the accelerator does not have; run '
    'this network with another engine.'
  )
