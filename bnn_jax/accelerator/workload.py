"""The products of any network, as an array of processing elements sees them.

They are made of the rows of a network's profile (`bnn_jax.models.profile`).
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from bnn_jax import errors
from bnn_jax.accelerator import schedule


@dataclasses.dataclass(frozen=True)
class Layer:
  """A layer with products.

  Attributes:
    name: its path.
    macs: multiply-accumulates for one clip.
    operands: K of one output.
    weight_bits: of one weight.
    input_bits: of one input.
    features: outputs at one position.
    taps: positions of the kernel.
    groups: of channels.
    parts: into which its outputs are cut; each is a step of the array.
    additions: numbers that are added to streams behind it.
  """

  name: str
  macs: int
  operands: int
  weight_bits: int
  input_bits: int
  features: int
  taps: int
  groups: int
  parts: int
  additions: int

  @property
  def outputs(self) -> int:
    """Sums for one clip."""
    return self.macs // self.operands

  @property
  def positions(self) -> int:
    """Of the output; those of a recurrent layer are its steps."""
    return max(1, self.outputs // self.features)

  @property
  def is_binary(self) -> bool:
    """Whether its products are XNORs."""
    return self.weight_bits == self.input_bits == 1

  @property
  def adds_numbers(self) -> bool:
    """Whether its products are numbers with another sign, at most."""
    return self.weight_bits == 1 < self.input_bits

  def shape(self, simd: int) -> schedule.Shape:
    """That of each of its parts, for words of `simd` lanes."""
    within = self.features // self.parts
    outputs = min(self.features // self.groups, within)
    return schedule.Shape(
      positions=self.positions, groups=within // outputs,
      channels=self.operands // self.taps, taps=self.taps, outputs=outputs,
      simd=simd,
    )


def layers(rows: Sequence[Mapping[str, Any]]) -> list[Layer]:
  """Reads a profile.

  Args:
    rows: its `layers`.

  Returns:
    The layers with products, in the order of the network.

  Raises:
    UserError: rows of an earlier release, without what an array needs; no row
      with products.
  """
  found: list[Layer] = []
  for row in rows:
    if row['macs']:
      found += _layers_of(row)
  if not found:
    raise errors.UserError(
      'the profile has no layer with products; give the `layers` of '
      'bnn_jax.models.profile.profile.'
    )
  return found


def _layers_of(row: Mapping[str, Any]) -> list[Layer]:
  """One for each width of operands."""
  lacking = [name for name in ('taps', 'groups', 'parts') if name not in row]
  if lacking:
    raise errors.UserError(
      f'the profile of {row["path"]} lacks {", ".join(lacking)}; make it with '
      'this release, by --mode=summary.'
    )
  return [
    Layer(
      name=row['path'], macs=macs, operands=row['operands'],
      weight_bits=int(width.split('x')[0]), input_bits=int(width.split('x')[1]),
      features=row['output_shape'][-1], taps=row['taps'], groups=row['groups'],
      parts=row['parts'], additions=row['additions'] * (number == 0),
    )
    for number, (width, macs) in enumerate(row['macs_by_width'].items())
  ]
