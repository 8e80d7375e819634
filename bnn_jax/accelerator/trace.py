"""What every layer gave, from the probes of a simulation.

All passes by in an order that does not depend on the data: clip, step,
position, channel. So a probe's values need no names.
"""

import pathlib
from typing import NamedTuple

import numpy as np

from bnn_jax.accelerator import layout as layout_lib
from bnn_jax.accelerator import memories as memories_lib
from bnn_jax.accelerator import plan
from bnn_jax.accelerator import schedule
from bnn_jax.export import specs


class Layer(NamedTuple):
  """What a layer gave.

  Attributes:
    values: int64 `[n, ...]`, bits as -1 and +1.
    seen: which of them there are, `[...]`: the accelerator encodes only the
      frames that a convolution reads.
  """

  values: np.ndarray
  seen: np.ndarray


def read(
  folder: pathlib.Path, memories: memories_lib.Memories, clips: int
) -> dict[str, Layer]:
  """Reads what a simulation wrote.

  Args:
    folder: with a file for each probe.
    memories: with the network.
    clips: how many there are.

  Returns:
    Every layer but the classifier, by its name.
  """
  lay = memories.layout
  lanes, bits, stream = lay.lanes, lay.machine.bits, lay.stream
  probes = {
    name: _values(folder / name, clips, lanes, width)
    for name, width in (
      ('registers', bits), ('y', stream), ('residual', stream),
      ('sum', stream), ('value', stream), ('signs', 1),
    )
  }
  parts: dict[str, list[np.ndarray]] = {}
  start = 0
  for step in lay.steps:
    stop = start + step.positions * len(step.outputs)
    here = {
      name: values[:, start:stop].reshape(clips, step.positions, -1)
      for name, values in probes.items()
    }
    for name, values in _layers(step, here).items():
      parts.setdefault(name, []).append(values)
    start = stop
  layers = {}
  for name, pieces in parts.items():
    values = np.concatenate(pieces, axis=-1)
    layers[name] = Layer(values, np.ones(values.shape[1:], bool))
  encoded = _encoded(folder, lay, clips)
  return layers | encoded


def _layers(
  step: plan.Step, here: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """What one step computed, by the layers' names."""
  registers = here['registers']
  if step.conv.accumulator.unit == 'popcount':
    registers = 2 * registers - step.conv.odd_words
  values = {step.conv.name: registers}
  if step.threshold:
    return values | {step.threshold.name: -2 * here['signs'] - 1}
  for layer, probe in (
    (step.norm, 'y'), (step.part, 'y'), (step.shortcut, 'residual'),
    (step.add, 'sum'), (step.prelu, 'value'),
  ):
    if layer is not None:
      values[layer.name] = here[probe]
  if step.sign:
    # A set bit, read as a number of one bit with a sign, is -1.
    values[step.sign.name] = -2 * here['signs'] - 1
  return values


def _port_bytes(width: int) -> int:
  """Size of a port of some bits in Verilator's C++."""
  if width > 64:
    return 4 * -(-width // 32)
  return next(size for size in (1, 2, 4, 8) if width <= 8 * size)


def _rows(path: pathlib.Path, width: int) -> np.ndarray:
  """Bits `[rows, width]` that a probe wrote, lowest first."""
  data = np.fromfile(path, np.uint8).reshape(-1, _port_bytes(width))
  return np.unpackbits(data, axis=1, bitorder='little')[:, :width]


def _values(
  path: pathlib.Path, clips: int, lanes: int, width: int
) -> np.ndarray:
  """Signed integers `[clips, n]` of `width` bits."""
  bits = _rows(path, lanes * width).reshape(clips, -1, width)
  values = bits.astype(np.int64) @ (1 << np.arange(width))
  return values - (values >> (width - 1) << width)


def _encoded(
  folder: pathlib.Path, lay: layout_lib.Layout, clips: int
) -> dict[str, Layer]:
  """The thermometer's bits in the frames that were loaded."""
  simd = lay.machine.simd
  loads = _rows(folder / 'load', simd).reshape(clips, -1, simd)
  source = next(
    one for one in lay.model.layers if isinstance(one, specs.Thermometer)
  )
  form = lay.model.input
  bits = np.zeros((clips, form.frames, source.thresholds.size), np.int64)
  seen = np.zeros(bits.shape[1:], bool)
  start = 0
  for step, run in zip(lay.steps, lay.passes, strict=True):
    count = run.windows * run.loads
    if step.source is source:
      here = loads[:, start : start + count]
      for i, (frame, first, lanes) in enumerate(_places(step, run)):
        if 0 <= frame < form.frames:
          channels = slice(first, first + lanes)
          bits[:, frame, channels] = 2 * here[:, i, :lanes].astype(int) - 1
          seen[frame, channels] = True
    start += count
  return {source.name: Layer(bits, seen)}


def _places(step: plan.Step, run: schedule.Passes):
  """Frame, first channel and number of channels of each load of a step."""
  conv = step.conv
  channels, simd = conv.weights.shape[-1], conv.accumulator.simd
  taps = run.loads // run.tap_words
  for position in range(step.positions):
    for group in step.groups:
      for tap in range(taps):
        frame = position * step.stride - step.before + tap * step.dilation
        for word in range(run.tap_words):
          start = word * simd
          yield frame, group * channels + start, min(simd, channels - start)
