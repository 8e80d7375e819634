"""The memories of the accelerator, filled from an exported network."""

from collections.abc import Sequence
import dataclasses
import functools
import json
import math
import pathlib
import re

import numpy as np

from bnn_jax import errors
from bnn_jax.accelerator import allocation
from bnn_jax.accelerator import images
from bnn_jax.accelerator import plan
from bnn_jax.accelerator import schedule
from bnn_jax.accelerator import spec as spec_lib
from bnn_jax.export import specs

RTL = pathlib.Path(__file__).with_name('rtl')
FIELD_BITS = 24
# What a lane behind the operands of a group compares with: no value reaches it.
_NEVER = 2**9 - 1


@dataclasses.dataclass(frozen=True, eq=False)
class Memories:
  """A network for the accelerator.

  Attributes:
    model: the network.
    steps: in which it runs.
    lanes: channels of a chunk.
    parameters: of engine.v.
    images: bits `[rows, width]` by the name of their file.
    columns: bins `[rows of a frame, values of a row]` of the input memory.
  """

  model: specs.Model
  steps: tuple[plan.Step, ...]
  lanes: int
  parameters: dict[str, int]
  images: dict[str, np.ndarray]
  columns: np.ndarray

  def write(self, folder: pathlib.Path) -> None:
    """Writes the images and the parameters of engine.v into a folder."""
    for name, bits in self.images.items():
      images.write(folder / name, bits)
    new = folder / 'parameters.json.new'
    new.write_text(json.dumps(self.parameters, indent=1) + '\n')
    new.rename(folder / 'parameters.json')

  def input_rows(self, q: np.ndarray) -> np.ndarray:
    """Rows `[n, rows, values]` of the input memory from q, uint8 `[n, T, F]`."""
    return q[..., self.columns].reshape(len(q), -1, self.columns.shape[1])


def fill(model: specs.Model, spec: spec_lib.AcceleratorSpec) -> Memories:
  """Lays a network out in the memories.

  Args:
    model: the network.
    spec: of the accelerator.

  Returns:
    All memories.

  Raises:
    UserError: the accelerator does not have a layer or an accumulator of the
      network, or too small a memory.
  """
  return _Filler(model, spec).memories()


class _Filler:
  """The parts of the memories, each computed once."""

  def __init__(self, model: specs.Model, spec: spec_lib.AcceleratorSpec):
    self.model = model
    self.spec = spec
    self.steps = plan.steps(model)
    self.lanes = schedule.lanes(self.steps, spec)
    self.passes = [
      schedule.passes(step, spec.pes, self.lanes) for step in self.steps
    ]
    self.stream = _stream_bits(model)
    self.layouts = _layouts(self.steps)
    self.classifier = model.layers[-1]

  @functools.cached_property
  def machine(self) -> specs.Accumulator:
    """The one accumulator; its width is that of the register."""
    convs = [step.conv for step in self.steps]
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

  @functools.cached_property
  def input_layout(self) -> '_Input':
    """Of the steps that read the thermometer."""
    for step in self.steps:
      if isinstance(step.source, specs.Thermometer):
        return _input_layout(step)
    raise errors.UserError(
      'no convolution reads the thermometer; the accelerator needs one.'
    )

  def memories(self) -> Memories:
    """All of them."""
    streams, stream_rows = allocation.places(self._streams())
    bits, bits_rows = allocation.places(self._bits())
    constants = _bases(
      [len(step.outputs) // self.lanes for step in self.steps]
    )
    weights = [
      _weight_rows(step, run, self.spec.pes)
      for step, run in zip(self.steps, self.passes, strict=True)
    ]
    preloads = self._preloads()
    bases = {
      'weight_base': _bases([len(rows) for rows in weights]),
      'preload_base': _bases(
        [run.tiles * len(step.groups) for step, run in self._runs()]
      ),
      'constant_base': constants,
    }
    fields = [
      self._fields(i, streams, bits)
      | {name: base[i] for name, base in bases.items()}
      for i in range(len(self.steps))
    ]
    made = {
      'steps.hex': _step_rows(fields),
      'weights.hex': np.concatenate(weights),
      'levels.hex': self.input_layout.levels,
      'norms.hex': self._constants(self._norm),
      'prelus.hex': self._constants(self._prelu),
      'signs.hex': self._constants(self._sign),
      'classes.hex': self.classifier.weights.reshape(-1, self.lanes),
      'biases.hex': images.rows(self.classifier.bias[:, None], 24),
    }
    if preloads is not None:
      made['preloads.hex'] = preloads
    parameters = self._parameters() | {
      'PRELOAD_ROWS': 0 if preloads is None else _depth(len(preloads)),
      'CLASS_ROWS': _depth(len(made['classes.hex'])),
      'LEVEL_ROWS': _depth(len(made['levels.hex'])),
    } | self._sizes(made, stream_rows, bits_rows)
    return Memories(
      self.model, self.steps, self.lanes, parameters, made,
      self.input_layout.columns,
    )

  def _runs(self):
    return zip(self.steps, self.passes, strict=True)

  def _parameters(self) -> dict[str, int]:
    machine, columns = self.machine, self.input_layout.columns
    pooled = self.steps[-1].positions
    return {
      'PES': self.spec.pes,
      'LANES': self.lanes,
      'SIMD': machine.simd,
      'BITS': machine.bits,
      'SATURATE': int(machine.overflow_mode == 'saturate'),
      'POPCOUNT': int(machine.unit == 'popcount'),
      'SPAN': self.spec.span,
      'STREAM': self.stream,
      'VALUES': columns.shape[1],
      'VALUE_SHIFT': self.input_layout.shift,
      'WORDS': _depth(max(run.words for run in self.passes)),
      'POOL': self.stream + (pooled - 1).bit_length(),
      'POOL_CHUNKS': self.classifier.weights.shape[1] // self.lanes,
      'CLASSES': len(self.classifier.bias),
    }

  def _sizes(self, made, stream_rows: int, bits_rows: int) -> dict[str, int]:
    """Depths of the memories whose size a spec may give."""
    frames = self.model.input.frames
    needed = {
      'steps': ('STEPS', len(self.steps)),
      'weight_rows': ('WEIGHT_ROWS', len(made['weights.hex'])),
      'constant_rows': ('CONSTANT_ROWS', len(made['norms.hex'])),
      'input_rows': ('INPUT_ROWS', frames * len(self.input_layout.columns)),
      'bits_rows': ('BITS_ROWS', bits_rows),
      'stream_rows': ('STREAM_ROWS', stream_rows),
    }
    sizes = {}
    for field, (parameter, rows) in needed.items():
      given = getattr(self.spec, field)
      if given is not None and rows > given:
        raise errors.UserError(
          f'the network needs {field}={rows}, the accelerator has {given}; '
          f'give it as many or leave {field} out.'
        )
      sizes[parameter] = _depth(given or rows)
    return sizes

  def _streams(self) -> list[allocation.Array]:
    last = plan.last_readers(self.steps)
    arrays = []
    for i, step in enumerate(self.steps):
      if not self._writes_stream(step):
        continue
      same = step.residual and last[step.residual] == i and not step.shortcut
      rows = step.positions * (len(step.outputs) // self.lanes)
      arrays.append(allocation.Array(
        step.stream, rows, i, last[step.stream], step.residual if same else ''
      ))
    return arrays

  def _writes_stream(self, step: plan.Step) -> bool:
    """Whether a later step adds the stream; the classifier has its own sum."""
    return bool(step.stream) and any(
      other.residual == step.stream for other in self.steps
    )

  def _bits(self) -> list[allocation.Array]:
    last = plan.last_readers(self.steps)
    arrays = []
    for i, step in enumerate(self.steps):
      name = plan.bits_of(step)
      if name:
        rows = step.positions * self._frame_rows(name)
        arrays.append(allocation.Array(name, rows, i, last[name], ''))
    return arrays

  def _frame_rows(self, name: str) -> int:
    """Rows of one position of an array of bits."""
    groups, channels = self.layouts[name]
    return groups * -(-channels // self.machine.simd)

  def _fields(self, i: int, streams, bits) -> dict[str, int]:
    """The fields of step.vh but for places of constants."""
    step, run = self.steps[i], self.passes[i]
    return (
      {'flags': self._flags(i)}
      | self._window_fields(step, run, bits)
      | self._array_fields(step, run)
      | self._post_fields(step, streams, bits)
    )

  def _flags(self, i: int) -> int:
    step = self.steps[i]
    flags = (
      i == len(self.steps) - 1,
      isinstance(step.source, specs.Thermometer),
      step.threshold is not None,
      bool(step.residual),
      step.prelu is not None,
      self._writes_stream(step),
      bool(plan.bits_of(step)),
    )
    return sum(flag << i for i, flag in enumerate(flags))

  def _window_fields(self, step, run, bits) -> dict[str, int]:
    """What window.v loads."""
    conv = step.conv
    name = step.source.name
    of_input = isinstance(step.source, specs.Thermometer)
    rows = (
      len(self.input_layout.columns) if of_input else self._frame_rows(name)
    )
    base = 0 if of_input else bits[name]
    stride = conv.strides[0] if conv.kernel else 1
    dilation = conv.dilation[0] if conv.kernel else 1
    before = conv.padding[0][0] if conv.kernel else 0
    return {
      'windows': run.windows,
      'groups': len(step.groups),
      'taps': math.prod(conv.kernel),
      'tap_words': run.tap_words,
      'word_taps': run.word_taps,
      'tap_channels': conv.weights.shape[-1],
      'frames': step.frames,
      'first_frame': -before,
      'stride': stride,
      'dilation': dilation,
      'first_address': base - before * rows,
      'stride_rows': stride * rows,
      'dilation_rows': dilation * rows,
      'first_row': step.groups.start * run.tap_words,
    }

  def _array_fields(self, step, run) -> dict[str, int]:
    """What passes.v and array.v do."""
    popcount = self.machine.unit == 'popcount'
    full, part = (
      lanes // 2 if popcount else lanes for lanes in _word_lanes(step.conv)
    )
    return {
      'tiles': run.tiles,
      'words': run.words,
      'pass_cycles': run.cycles,
      'full_offset': full,
      'part_offset': part,
      'odd_words': step.conv.odd_words if popcount else 0,
    }

  def _post_fields(self, step, streams, bits) -> dict[str, int]:
    """What post.v does."""
    chunks = len(step.outputs) // self.lanes
    fields = {
      'group_chunks': step.group_outputs // self.lanes,
      'chunks': chunks,
      'positions': step.positions,
    }
    if step.residual:
      channels = next(
        len(one.outputs) for one in self.steps if one.stream == step.residual
      )
      stride = step.shortcut.strides[0] if step.shortcut else 1
      fields |= {
        'residual_base': streams[step.residual],
        'residual_rows': stride * (channels // self.lanes),
        'residual_chunks': channels // self.lanes,
      }
    if self._writes_stream(step):
      fields['stream_base'] = streams[step.stream]
    name = plan.bits_of(step)
    if name:
      _, channels = self.layouts[name]
      fields |= {
        'bits_base': bits[name],
        'word_chunks': max(1, self.machine.simd // self.lanes),
        'row_chunks': channels // self.lanes,
      }
    return fields

  def _preloads(self) -> np.ndarray | None:
    """Bits `[passes, pes * P]`, None where all registers start at 0."""
    if all(step.conv.preload is None for step in self.steps):
      return None
    rows = []
    for step in self.steps:
      values = step.conv.preload
      if values is None:
        values = np.zeros(len(step.conv.weights), np.int64)
      rows.append(_tiles(step, values, self.spec.pes, 0))
    return images.rows(np.concatenate(rows), self.machine.bits)

  def _constants(self, of_step) -> np.ndarray:
    """Bits `[chunks of all steps, lanes * width]`."""
    pieces = []
    for step in self.steps:
      values, width = of_step(step)
      pieces.append(images.rows(values.reshape(-1, self.lanes), width))
    return np.concatenate(pieces)

  def _norm(self, step: plan.Step) -> tuple[np.ndarray, int]:
    width = max(self.machine.bits + 1, 20)
    if step.threshold:
      return step.threshold.thresholds[_index(step)], width
    s, b = step.norm.shift[_index(step)], step.norm.bias[_index(step)]
    return (s.astype(np.int64) & 15) << 16 | b & 0xffff, width

  def _prelu(self, step: plan.Step) -> tuple[np.ndarray, int]:
    bits = self.stream
    if step.prelu is None:
      return np.zeros(len(step.outputs), np.int64), 2 * bits + 3
    mask = 2**bits - 1
    k, g, h = step.prelu.k, step.prelu.g, step.prelu.h
    return k.astype(np.int64) << 2 * bits | (g & mask) << bits | h & mask, (
      2 * bits + 3
    )

  def _sign(self, step: plan.Step) -> tuple[np.ndarray, int]:
    if step.sign is None:
      return np.zeros(len(step.outputs), np.int64), self.stream + 1
    return step.sign.theta, self.stream + 1


def field_names() -> list[str]:
  """The fields of a step, in the order of step.vh."""
  text = (RTL / 'step.vh').read_text()
  found = re.findall(r'(\w+) = step\[24\*(\d+)\+:24\]', text)
  assert [int(place) for _, place in found] == list(range(len(found)))
  return [name for name, _ in found]


def _step_rows(fields: Sequence[dict[str, int]]) -> np.ndarray:
  names = field_names()
  assert all(set(step) <= set(names) for step in fields)
  values = np.array([[step.get(name, 0) for name in names] for step in fields])
  if np.abs(values).max() >= 2**FIELD_BITS:
    raise errors.UserError(
      'the network needs more rows than an address of 24 bits reaches; run it '
      'with another engine.'
    )
  return images.rows(values, FIELD_BITS)


def _index(step: plan.Step) -> slice:
  return slice(step.outputs.start, step.outputs.stop)


def _bases(counts: Sequence[int]) -> list[int]:
  """The first row of each of some arrays, one behind the other."""
  return [sum(counts[:i]) for i in range(len(counts))]


def _depth(rows: int) -> int:
  """A power of two, so that networks of similar size share a simulator."""
  return max(2, 1 << (rows - 1).bit_length())


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


def _layouts(steps: Sequence[plan.Step]) -> dict[str, tuple[int, int]]:
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


def _word_lanes(conv: specs.Conv) -> tuple[int, int]:
  """Lanes of a full word, and of the last one of a tap, or of an output."""
  return conv.words[0], conv.words[-1]


def _tiles(
  step: plan.Step, values: np.ndarray, pes: int, missing: int
) -> np.ndarray:
  """What each pass needs of the outputs, `[groups * tiles, pes, ...]`."""
  chosen = values[_index(step)]
  chosen = chosen.reshape(-1, step.group_outputs, *values.shape[1:])
  lacking = -step.group_outputs % pes
  pad = [(0, 0), (0, lacking)] + [(0, 0)] * (values.ndim - 1)
  chosen = np.pad(chosen, pad, constant_values=missing)
  return chosen.reshape(-1, pes, *values.shape[1:])


def _weight_rows(
  step: plan.Step, run: schedule.Passes, pes: int
) -> np.ndarray:
  """Bits `[passes * words, pes * simd]`; missing lanes and outputs are 1."""
  simd = step.conv.accumulator.simd
  outputs, *_, channels = step.conv.weights.shape
  w = step.conv.weights.reshape(outputs, -1, channels)
  if run.word_taps == 1:
    lacking, taps = run.tap_words * simd - channels, 0
  else:
    lacking, taps = 0, -w.shape[1] % run.word_taps
  w = np.pad(w, ((0, 0), (0, taps), (0, lacking)), constant_values=1)
  w = w.reshape(outputs, run.words, -1)
  w = np.pad(w, ((0, 0), (0, 0), (0, simd - w.shape[2])), constant_values=1)
  w = _tiles(step, w, pes, 1).swapaxes(1, 2)
  return w.reshape(-1, pes * simd).astype(np.uint8)


@dataclasses.dataclass(frozen=True, eq=False)
class _Input:
  """How the input lies in its memory.

  Attributes:
    columns: bins `[rows of a frame, values]`.
    shift: log2 of words that read the same row.
    levels: thresholds of the words, bits `[words, simd * 9]`.
  """

  columns: np.ndarray
  shift: int
  levels: np.ndarray


def _input_layout(step: plan.Step) -> _Input:
  """One row for each word of a frame, or for several words of one bin."""
  source = step.source
  assert isinstance(source, specs.Thermometer)
  simd, channels = step.conv.accumulator.simd, step.conv.weights.shape[-1]
  levels = source.thresholds.shape[1]
  group_words = -(-channels // simd)
  word = np.arange(step.conv.groups * group_words)
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
  return _Input(columns, shift, images.rows(thresholds, 9))
