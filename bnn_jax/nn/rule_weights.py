"""How published papers make binary weights of latent ones.

Each function takes latent weights `[*kernel, C, N]` and the share of training
done, and returns signs and their scale. All sign 0 as +1.

Shape letters: C input channels, K operands of an output, N outputs.
"""

from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from bnn_jax.nn import binarize
from bnn_jax.nn import integer
from bnn_jax.nn import straight_through

_SMALL = 1e-8


class Weights(NamedTuple):
  """Binary weights, of which a sum of products is `scale` times that of signs.

  Attributes:
    signs: `[*kernel, C, N]` of +-1.
    scale: `[N]`, or one of the layer.
  """

  signs: jax.Array
  scale: jax.Array | float


def plain(latent: jax.Array, progress: binarize.Progress) -> Weights:
  """Signs, backward a clipped identity (Hubara et al. 2016)."""
  return Weights(binarize.sign(latent, 'hard_tanh', progress), 1.0)


def scaled(latent: jax.Array, progress: binarize.Progress) -> Weights:
  """Signs times each output's mean magnitude (XNOR-Net, Rastegari et al. 2016).

  Backward: the scale's own derivative, and that of a clipped identity times the
  scale.
  """
  return Weights(plain(latent, progress).signs, _magnitudes(latent))


def layer_scaled(latent: jax.Array, progress: binarize.Progress) -> Weights:
  """Signs times one mean magnitude (DoReFa-Net, Zhou et al. 2016).

  Backward: the identity.
  """
  del progress
  return _with_derivative_of(latent, latent, jnp.mean(jnp.abs(latent)))


def magnitude_aware(
  latent: jax.Array, progress: binarize.Progress
) -> Weights:
  """Signs times each output's mean magnitude (Bi-Real net, Liu et al. 2018).

  Backward: a clipped identity, without the scale, as the released code has it;
  ReActNet's (Liu et al. 2020) are the same.
  """
  del progress
  clipped = jnp.clip(latent, -1.0, 1.0)
  return _with_derivative_of(clipped, latent, _magnitudes(latent))


def balanced(latent: jax.Array, progress: binarize.Progress) -> Weights:
  """Signs of standardized weights, shifted (IR-Net, Qin et al. 2020).

  w' = (w - mean) / std of each output; forward 2^round(log2 mean|w'|) sign(w').
  Backward: EDE of w' times the power of two, and the standardization's own.
  """
  w = _standardized(latent)
  exponent = jnp.round(jnp.log2(jnp.maximum(_magnitudes(w), _SMALL)))
  scale = integer.power_of_two(lax.stop_gradient(exponent))
  return Weights(binarize.sign(w, 'ede', progress), scale)


def normalizer_free(
  latent: jax.Array, progress: binarize.Progress
) -> Weights:
  """Standardized weights of variance 1 / K, binary (A&B BNN, Ma et al. 2024).

  Forward: the mean magnitude of each output times the sign. Backward: a clipped
  identity of the standardized weight, and the standardization's own.
  """
  operands = latent.size // latent.shape[-1]
  return magnitude_aware(_standardized(latent) * operands**-0.5, progress)


def _with_derivative_of(
  surrogate: jax.Array, latent: jax.Array, scale: jax.Array
) -> Weights:
  """Signs of `latent`; signs times `scale` have the derivative of `surrogate`.

  The scale is a constant to the derivative, and is divided out of it.
  """
  scale = lax.stop_gradient(scale)
  signs = jnp.where(latent >= 0, 1.0, -1.0)
  return Weights(
    straight_through.straight_through(
      signs, surrogate / jnp.maximum(scale, _SMALL)
    ), scale,
  )


def _magnitudes(latent: jax.Array) -> jax.Array:
  """Mean magnitude of each output's weights, `[N]`."""
  return jnp.mean(jnp.abs(latent), tuple(range(latent.ndim - 1)))


def _standardized(latent: jax.Array) -> jax.Array:
  axes = tuple(range(latent.ndim - 1))
  centered = latent - jnp.mean(latent, axes)
  return centered / (jnp.std(latent, axes) + 1e-5)
