"""How published papers make binary weights of latent ones.

Each function takes latent weights `[*kernel, C, N]` and the share of training
done, and returns signs times a scale, of the same shape. All sign 0 as +1.

Shape letters: C input channels, K operands of an output, N outputs.
"""

import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import binarize
from bnn_jax.nn import straight_through

_SMALL = 1e-8


def plain(latent: jax.Array, progress: binarize.Progress) -> jax.Array:
  """Signs, backward a clipped identity (Hubara et al. 2016)."""
  return binarize.sign(latent, 'hard_tanh', progress)


def scaled(latent: jax.Array, progress: binarize.Progress) -> jax.Array:
  """Signs times each output's mean magnitude (XNOR-Net, Rastegari et al. 2016).

  Backward: the scale's own derivative, and that of a clipped identity times the
  scale.
  """
  return _magnitudes(latent) * plain(latent, progress)


def layer_scaled(latent: jax.Array, progress: binarize.Progress) -> jax.Array:
  """Signs times one mean magnitude (DoReFa-Net, Zhou et al. 2016).

  Backward: the identity.
  """
  del progress
  signs = jnp.mean(jnp.abs(latent)) * _signs(latent)
  return straight_through.straight_through(signs, latent)


def magnitude_aware(
  latent: jax.Array, progress: binarize.Progress
) -> jax.Array:
  """Signs times each output's mean magnitude (Bi-Real net, Liu et al. 2018).

  Backward: a clipped identity, without the scale; ReActNet's (Liu et al. 2020)
  are the same.
  """
  del progress
  signs = _magnitudes(latent) * _signs(latent)
  return straight_through.straight_through(signs, jnp.clip(latent, -1.0, 1.0))


def balanced(latent: jax.Array, progress: binarize.Progress) -> jax.Array:
  """Signs of standardized weights, shifted (IR-Net, Qin et al. 2020).

  w' = (w - mean) / std of each output; forward 2^round(log2 mean|w'|) sign(w').
  Backward: EDE of w' times the power of two, and the standardization's own.
  """
  w = _standardized(latent)
  exponent = jnp.round(jnp.log2(jnp.maximum(_magnitudes(w), _SMALL)))
  scale = lax.stop_gradient(jnp.exp2(exponent))
  return scale * binarize.sign(w, 'ede', progress)


def normalizer_free(
  latent: jax.Array, progress: binarize.Progress
) -> jax.Array:
  """Standardized weights of variance 1 / K, binary (A&B BNN, Ma et al. 2024).

  Forward: the mean magnitude of each output times the sign. Backward: a clipped
  identity of the standardized weight, and the standardization's own.
  """
  operands = latent.size // latent.shape[-1]
  return magnitude_aware(_standardized(latent) * operands**-0.5, progress)


def _signs(latent: jax.Array) -> jax.Array:
  return jnp.where(latent >= 0, 1.0, -1.0)


def _magnitudes(latent: jax.Array) -> jax.Array:
  """Mean magnitude of each output's weights, `[N]`."""
  return jnp.mean(jnp.abs(latent), tuple(range(latent.ndim - 1)))


def _standardized(latent: jax.Array) -> jax.Array:
  axes = tuple(range(latent.ndim - 1))
  centered = latent - jnp.mean(latent, axes)
  return centered / (jnp.std(latent, axes) + 1e-5)
