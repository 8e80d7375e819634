import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import integer
from bnn_jax.nn import rounded_norm

STREAM = integer.StreamFormat(8, 4)


def test_it_rounds_into_the_stream():
  norm = rounded_norm.RoundedBatchNorm(stream=STREAM)
  a = jnp.array([[0.0], [1.0], [-1.5], [100.0], [-100.0]])
  variables = norm.init(jax.random.key(0), a, train=False)
  # Mean 0 and variance 1, but for an epsilon of 1e-5: 16 a, rounded, in 8 bits.
  out = norm.apply(variables, a, train=False)
  assert out.ravel().tolist() == [0, 16, -24, 127, -128]
  real = {'gamma': jnp.array([-0.53]), 'beta': jnp.array([1 / 32 + 1e-4])}
  out = norm.apply(variables | {'params': {'real': real}}, a, train=False)
  # 16 * 1 / 32 is a half, which goes up; then 0.5 - 8.48 and 0.5 + 12.72.
  assert out.ravel().tolist() == [1, -8, 13, -128, 127]


def test_gradient_is_the_normalizations():
  norm = rounded_norm.RoundedBatchNorm(stream=STREAM)
  a = jnp.array([[0.3], [400.0]])
  variables = norm.init(jax.random.key(0), a, train=False)

  def total(a):
    return jnp.sum(norm.apply(variables, a, train=False))

  np.testing.assert_allclose(jax.grad(total)(a), [[16.0], [16.0]], rtol=1e-4)


def test_frozen_statistics_stay():
  norm = rounded_norm.RoundedBatchNorm(stream=STREAM)
  a = jnp.arange(6.0)[:, None]
  variables = norm.init(jax.random.key(0), a, train=True)
  for frozen, mean in ((True, 0.0), (False, 0.25)):
    _, changed = norm.apply(
      variables, a, train=True, frozen=frozen, mutable=['batch_stats']
    )
    running = changed['batch_stats']['real']['running']
    np.testing.assert_allclose(running['mean'], [mean], rtol=1e-6)
