import jax.numpy as jnp
import pytest

from bnn_jax import errors
from bnn_jax.nn import geometry


@pytest.mark.parametrize('taps, channels, simd, expected', [
  (1, 5, 8, [(0, 5)]),
  (3, 2, 4, [(0, 4), (4, 6)]),
  (3, 2, 5, [(0, 4), (4, 6)]),
  (2, 5, 4, [(0, 4), (4, 5), (5, 9), (9, 10)]),
  (2, 4, 4, [(0, 4), (4, 8)]),
  (2, 2, 1, [(0, 1), (1, 2), (2, 3), (3, 4)]),
])
def test_words(taps, channels, simd, expected):
  assert [tuple(w) for w in geometry.words(taps, channels, simd)] == expected


@pytest.mark.parametrize('size, kernel, stride, dilation, pair', [
  (5, 3, 1, 1, (1, 1)), (4, 3, 2, 1, (0, 1)), (5, 3, 2, 1, (1, 1)),
  (5, 2, 1, 1, (0, 1)), (7, 3, 1, 2, (2, 2)), (4, 1, 3, 1, (0, 0)),
])
def test_same_padding(size, kernel, stride, dilation, pair):
  assert geometry.same_padding(size, kernel, stride, dilation) == pair


def test_operands_are_ordered_and_padded():
  # Channels 1 and 2 of frame 0, then 3 and 4 of frame 1, ...
  x = jnp.arange(1.0, 7.0).reshape(1, 3, 2)
  shape = geometry.geometry((1, 3, 2), (3, 1, 2), groups=2)
  found = geometry.operands(x, shape)
  assert found.shape == (1, 3, 2, 3)
  assert found[0, 0].tolist() == [[-1, 1, 3], [-1, 2, 4]]
  assert found[0, 2].tolist() == [[3, 5, -1], [4, 6, -1]]
  w = jnp.arange(6.0).reshape(3, 1, 2)
  assert geometry.grouped_weights(w, 2).tolist() == [
    [[0], [2], [4]], [[1], [3], [5]],
  ]


@pytest.mark.parametrize('kwargs, message', [
  ({'groups': 3}, 'groups=3'), ({'strides': 0}, 'strides'),
  ({'dilation': (1, 1)}, 'dilation'), ({'padding': 'FULL'}, 'padding'),
  ({'padding': 'VALID', 'dilation': 2}, 'larger than its input'),
])
def test_refused(kwargs, message):
  with pytest.raises(errors.UserError, match=message):
    geometry.geometry((1, 4, 4), (3, 4, 2), **kwargs)
