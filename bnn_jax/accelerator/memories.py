"""The memories of the accelerator, filled from an exported network."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import json
import pathlib

import numpy as np

from bnn_jax import errors
from bnn_jax.accelerator import allocation
from bnn_jax.accelerator import fields
from bnn_jax.accelerator import images
from bnn_jax.accelerator import layout as layout_lib
from bnn_jax.accelerator import plan
from bnn_jax.accelerator import schedule
from bnn_jax.accelerator import spec as spec_lib
from bnn_jax.export import specs

Layout = layout_lib.Layout


@dataclasses.dataclass(frozen=True, eq=False)
class Memories:
  """A network for the accelerator.

  Attributes:
    layout: how it lies there.
    parameters: of engine.v.
    images: bits `[rows, width]` by the name of their file.
  """

  layout: Layout
  parameters: dict[str, int]
  images: dict[str, np.ndarray]

  def write(self, folder: pathlib.Path) -> None:
    """Writes the images and the parameters of engine.v into a folder."""
    for name, bits in self.images.items():
      images.write(folder / name, bits)
    new = folder / 'parameters.json.new'
    new.write_text(json.dumps(self.parameters, indent=1) + '\n')
    new.rename(folder / 'parameters.json')

  def input_rows(self, q: np.ndarray) -> np.ndarray:
    """Rows `[n, rows, values]` of the input memory, of q `[n, T, F]`, uint8."""
    columns = self.layout.input.columns
    return q[..., columns].reshape(len(q), -1, columns.shape[1])


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
  lay = layout_lib.layout(model, spec)
  stream_bases, stream_rows = allocation.places(_streams(lay))
  bits_bases, bits_rows = allocation.places(_bits(lay))
  weights = [
    _weights(step, run, lay.pes)
    for step, run in zip(lay.steps, lay.passes, strict=True)
  ]
  bases = {
    'weight_base': [len(rows) for rows in weights],
    'preload_base': [
      len(rows) // run.words
      for rows, run in zip(weights, lay.passes, strict=True)
    ],
    'constant_base': [lay.chunks(step) for step in lay.steps],
  }
  steps = [
    fields.of_step(lay, i, stream_bases, bits_bases)
    | {name: sum(counts[:i]) for name, counts in bases.items()}
    for i in range(len(lay.steps))
  ]
  made = {
    'steps.hex': fields.rows(steps),
    'weights.hex': np.concatenate(weights),
    'levels.hex': lay.input.levels,
    'norms.hex': _constants(lay, _norm),
    'prelus.hex': _constants(lay, _prelu),
    'signs.hex': _constants(lay, _sign),
    'classes.hex': lay.classifier.weights.reshape(-1, lay.lanes),
    'biases.hex': images.rows(lay.classifier.bias[:, None], 24),
  }
  if any(step.conv.preload is not None for step in lay.steps):
    made['preloads.hex'] = _preloads(lay)
  needed = {
    'steps': len(lay.steps),
    'weight_rows': len(made['weights.hex']),
    'constant_rows': len(made['norms.hex']),
    'input_rows': model.input.frames * len(lay.input.columns),
    'bits_rows': bits_rows,
    'stream_rows': stream_rows,
  }
  parameters = _array_parameters(lay, spec) | _depths(made, needed, spec)
  return Memories(lay, parameters, made)


def _array_parameters(
  lay: Layout, spec: spec_lib.AcceleratorSpec
) -> dict[str, int]:
  """The parameters of engine.v but the sizes of its memories."""
  machine = lay.machine
  classes, channels = lay.classifier.weights.shape
  return {
    'PES': lay.pes,
    'LANES': lay.lanes,
    'SIMD': machine.simd,
    'BITS': machine.bits,
    'SATURATE': int(machine.overflow_mode == 'saturate'),
    'POPCOUNT': int(machine.unit == 'popcount'),
    'SPAN': spec.span,
    'STREAM': lay.stream,
    'VALUES': lay.input.columns.shape[1],
    'VALUE_SHIFT': lay.input.shift,
    'WORDS': _depth(max(run.words for run in lay.passes)),
    'POOL': lay.stream + (lay.steps[-1].positions - 1).bit_length(),
    'POOL_CHUNKS': channels // lay.lanes,
    'CLASSES': classes,
  }


def _depths(
  made: dict[str, np.ndarray], needed: dict[str, int],
  spec: spec_lib.AcceleratorSpec,
) -> dict[str, int]:
  """Depths of the memories; those that a spec may give are in `needed`."""
  preloads = made.get('preloads.hex')
  depths = {
    'PRELOAD_ROWS': 0 if preloads is None else _depth(len(preloads)),
    'CLASS_ROWS': _depth(len(made['classes.hex'])),
    'LEVEL_ROWS': _depth(len(made['levels.hex'])),
  }
  for field, rows in needed.items():
    given = getattr(spec, field)
    if given is not None and rows > given:
      raise errors.UserError(
        f'the network needs {field}={rows}, the accelerator has {given}; give '
        f'it as many or leave {field} out.'
      )
    depths[field.upper()] = _depth(given or rows)
  return depths


def _depth(rows: int) -> int:
  """A power of two, so that networks of similar size share a simulator."""
  return max(2, 1 << (rows - 1).bit_length())


def _streams(lay: Layout) -> list[allocation.Array]:
  """The streams that are kept; one may take the place of its residual."""
  last = plan.last_readers(lay.steps)
  arrays = []
  for i, step in enumerate(lay.steps):
    if lay.writes_stream(step):
      same = step.residual and last[step.residual] == i and not step.shortcut
      rows = step.positions * lay.chunks(step)
      arrays.append(allocation.Array(
        step.stream, rows, i, last[step.stream], step.residual if same else ''
      ))
  return arrays


def _bits(lay: Layout) -> list[allocation.Array]:
  """The bits between convolutions."""
  last = plan.last_readers(lay.steps)
  arrays = []
  for i, step in enumerate(lay.steps):
    name = plan.bits_of(step)
    if name:
      rows = step.positions * lay.frame_rows(name)
      arrays.append(allocation.Array(name, rows, i, last[name], ''))
  return arrays


def _tiles(
  step: plan.Step, values: np.ndarray, pes: int, missing: int
) -> np.ndarray:
  """What each pass needs of the outputs `[N, ...]`: `[passes, pes, ...]`."""
  chosen = values[_outputs(step)]
  chosen = chosen.reshape(-1, step.group_outputs, *values.shape[1:])
  lacking = -step.group_outputs % pes
  pad = [(0, 0), (0, lacking)] + [(0, 0)] * (values.ndim - 1)
  chosen = np.pad(chosen, pad, constant_values=missing)
  return chosen.reshape(-1, pes, *values.shape[1:])


def _outputs(step: plan.Step) -> slice:
  return slice(step.outputs.start, step.outputs.stop)


def _weights(step: plan.Step, run: schedule.Passes, pes: int) -> np.ndarray:
  """Bits `[passes * words, pes * simd]`; missing lanes and outputs are 1."""
  simd = step.conv.accumulator.simd
  outputs, *_, channels = step.conv.weights.shape
  w = step.conv.weights.reshape(outputs, -1, channels)
  lanes, taps = run.tap_words * simd - channels, 0
  if run.word_taps > 1:
    lanes, taps = 0, -w.shape[1] % run.word_taps
  w = np.pad(w, ((0, 0), (0, taps), (0, lanes)), constant_values=1)
  w = w.reshape(outputs, run.words, -1)
  w = np.pad(w, ((0, 0), (0, 0), (0, simd - w.shape[2])), constant_values=1)
  w = _tiles(step, w, pes, 1).swapaxes(1, 2)
  return w.reshape(-1, pes * simd).astype(np.uint8)


def _preloads(lay: Layout) -> np.ndarray:
  """Bits `[passes, pes * P]`."""
  rows = []
  for step in lay.steps:
    values = step.conv.preload
    if values is None:
      values = np.zeros(len(step.conv.weights), np.int64)
    rows.append(_tiles(step, values, lay.pes, 0))
  return images.rows(np.concatenate(rows), lay.machine.bits)


def _constants(
  lay: Layout, of_step: Callable[[Layout, plan.Step], tuple[np.ndarray, int]]
) -> np.ndarray:
  """Bits `[chunks, lanes * width]` of numbers and their width, by channel."""
  pieces = []
  for step in lay.steps:
    values, width = of_step(lay, step)
    pieces.append(images.rows(values.reshape(-1, lay.lanes), width))
  return np.concatenate(pieces)


def _norm(lay: Layout, step: plan.Step) -> tuple[np.ndarray, int]:
  """Shift above bias, or a threshold."""
  width = max(lay.machine.bits + 1, 20)
  if step.threshold is not None:
    return step.threshold.thresholds[_outputs(step)], width
  assert step.norm is not None
  s, b = step.norm.shift[_outputs(step)], step.norm.bias[_outputs(step)]
  return _joined([(s, 4), (b, 16)]), width


def _prelu(lay: Layout, step: plan.Step) -> tuple[np.ndarray, int]:
  """k, g and h, from the top."""
  width = 2 * lay.stream + specs.PRELU_SHIFT_BITS
  if step.prelu is None:
    return np.zeros(len(step.outputs), np.int64), width
  prelu = step.prelu
  return _joined([
    (prelu.k, specs.PRELU_SHIFT_BITS), (prelu.g, lay.stream),
    (prelu.h, lay.stream),
  ]), width


def _sign(lay: Layout, step: plan.Step) -> tuple[np.ndarray, int]:
  """The threshold of RSign."""
  width = lay.stream + 1
  if step.sign is None:
    return np.zeros(len(step.outputs), np.int64), width
  return step.sign.theta, width


def _joined(numbers: Sequence[tuple[np.ndarray, int]]) -> np.ndarray:
  """Some arrays in one, the first in the highest bits."""
  whole = np.zeros(numbers[0][0].shape, np.int64)
  for values, width in numbers:
    whole = whole << width | values.astype(np.int64) & (1 << width) - 1
  return whole
