import numpy as np
import pytest

from bnn_jax.nn import activations
from tests import streams


@pytest.mark.parametrize('seed', range(3))
def test_rsign_trains_on_what_is_deployed(seed):
  random = np.random.default_rng(seed)
  layer = activations.RSign(streams.STREAM)
  params = {'theta': streams.dyadic(random, -9, 9)}
  r = streams.integers(random, -128, 128)
  trained = layer.apply({'params': params}, r, train=True)
  constants = streams.deployed(layer, params)
  evaluated = layer.apply(
    {'params': params, 'deployed': constants}, r, train=False
  )
  assert np.array_equal(trained, evaluated)
  assert set(np.unique(evaluated)) == {-1, 1}


@pytest.mark.parametrize('seed', range(3))
def test_shift_prelu_trains_on_what_is_deployed(seed):
  random = np.random.default_rng(seed)
  layer = activations.ShiftPReLU(streams.STREAM)
  # Odd multiples of an eighth are far from the middle between two powers.
  params = {
    'log2_slope': streams.dyadic(random, -9, 1, 4) + np.float32(0.125),
    'before': streams.dyadic(random, -9, 9),
    'after': streams.dyadic(random, -9, 9),
  }
  y = streams.integers(random, -128, 128)
  trained = layer.apply({'params': params}, y, train=True)
  constants = streams.deployed(layer, params)
  evaluated = layer.apply(
    {'params': params, 'deployed': constants}, y, train=False
  )
  assert np.array_equal(trained, evaluated)
  assert sorted(np.unique(constants['k'])) == list(range(8))
