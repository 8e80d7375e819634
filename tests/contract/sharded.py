"""Runs accumulators over eight devices; `test_sharding` starts it.

Each line it prints is a layer, a mode, a gradient, an engine, whether the
devices together gave the same integers as one of them, and whether each of
them kept its own examples alone.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import accumulator
from bnn_jax.nn.kernels import choice
from tests.contract import cases

LAYERS = {
  'conv': ((16, 6, 40), (3, 40, 20)),
  'pointwise': ((16, 6, 40), (1, 40, 20)),
  'dense': ((16, 40), (40, 20)),
}
REGISTERS = (
  ('exact', 'straight_through'), ('wrap', 'straight_through'),
  ('saturate', 'straight_through'), ('saturate', 'clip'),
)


def main() -> None:
  devices = jax.devices()
  assert len(devices) == 8
  mesh = jax.sharding.Mesh(np.array(devices), ('batch',))
  split = jax.sharding.NamedSharding(mesh, jax.P('batch'))
  whole = jax.sharding.NamedSharding(mesh, jax.P())
  for layer, shapes in LAYERS.items():
    x, w = (
      jnp.asarray(cases.fill(kind, shape, 1), jnp.float32)
      for kind, shape in zip(('mostly ones', 'random'), shapes, strict=True)
    )
    for mode, gradient in REGISTERS:
      for engine in ('lax', choice.choose(None)):
        register = accumulator.Accumulator(4, mode, 8, gradient=gradient)
        run = functools.partial(observe, register=register, engine=engine)
        alone = jax.jit(run)(x, w)
        together = jax.jit(run, in_shardings=(split, whole))(x, w)
        equal = jax.tree.map(np.array_equal, alone, together)
        kept = [v.sharding.is_equivalent_to(split, v.ndim)
                for v in together[:2]]
        print(layer, mode, gradient, engine, all(jax.tree.leaves(equal)),
              all(kept))


def observe(x, w, register, engine):
  """Result, exact sum, telemetry and gradients, all of them integers."""
  def both(x, w):
    y = accumulator.accumulate(x, w, register, engine=engine)
    return y.result, y.exact

  def loss(x, w):
    result, exact = both(x, w)
    return jnp.sum(result * 3 + exact)

  counts = accumulator.telemetry(x, w, register)
  return *both(x, w), counts, jax.grad(loss, (0, 1))(x, w)


if __name__ == '__main__':
  main()
