import jax
import jax.numpy as jnp

from bnn_jax.nn import integer
from bnn_jax.nn import stream_layers


def test_shortcut_keeps_every_second_frame_and_appends_zeros():
  stream = jnp.arange(10.0).reshape(1, 5, 2)
  found = stream_layers.Shortcut(2, 3).apply({}, stream)
  assert found.tolist() == [[[0, 1, 0], [4, 5, 0], [8, 9, 0]]]
  plane = jnp.arange(12.0).reshape(1, 3, 4, 1)
  found = stream_layers.Shortcut((2, 3), 1).apply({}, plane)
  assert found[..., 0].tolist() == [[[0, 3], [8, 11]]]


def test_shortcut_drops_the_edges_before_it_strides():
  stream = jnp.arange(7.0).reshape(1, 7, 1)
  found = stream_layers.Shortcut(2, 1, ((1, 1),)).apply({}, stream)
  assert found[0, :, 0].tolist() == [1, 3, 5]


def test_reshape_keeps_the_order_of_each_clip():
  x = jnp.arange(24.0).reshape(2, 3, 4)
  found = stream_layers.Reshape((3, 2, -1)).apply({}, x)
  assert found.shape == (2, 3, 2, 2)
  assert found[1, 0].tolist() == [[12, 13], [14, 15]]
  flat = stream_layers.Reshape((-1,)).apply({}, found)
  assert flat.tolist() == [list(range(12)), list(range(12, 24))]


def test_add_saturates_with_the_gradient_of_a_sum():
  layer = stream_layers.Add(integer.StreamFormat(4, 0))
  r, y = jnp.array([3.0, 7.0, -8.0]), jnp.array([4.0, 1.0, -1.0])
  assert layer.apply({}, r, y).tolist() == [7, 7, -8]
  gradient = jax.grad(lambda r, y: layer.apply({}, r, y).sum(), (0, 1))(r, y)
  assert [g.tolist() for g in gradient] == [[1, 1, 1], [1, 1, 1]]
