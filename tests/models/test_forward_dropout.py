"""What the float networks drop out in training, and at which rates."""

import flax.linen as nn
import jax
import pytest

from tests import published
from tests.models import plain

# Of clips [2, T, F], rates and shapes of the masks in the papers' order.
DROPOUTS = [
  ('dnn', 'S', (25, 10), []),
  ('cnn_one_fstride4', 'one-fstride4', (49, 40), [
    (0.5, (2, 1, 9, 186)), (0.5, (2, 128)), (0.5, (2, 128)),
  ]),
  # Behind each ReLU, so in front of the pool.
  ('cnn_trad_fpool3', 'trad-fpool3', (49, 40), [
    (0.5, (2, 30, 33, 64)), (0.5, (2, 21, 8, 64)),
  ]),
  ('crnn', 'S', (49, 10), []),
  ('ds_cnn', 'S', (49, 10), []),
  ('res', 'res8', (101, 40), []),
  # Of channels, in front of the mean over time: as good as behind it.
  ('tc_resnet', '8', (98, 40), [(0.5, (2, 1, 48))]),
  ('matchboxnet', '3x1x64', (98, 64), []),
  ('mhatt_rnn', 'paper', (49, 20), [(0.2, (2, 4 * 256))]),
  ('kwt', '1', (98, 40), []),
  # Whole channels, in every block.
  ('bc_resnet', '1', (101, 40), [
    (0.1, (2, 1, 1, channels))
    for channels, blocks in ((8, 2), (12, 2), (16, 4), (20, 4))
    for _ in range(blocks)
  ]),
  ('bifsmn', 'v1', (32, 32), []),
]


def dropouts(model, variables, q, train):
  """Rate and mask of each dropout that acts."""
  found = []

  def observe(call, arguments, options, context):
    layer = context.module
    if isinstance(layer, nn.Dropout) and not layer.deterministic:
      (x,) = arguments
      found.append((layer.rate, tuple(
        1 if axis in layer.broadcast_dims else size
        for axis, size in enumerate(x.shape)
      )))
    return call(*arguments, **options)

  def forward(variables, q):
    with nn.intercept_methods(observe):
      return model.apply(
        variables, q, train=train, rngs={'dropout': jax.random.key(0)},
        mutable=['batch_stats'],
      )

  jax.eval_shape(forward, variables, q)
  return found


@pytest.mark.parametrize('name, size, shape, expected', DROPOUTS)
def test_dropouts_are_the_published_ones(name, size, shape, expected):
  model = plain.built(name, size)
  q = jax.ShapeDtypeStruct((2, *shape), 'uint8')
  variables = jax.eval_shape(
    lambda q: model.init(jax.random.key(0), q, train=False), q
  )
  assert dropouts(model, variables, q, train=True) == expected
  assert dropouts(model, variables, q, train=False) == []


def test_every_method_is_here():
  names = [name for name, *_ in DROPOUTS]
  assert sorted(names) == sorted(published.TINY)
