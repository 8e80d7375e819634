"""The numbers that tell the accelerator what a step is, see rtl/step.vh."""

from collections.abc import Mapping
from collections.abc import Sequence
import math
import pathlib
import re

import numpy as np

from bnn_jax import errors
from bnn_jax.accelerator import images
from bnn_jax.accelerator import layout as layout_lib
from bnn_jax.accelerator import plan
from bnn_jax.accelerator import schedule
from bnn_jax.export import specs

RTL = pathlib.Path(__file__).with_name('rtl')
BITS = 24


def names() -> list[str]:
  """The fields of a step, in the order of step.vh."""
  text = (RTL / 'step.vh').read_text()
  found = re.findall(r'(\w+) = step\[24\*(\d+)\+:24\]', text)
  assert [int(place) for _, place in found] == list(range(len(found)))
  return [name for name, _ in found]


def rows(steps: Sequence[Mapping[str, int]]) -> np.ndarray:
  """Puts the fields of steps side by side.

  Args:
    steps: the fields of each by their names; absent ones are 0.

  Returns:
    Bits `[steps, width]`.

  Raises:
    UserError: a field does not fit.
  """
  order = names()
  assert all(set(step) <= set(order) for step in steps)
  values = np.array([[step.get(name, 0) for name in order] for step in steps])
  if np.abs(values).max() >= 2**BITS:
    raise errors.UserError(
      'the network needs more rows than an address of 24 bits reaches; run it '
      'with another engine.'
    )
  return images.rows(values, BITS)


def of_step(
  lay: layout_lib.Layout,
  number: int,
  streams: Mapping[str, int],
  bits: Mapping[str, int],
) -> dict[str, int]:
  """The fields of a step but the places of its constants.

  Args:
    lay: of the network.
    number: of the step.
    streams: first row of each stream by its name.
    bits: first row of each array of bits by its name.
  """
  step, run = lay.steps[number], lay.passes[number]
  return (
    {'flags': _flags(lay, step)}
    | _window(lay, step, run, bits)
    | _array(lay, step, run)
    | _post(lay, step, streams, bits)
  )


def _flags(lay: layout_lib.Layout, step: plan.Step) -> int:
  """The bits at the end of step.vh."""
  flags = (
    step is lay.steps[-1],
    isinstance(step.source, specs.Thermometer),
    step.threshold is not None,
    bool(step.residual),
    step.prelu is not None,
    lay.writes_stream(step),
    bool(plan.bits_of(step)),
  )
  return sum(flag << i for i, flag in enumerate(flags))


def _window(
  lay: layout_lib.Layout, step: plan.Step, run: schedule.Passes,
  bits: Mapping[str, int],
) -> dict[str, int]:
  """What window.v loads."""
  base, frame_rows = 0, len(lay.input.columns)
  if not isinstance(step.source, specs.Thermometer):
    name = step.source.name
    base, frame_rows = bits[name], lay.frame_rows(name)
  return {
    'windows': run.windows,
    'groups': len(step.groups),
    'taps': math.prod(step.conv.kernel),
    'tap_words': run.tap_words,
    'word_taps': run.word_taps,
    'tap_channels': step.conv.weights.shape[-1],
    'frames': step.frames,
    'first_frame': -step.before,
    'stride': step.stride,
    'dilation': step.dilation,
    'first_address': base - step.before * frame_rows,
    'stride_rows': step.stride * frame_rows,
    'dilation_rows': step.dilation * frame_rows,
    'first_row': step.groups.start * run.tap_words,
  }


def _array(
  lay: layout_lib.Layout, step: plan.Step, run: schedule.Passes
) -> dict[str, int]:
  """What passes.v and array.v do."""
  popcount = lay.machine.unit == 'popcount'
  # A word is full, or the last one of a tap or of an output.
  full, part = step.conv.words[0], step.conv.words[-1]
  return {
    'tiles': run.tiles,
    'words': run.words,
    'pass_cycles': run.cycles,
    'full_offset': full // 2 if popcount else full,
    'part_offset': part // 2 if popcount else part,
    'odd_words': step.conv.odd_words if popcount else 0,
  }


def _post(
  lay: layout_lib.Layout, step: plan.Step, streams: Mapping[str, int],
  bits: Mapping[str, int],
) -> dict[str, int]:
  """What post.v does."""
  fields = {
    'group_chunks': step.group_outputs // lay.lanes,
    'chunks': lay.chunks(step),
    'positions': step.positions,
  }
  if step.residual:
    giver = next(one for one in lay.steps if one.stream == step.residual)
    stride = step.shortcut.strides[0] if step.shortcut else 1
    fields |= {
      'residual_base': streams[step.residual],
      'residual_rows': stride * lay.chunks(giver),
      'residual_chunks': lay.chunks(giver),
    }
  if lay.writes_stream(step):
    fields['stream_base'] = streams[step.stream]
  name = plan.bits_of(step)
  if name:
    _, channels = lay.bits[name]
    fields |= {
      'bits_base': bits[name],
      'word_chunks': max(1, lay.machine.simd // lay.lanes),
      'row_chunks': channels // lay.lanes,
    }
  return fields
