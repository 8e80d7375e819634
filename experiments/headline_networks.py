"""The networks of the headline, as an array sees them.

Each is built by its file in configs/, so that its shapes are those that are
trained, and nothing is trained here.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import functools
import importlib
from typing import Any
from typing import NamedTuple

from bnn_jax import errors
from bnn_jax.models import profile
from bnn_jax.training import setup
from experiments import compare_methods

# As `experiments.compare` calls our network.
OURS = 'ours'
SIZES = ('S', 'M', 'L')


class Name(NamedTuple):
  """A network.

  Attributes:
    method: name of its file in `configs/baselines`, or `OURS`.
    size: as its configuration calls it.
  """

  method: str
  size: str

  def __str__(self):
    return self.method if self.size in self.method.replace('_', '-') else (
      f'{self.method} {self.size}'
    )


# One size of each of the ten; then what is even cheaper, and larger sizes.
TEN = tuple(Name(*each) for each in (
  ('cnn_trad_fpool3', 'trad-fpool3'), ('crnn', 'S'), ('ds_cnn', 'S'),
  ('res', 'res8'), ('tc_resnet', '8'), ('matchboxnet', '3x1x64'),
  ('mhatt_rnn', 'paper'), ('kwt', '1'), ('bc_resnet', '1'), ('bifsmn', 'v2'),
))
EXTRAS = (Name('dnn', 'S'), Name('cnn_one_fstride4', 'one-fstride4'))
LARGE = tuple(Name(*each) for each in (
  ('crnn', 'L'), ('ds_cnn', 'L'), ('res', 'res15'), ('tc_resnet', '14-1.5'),
  ('matchboxnet', '3x2x64'), ('bc_resnet', '3'), ('bc_resnet', '8'),
  ('dnn', 'L'),
))
# What stays real in the binary twins. Of it, products of sums (attention) are
# counted, as integers of 8 bits; the rest, element by element, is not, which
# makes a twin no dearer.
REAL_PARTS = {
  Name(method.name, size): parts
  for method in compare_methods.METHODS
  for size, parts in method.real_parts.items()
}


# Options of ours without more parts than its size has.
WHOLE = 'parts=1'


@functools.cache
def layers(
  name: Name, variant: str, options: str = WHOLE
) -> tuple[dict[str, Any], ...]:
  """The rows of a network's profile.

  Args:
    name: of the network, one of the published methods or ours.
    variant: such as 'binary'.
    options: others of ours, such as its register; by default convolutions are
      whole, so that it is the same network on every array.

  Returns:
    `layers` of `profile.profile`.

  Raises:
    UserError: there is no such network.
  """
  module, string = f'configs.baselines.{name.method}', ''
  if name.method == OURS:
    module, string = 'configs.kws', f',{options}'
  try:
    config = importlib.import_module(module).get_config(
      f'size={name.size},variant={variant}{string}'
    )
  except ValueError as error:
    raise errors.UserError(f'{name} is no network: {error}') from error
  found = profile.profile(
    setup.model(config), input_bits=config.model.input_bits,
    **setup.input_shape(config),
  )
  return tuple(found['layers'])


def generous(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
  """The rows as an array better suited to them would see them.

  What is real costs nothing there, and elements have words of their own, so
  that channel groups, each output of a depthwise layer, fill all elements. No
  price is known for such an array; on the same one it is a lower bound.

  Args:
    rows: of a profile.

  Returns:
    The changed rows.
  """
  return tuple(_generous(row) for row in rows)


def _generous(row: Mapping[str, Any]) -> dict[str, Any]:
  kept = {
    width: macs for width, macs in row['macs_by_width'].items()
    if width.startswith('1x')
  }
  return dict(row) | {
    'macs': sum(kept.values()), 'macs_by_width': kept, 'groups': 1,
  }
