import math

import jax
import jax.numpy as jnp
import pytest

from bnn_jax import errors
from bnn_jax.nn import binarize


@pytest.mark.parametrize('gradient', binarize.SLOPES)
def test_signs(gradient):
  x = jnp.array([-2.0, -1e-30, -0.0, 0.0, 1e-30, 2.0])
  assert binarize.sign(x, gradient).tolist() == [-1, -1, 1, 1, 1, 1]


# Slope by x and progress, each from its formula worked out by hand.
@pytest.mark.parametrize('gradient, x, progress, slope', [
  ('hard_tanh', 0.5, 1.0, 1.0), ('hard_tanh', -1.0, 1.0, 1.0),
  ('hard_tanh', 1.5, 1.0, 0.0),
  ('approx_sign', 0.0, 1.0, 2.0), ('approx_sign', -0.25, 1.0, 1.5),
  ('approx_sign', 1.0, 1.0, 0.0), ('approx_sign', 3.0, 1.0, 0.0),
  # 5 (2 - 0) / (1 + 1) at zero.
  ('swish_sign', 0.0, 1.0, 5.0),
  ('swish_sign', 0.4, 1.0,
   5 * (2 - 2 * math.tanh(1.0)) / (1 + math.cosh(2.0))),
  ('swish_sign', 1000.0, 1.0, 0.0),
  # t = 0.1 and k = 10 at the start, t = 10 and k = 1 at the end.
  ('ede', 0.0, 0.0, 1.0), ('ede', 0.0, 1.0, 10.0),
  ('ede', 1.0, 0.5, 1 - math.tanh(1.0) ** 2),
  # o = 1 is the identity; o = 3 at the end.
  ('reste', 0.7, 0.0, 1.0), ('reste', 1.6, 0.0, 0.0),
  ('reste', 1.0, 1.0, 1 / 3), ('reste', -0.125, 1.0, 4 / 3),
  ('reste', 0.0, 1.0, 0.1 ** (1 / 3 - 1)),
])
def test_pseudo_gradients(gradient, x, progress, slope):
  found = jax.grad(lambda x: binarize.sign(x, gradient, progress))(x)
  assert float(found) == pytest.approx(slope, rel=2e-5, abs=1e-6)


def test_the_slope_itself_has_no_gradient():
  def f(x):
    return binarize.sign(x, 'approx_sign') * 3.0
  assert float(jax.grad(f)(0.25)) == 4.5
  assert float(jax.grad(jax.grad(f))(0.25)) == 0.0


def test_unknown():
  with pytest.raises(errors.UserError, match="'foo' does not exist.*reste"):
    binarize.sign(jnp.zeros(1), 'foo')
