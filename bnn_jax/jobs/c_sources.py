"""The C sources of an export, from samples to a class."""

import pathlib

from bnn_jax import features
from bnn_jax.export import print_c
from bnn_jax.export import specs
from bnn_jax.frontend import print_c as print_front_end
from bnn_jax.frontend import tables


def write(folder: pathlib.Path, model: specs.Model) -> None:
  """Writes the network and, where it has integers, its front end.

  Args:
    folder: gets `bnn_model.h` and `bnn_model.c`; for features of kind
      'log_mel' also the front end and an example, `main.c`.
    model: the network.

  Raises:
    UserError: the network or its front end has no form in C.
  """
  front_end = features.FrontEnd(**model.front_end)
  made = None
  if front_end.kind == 'log_mel':
    form = model.input
    made = tables.make_tables(
      front_end, features.Quantization(form.lo, form.exponent, form.bits)
    )
  folder.mkdir(exist_ok=True)
  print_c.write_sources(model, folder)
  if made is not None:
    print_front_end.write_sources(made, folder)
    print_c.write_example(folder)
