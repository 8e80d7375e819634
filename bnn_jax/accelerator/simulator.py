"""Runs clips on the accelerator: its Verilog, compiled by Verilator."""

import dataclasses
import pathlib
import tempfile

import numpy as np

from bnn_jax.accelerator import fields
from bnn_jax.accelerator import memories as memories_lib
from bnn_jax.accelerator import tools
from bnn_jax.accelerator import trace

# The counter of cycles in which the array has operands, beside the memories'.
BUSY = 'array busy'
BENCH = fields.RTL / 'simulator.cc'


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
  """What some clips gave.

  Attributes:
    logits: int32 `[n, N]`.
    decisions: int32 `[n]`.
    cycles: int32 `[n]`, of each inference.
    used: cycles in which a memory was read or written, or the array was busy,
      by what it is called, in all inferences together.
    layers: what every layer gave, where that was asked for.
  """

  logits: np.ndarray
  decisions: np.ndarray
  cycles: np.ndarray
  used: dict[str, int]
  layers: dict[str, trace.Layer]


def run(
  memories: memories_lib.Memories,
  q: np.ndarray,
  *,
  deep: bool = False,
  sources: pathlib.Path = fields.RTL,
) -> Result:
  """Runs clips, one after the other.

  Args:
    memories: with the network.
    q: uint8 `[n, T, F]`.
    deep: also tell what every layer gives.
    sources: folder of the Verilog.

  Returns:
    Logits, cycles and counts.

  Raises:
    UserError: a tool is missing or fails, or a clip is never decided.
  """
  program = tools.build('engine', memories.parameters, BENCH, sources)
  rows = memories.input_rows(q)
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    memories.write(folder)
    (folder / 'input').write_bytes(rows.tobytes())
    command = [str(program), 'input', 'output', *map(str, rows.shape[1:])]
    printed = tools.run(
      command + ['.'] * deep, folder,
      'what it simulates, the Verilog or the memories, is wrong',
    )
    output = np.fromfile(folder / 'output', np.int32).reshape(len(q), -1)
    layers = trace.read(folder, memories, len(q)) if deep else {}
  counts = [line.rsplit(' ', 1) for line in printed.splitlines()]
  return Result(
    logits=output[:, :-2],
    decisions=output[:, -2],
    cycles=output[:, -1],
    used={name: int(count) for name, count in counts},
    layers=layers,
  )
