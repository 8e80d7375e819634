"""Runs accumulators over eight devices; `test_sharding` starts it.

Each line it prints is a mode, an engine, and whether the devices together gave
the same integers as one of them.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import accumulator
from bnn_jax.nn.kernels import choice
from tests.contract import cases

X, W = (16, 6, 40), (3, 40, 20)


def main() -> None:
  devices = jax.devices()
  assert len(devices) == 8
  mesh = jax.sharding.Mesh(np.array(devices), ('batch',))
  split = jax.sharding.NamedSharding(mesh, jax.P('batch'))
  whole = jax.sharding.NamedSharding(mesh, jax.P())
  x = jnp.asarray(cases.fill('mostly ones', X, 1), jnp.float32)
  w = jnp.asarray(cases.fill('random', W, 2), jnp.float32)
  for mode in cases.MODES:
    for engine in ('lax', choice.choose(None)):
      register = accumulator.Accumulator(4, mode, 8)
      run = functools.partial(observe, register=register, engine=engine)
      alone = jax.jit(run)(x, w)
      together = jax.jit(run, in_shardings=(split, whole))(x, w)
      equal = jax.tree.map(np.array_equal, alone, together)
      print(mode, engine, all(jax.tree.leaves(equal)))


def observe(x, w, register, engine):
  """Result, telemetry and gradients, all of them integers."""
  def loss(x, w):
    return jnp.sum(accumulator.conv(x, w, register, engine=engine) * 3)

  y = accumulator.conv(x, w, register, engine=engine)
  counts = accumulator.telemetry(x, w, register)
  return y, counts, jax.grad(loss, (0, 1))(x, w)


if __name__ == '__main__':
  main()
