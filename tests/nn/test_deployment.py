import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import deployment
from tests import tiny


@pytest.mark.parametrize('learn_preload', [False, True])
def test_layers_and_constants_of_a_network(learn_preload):
  model = tiny.network(learn_preload=learn_preload)
  q = jax.ShapeDtypeStruct((1, tiny.SHAPE['frames'], 8), 'uint8')
  layers = deployment.deployable_layers(model, q, train=False)
  assert list(layers) == [
    ('stem',), ('stem_tail', 'norm'), ('stem_tail', 'activation'),
    ('stem_tail', 'sign'),
    ('block0', 'conv'), ('block0', 'tail', 'norm'),
    ('block0', 'tail', 'activation'), ('block0', 'tail', 'sign'),
    ('block1', 'conv'), ('block1', 'tail', 'norm'),
    ('block1', 'tail', 'activation'), ('classifier',),
  ]
  state = tiny.state(model)
  made = deployment.deployed_constants(layers, state.params, state.batch_stats)
  variables = jax.eval_shape(
    lambda: model.init(jax.random.key(0), jnp.zeros(q.shape, q.dtype),
                       train=False)
  )
  expected = jax.tree.map(lambda v: (v.shape, v.dtype), variables['deployed'])
  assert jax.tree.map(lambda v: (v.shape, v.dtype), made) == expected
  theta = np.asarray(state.params['stem_tail']['sign']['theta'], np.float64)
  assert np.array_equal(
    made['stem_tail']['sign']['theta'], np.ceil(16 * theta)
  )
  assert ('stem' in made) == learn_preload
  if learn_preload:
    preload = np.asarray(state.params['stem']['preload'], np.float64)
    assert made['stem']['preload'].any()
    assert np.array_equal(
      made['stem']['preload'], np.floor(16 * preload + 0.5)
    )
