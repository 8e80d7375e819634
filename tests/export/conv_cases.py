"""Cases of the contract as exported convolutions."""

import numpy as np

from bnn_jax.export import specs
from bnn_jax.nn import geometry
from tests.contract import cases


def layer(case: cases.Case) -> specs.Conv:
  """The convolution of a case, which reads an array x."""
  shape = geometry.geometry(case.x.shape, case.w.shape, **case.geometry)
  preload = None if case.preload is None else np.array(case.preload)
  return specs.Conv(
    'conv', ('x',), shape.kernel, shape.strides, shape.padding, shape.dilation,
    shape.groups, specs.Accumulator(*case.machine),
    np.moveaxis((case.w > 0).astype(np.uint8), -1, 0), preload,
  )
