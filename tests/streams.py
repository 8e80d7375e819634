"""Parameters and integers for tests of layers on an integer stream."""

import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import integer

STREAM = integer.StreamFormat(8, 4)
CHANNELS = 64


def dyadic(random, low, high, denominator=64):
  """`[C]` multiples of 1 / denominator, which float32 holds exactly."""
  numerators = random.integers(
    low * denominator, high * denominator + 1, CHANNELS
  )
  return (numerators / denominator).astype(np.float32)


def deployed(layer, params, statistics=None):
  """What `layer` deploys, as JAX arrays."""
  return jax.tree.map(
    jnp.asarray, layer.deployed_constants(params, statistics or {})
  )


def integers(random, low, high):
  """`[40, C]` float32."""
  return jnp.asarray(random.integers(low, high, (40, CHANNELS)), jnp.float32)
