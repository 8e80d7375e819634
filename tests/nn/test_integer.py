import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.nn import integer

DTYPES = [jnp.int32, jnp.float32]


def test_power_of_two_is_exact():
  exponents = jnp.arange(-126, 128)
  powers = np.asarray(integer.power_of_two(exponents), np.float64)
  assert powers.tolist() == [2.0**int(e) for e in exponents]


@pytest.mark.parametrize('dtype', DTYPES)
def test_shift_floors(dtype):
  a = jnp.array([-5, -4, -1, 0, 1, 5, 7], dtype)
  assert integer.shift(a, jnp.array([-2] * 7)).tolist() == [
    -2, -1, -1, 0, 0, 1, 1,
  ]
  assert integer.shift(a, jnp.array([3] * 7)).tolist() == [
    -40, -32, -8, 0, 8, 40, 56,
  ]
  assert integer.shift(a, jnp.array([0] * 7)).tolist() == a.tolist()


@pytest.mark.parametrize('dtype', DTYPES)
def test_shift_batch_norm(dtype):
  a = jnp.array([[-9, -9, 100, -100]], dtype)
  s = jnp.array([-1, 2, 7, 7])
  b = jnp.array([3, -1, 0, 0], dtype)
  y = integer.shift_batch_norm(a, s, b, 8)
  assert y.dtype == dtype
  assert y.tolist() == [[-2, -37, 127, -128]]


@pytest.mark.parametrize('dtype', DTYPES)
def test_shift_prelu(dtype):
  # z = y - g; f(-1) = -1 for every k.
  y = jnp.array([[10, -10, 1, -128, 127]], dtype)
  k = jnp.array([7, 2, 7, 0, 0])
  g = jnp.array([3, 0, 2, 127, -128], dtype)
  h = jnp.array([1, 0, 5, 0, 0], dtype)
  found = integer.shift_prelu(y, k, g, h, 8)
  assert found.tolist() == [[8, -3, 4, -128, 127]]


def test_rsign():
  r = jnp.array([[127, 127, -128, 0, -1]])
  theta = jnp.array([128, 127, -128, 0, 0])
  assert integer.rsign(r, theta).tolist() == [[-1, 1, 1, 1, -1]]


def test_saturate():
  v = jnp.array([-9, -8, 7, 8])
  assert integer.saturate(v, 4).tolist() == [-8, -8, 7, 7]


@pytest.mark.parametrize('bits, fraction', [(1, 0), (17, 4), (8, 8), (8, -1)])
def test_formats(bits, fraction):
  stream = integer.StreamFormat(8, 4)
  assert (stream.minimum, stream.maximum) == (-128, 127)
  with pytest.raises(errors.UserError, match=f'{bits} bits with {fraction}'):
    integer.StreamFormat(bits, fraction)
