"""Each rule against its paper's formula, worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import rule_weights

# A dense layer of K = 4 inputs and N = 2 outputs.
LATENT = jnp.array([[0.5, 0.0], [-0.25, -0.5], [0.125, 0.75], [-0.125, -0.75]])
SIGNS = np.array([[1, 1], [-1, -1], [1, 1], [-1, -1]])
MEANS = np.array([0.25, 0.5])
SEEN = jnp.arange(8.0).reshape(4, 2) - 3


def product(rule, latent=LATENT, progress=1.0):
  signs, scale = rule(latent, progress)
  assert set(np.unique(signs)) <= {-1.0, 1.0}
  return np.asarray(signs * scale)


def gradient(rule, latent=LATENT, progress=0.5):
  def seen(latent):
    signs, scale = rule(latent, progress)
    return jnp.sum(SEEN * scale * signs)
  return jax.grad(seen)(latent)


def test_plain():
  assert np.array_equal(product(rule_weights.plain), SIGNS)
  assert np.array_equal(gradient(rule_weights.plain), SEEN)
  outside = jnp.full((4, 2), 1.5)
  assert not gradient(rule_weights.plain, outside).any()


def test_scaled_by_output():
  assert np.array_equal(product(rule_weights.scaled), SIGNS * MEANS)
  # Through the scale: the mean over K of what each sign sees, times the sign.
  through = (SEEN * SIGNS).mean(0) * SIGNS
  np.testing.assert_allclose(
    gradient(rule_weights.scaled), through + SEEN * MEANS, atol=1e-6
  )


def test_scaled_by_layer():
  found = product(rule_weights.layer_scaled)
  assert np.array_equal(found, SIGNS * 0.375)
  wide = gradient(rule_weights.layer_scaled, 9 * LATENT)
  # Which the scale was divided out of.
  np.testing.assert_allclose(wide, SEEN, rtol=1e-6)


def test_magnitude_aware():
  found = product(rule_weights.magnitude_aware)
  assert np.array_equal(found, SIGNS * MEANS)
  assert np.array_equal(gradient(rule_weights.magnitude_aware), SEEN)


def test_balanced():
  latent = LATENT + jnp.array([3.0, 0.0])
  found = product(rule_weights.balanced, latent)
  centered = np.asarray(latent - latent.mean(0))
  standard = centered / centered.std(0)
  expected = 2 ** np.round(np.log2(np.abs(standard).mean(0)))
  assert np.array_equal(np.abs(found), np.tile(expected, (4, 1)))
  assert np.array_equal(np.sign(found), np.where(centered >= 0, 1, -1))
  # Neither shifting nor scaling an output changes it.
  np.testing.assert_allclose(gradient(rule_weights.balanced).sum(0), 0,
                             atol=1e-5)


@pytest.mark.parametrize('progress, slope', [(0.0, 1.0), (1.0, 10.0)])
def test_balanced_sharpens(progress, slope):
  """Of weights at +-1 and one at 0: EDE's slope at 0 is 1, and 10 at last."""
  latent = jnp.array([[0.5], [0.0], [-0.5]])
  seen = jnp.array([[0.0], [1.0], [0.0]])
  found = jax.grad(
    lambda w: jnp.sum(seen * rule_weights.balanced(w, progress).signs)
  )(latent)
  std = float(jnp.std(latent))
  # 2^round(log2(0.816)) = 1; a mean is taken out of the derivative.
  assert float(found[1, 0]) == pytest.approx(slope / std * 2 / 3, rel=1e-3)


def test_normalizer_free():
  found = product(rule_weights.normalizer_free)
  centered = np.asarray(LATENT - LATENT.mean(0))
  standard = centered / centered.std(0) / 4**0.5
  np.testing.assert_allclose(
    found, np.where(centered >= 0, 1, -1) * np.abs(standard).mean(0), rtol=1e-3
  )


def test_a_scale_of_0_makes_no_nan():
  found = gradient(rule_weights.magnitude_aware, jnp.zeros((4, 2)))
  assert not found.any()
