import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax import features
from bnn_jax.training import inputs
from tests import tiny


def fit(like, clips=7):
  return inputs.fit(
    tiny.Split(10), front_end=tiny.FRONT_END, clips=clips, bits=8,
    fitted={'model': like},
  )


def sample(indices):
  audio = np.stack([tiny.Split(10)[i].audio for i in indices]) / 32768
  return features.extract(audio.astype(np.float32), tiny.FRONT_END)


def test_thresholds_are_of_the_named_clips():
  like = {'encode': {'thresholds': jnp.zeros((8, 3), jnp.int32)}}
  fitted = fit(like, clips=4)
  values = sample([0, 3, 6, 9])
  quantization = features.fit_quantization(np.asarray(values), 8)
  q = np.asarray(features.quantize(values, quantization))
  assert float(fitted['lo']) == quantization.lo
  assert int(fitted['exponent']) == quantization.exponent
  thresholds = fitted['model']['encode']['thresholds']
  assert thresholds.dtype == jnp.int32
  assert np.array_equal(thresholds, features.thermometer_levels(q, 3))


def test_mean_and_scale():
  like = {'encode': {'mean': jnp.zeros(8), 'scale': jnp.ones(8)}}
  fitted = fit(like, clips=99)
  q = features.quantize_by(
    sample(range(10)), fitted['lo'], fitted['exponent'], 8
  )
  q = np.asarray(q, np.float64)
  model = fitted['model']['encode']
  np.testing.assert_allclose(model['mean'], q.mean((0, 1)), rtol=1e-6)
  np.testing.assert_allclose(
    model['scale'], 1 / (q.std((0, 1)) + 1e-3), rtol=1e-5
  )


def test_it_is_deterministic():
  like = {'encode': {'thresholds': jnp.zeros((8, 3), jnp.int32)}}
  first, second = fit(like), fit(like)
  assert jax.tree.all(jax.tree.map(np.array_equal, first, second))
