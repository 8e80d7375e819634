import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import pooling


@pytest.mark.parametrize('window', [(4, 3), (2, 2), (7, 5), (1, 1)])
def test_integer_average_is_the_floor(window):
  r = np.random.default_rng(0).integers(-128, 128, (2, 23, 17, 3))
  steps = [size // w for size, w in zip((23, 17), window, strict=True)]
  expected = np.zeros((2, *steps, 3), int)
  for t in range(steps[0]):
    for f in range(steps[1]):
      block = r[:, t * window[0]:(t + 1) * window[0],
                f * window[1]:(f + 1) * window[1]]
      expected[:, t, f] = block.sum((1, 2)) // (window[0] * window[1])
  layer = pooling.IntegerAveragePool(window)
  found = layer.apply({}, jnp.asarray(r, jnp.float32))
  assert np.array_equal(found, expected)
  gradient = jax.grad(lambda r: layer.apply({}, r).sum())(
    jnp.asarray(r, jnp.float32)
  )
  share = np.float32(1) / (window[0] * window[1])
  inside = gradient[:, : steps[0] * window[0], : steps[1] * window[1]]
  np.testing.assert_allclose(inside, share, rtol=1e-6)


def test_pools_of_reals_drop_what_is_left():
  r = jnp.arange(7.0).reshape(1, 7, 1)
  assert pooling.AveragePool((3,)).apply({}, r).ravel().tolist() == [1.0, 4.0]
  assert pooling.MaxPool((3,)).apply({}, r).ravel().tolist() == [2.0, 5.0]
