"""The front end in integers that belongs to an exported network."""

from bnn_jax import features
from bnn_jax.export import specs
from bnn_jax.frontend import fixed_point
from bnn_jax.frontend import tables as tables_lib


def tables(model: specs.Model) -> fixed_point.Tables:
  """Makes the tables of its front end.

  Args:
    model: the network.

  Raises:
    UserError: its front end has no form in integers.
  """
  form = model.input
  return tables_lib.make_tables(
    features.FrontEnd(**model.front_end),
    features.Quantization(form.lo, form.exponent, form.bits),
  )
