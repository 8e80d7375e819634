"""What of an accelerator is chosen; the network gives the rest."""

from collections.abc import Sequence
import dataclasses

from bnn_jax import errors

MEMORIES = (
  'weight_rows', 'constant_rows', 'input_rows', 'bits_rows', 'stream_rows',
  'steps',
)


@dataclasses.dataclass(frozen=True)
class AcceleratorSpec:
  """An array of processing elements and its memories (docs/accelerator.md).

  Attributes:
    pes: processing elements, each for one output at a time.
    lanes: batch normalization units, and channels that pass behind them in a
      cycle; each serves pes / lanes elements. By default the largest power of
      two that the network's channels allow.
    span: levels of the popcount tree between two registers.
    weight_rows: of `pes` words; this and all below: by default what the network
      needs.
    constant_rows: constants of `lanes` channels.
    input_rows: of one clip.
    bits_rows: words of bits between the layers.
    stream_rows: integers of `lanes` channels.
    steps: convolutions, or parts of such that are added one by one.
  """

  pes: int = 16
  lanes: int | None = None
  span: int = 2
  weight_rows: int | None = None
  constant_rows: int | None = None
  input_rows: int | None = None
  bits_rows: int | None = None
  stream_rows: int | None = None
  steps: int | None = None

  def __post_init__(self):
    if self.pes < 1 or self.span < 1:
      raise errors.UserError(
        f'pes={self.pes} with span={self.span} is no array; both are at least '
        '1.'
      )
    if self.lanes is not None and (
      self.lanes < 1 or self.pes % self.lanes or self.lanes & (self.lanes - 1)
    ):
      raise errors.UserError(
        f'lanes={self.lanes} does not fit pes={self.pes}; give a power of two '
        'that divides it.'
      )


def memories(settings: Sequence[str]) -> dict[str, int]:
  """Reads sizes of memories.

  Args:
    settings: such as 'weight_rows=8192'.

  Returns:
    Fields of `AcceleratorSpec`.

  Raises:
    UserError: no such memory, or no size.
  """
  found = {}
  for text in settings:
    name, _, size = text.partition('=')
    if name not in MEMORIES or not size.isdecimal() or int(size) < 1:
      raise errors.UserError(
        f'--memories={text} is no size of a memory; write NAME=ROWS, NAME '
        f'being one of {", ".join(MEMORIES)}.'
      )
    found[name] = int(size)
  return found
