"""The C sources of an export, from samples to a class."""

from collections.abc import Callable
import pathlib

from bnn_jax.export import print_c
from bnn_jax.export import specs
from bnn_jax.frontend import print_c as print_front_end
from bnn_jax.jobs import front_end


def writer(model: specs.Model) -> Callable[[pathlib.Path], None]:
  """Makes what writes the network and, where it has integers, its front end.

  Args:
    model: the network.

  Returns:
    A function that makes the folder `c` in a folder: `bnn_model.h` and
    `bnn_model.c`; for features of kind 'log_mel' also the front end and an
    example, `main.c`.

  Raises:
    UserError: the network or its front end has no form in C.
  """
  made = None
  if model.front_end.get('kind') == 'log_mel':
    made = front_end.tables(model)

  def write(export: pathlib.Path) -> None:
    folder = export / print_c.FOLDER
    folder.mkdir()
    print_c.write_sources(model, folder)
    if made is not None:
      print_front_end.write_sources(made, folder)
      print_c.write_example(folder)

  return write
