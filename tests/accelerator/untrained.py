"""Exported networks of the package without a training: random integers."""

import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax.export import fold
from bnn_jax.export import specs
from bnn_jax.export import trace
from bnn_jax.models import profile
from bnn_jax.models import speech_resnet
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import integer

SHAPE = {'frames': 98, 'bins': 40}
_LIMITS = {
  'latent': (-9, 9), 'thresholds': (1, 2), 'shift': (-2, 3), 'bias': (-9, 9),
  'theta': (-4, 4),
}


def network(size, bits=8, simd=64, variant='overflow'):
  """One of our sizes with a register that wraps."""
  return speech_resnet.build(
    size, variant, 12,
    accumulator=accumulator_lib.Accumulator(bits, 'wrap', simd),
    stream=integer.StreamFormat(), levels=8, norm_variant='fused',
    weight_gradient='hard_tanh', activation_gradient='approx_sign',
  )


def rows(net, frames=SHAPE['frames'], bins=SHAPE['bins']):
  """The layers of its profile."""
  return profile.profile(net, frames=frames, bins=bins)['layers']


def exported(net, frames=SHAPE['frames'], bins=SHAPE['bins'], classes=12):
  """The network as engines read it."""
  q = jnp.zeros((1, frames, bins), jnp.uint8)
  shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), q, train=False))
  random = np.random.default_rng(0)

  def fill(path, like):
    low, high = _LIMITS.get(path[-1].key, (0, 0))
    value = random.integers(low, high + 1, like.shape)
    if path[-1].key == 'thresholds':
      value = np.cumsum(9 * value, axis=-1)
    return value.astype(like.dtype)

  variables = jax.tree_util.tree_map_with_path(fill, shapes)
  layers = trace.trace(
    net, variables, frames=frames, bins=bins, input_bits=8
  )
  return specs.Model(
    specs.Input(frames, bins, 8, 0.0, 0), {},
    tuple(str(i) for i in range(classes)), fold.simplify(layers), {},
  )
