"""Float networks without recurrence against their papers in NumPy."""

import jax
import numpy as np
import pytest

from tests.models import plain


def test_dnn():
  def reference(net, q):
    x = plain.flat(net.scaled(q))
    for i in range(3):
      x = plain.relu(net.dense(x, f'dense{i}'))
    return net.classifier(x)

  plain.compare(plain.built('dnn', 'S'), reference, 5, 4)


def test_cnn_one_fstride4():
  def reference(net, q):
    # The kernel has all frames.
    x = plain.relu(
      net.conv(net.image(q), 'conv', strides=(1, 4), padding='VALID')
    )
    assert x.shape[1:3] == (1, 3)
    x = net.dense(plain.flat(x), 'linear')
    return net.classifier(net.dense(net.dense(x, 'dense0'), 'dense1'))

  model = plain.built('cnn_one_fstride4', 'one-fstride4')
  plain.compare(model, reference, 6, 18)


def test_cnn_trad_fpool3():
  def reference(net, q):
    x = plain.relu(net.conv(net.image(q), 'conv0', padding='VALID'))
    bins = x.shape[2] // 3
    x = x[:, :, : 3 * bins].reshape(*x.shape[:2], bins, 3, -1).max(3)
    x = plain.relu(net.conv(x, 'conv1', padding='VALID'))
    x = net.dense(net.dense(plain.flat(x), 'linear'), 'dense')
    return net.classifier(x)

  model = plain.built('cnn_trad_fpool3', 'trad-fpool3')
  plain.compare(model, reference, 31, 24)


@pytest.mark.parametrize('size, stride, blocks', [
  ('S', (2, 2), (1, 1, 1, 1)), ('M', (2, 1), (2, 1, 1, 1)),
  ('L', (2, 1), (2, 1, 1, 1, 1)),
])
def test_ds_cnn(size, stride, blocks):
  def reference(net, q):
    def normal(x, name):
      return plain.relu(net.norm(x, name, 'norm'))

    x = normal(net.conv(net.image(q), 'conv', strides=stride), 'conv')
    for i, step in enumerate(blocks):
      name = f'depthwise{i}'
      x = normal(net.conv(x, name, strides=step), name)
      x = normal(net.conv(x, f'pointwise{i}'), f'pointwise{i}')
    return net.classifier(plain.positions(x))

  plain.compare(plain.built('ds_cnn', size), reference, 13, 7)


@pytest.mark.parametrize('size, convolutions, pool, dilated', [
  ('res8', 6, (4, 3), False), ('res15-narrow', 13, None, True),
  ('res15', 13, None, True), ('res26-narrow', 24, (2, 2), False),
])
def test_res(size, convolutions, pool, dilated):
  def reference(net, q):
    x = plain.relu(net.conv(net.image(q), 'conv0', padding=(1, 1)))
    if pool:
      frames, bins = x.shape[1] // pool[0], x.shape[2] // pool[1]
      x = x[:, : frames * pool[0], : bins * pool[1]]
      x = x.reshape(len(x), frames, pool[0], bins, pool[1], -1).mean((2, 4))
    before = x
    for i in range(1, convolutions + 1):
      rate = 2 ** ((i - 1) // 3) if dilated else 1
      x = plain.relu(
        net.conv(x, f'conv{i}', padding=(rate, rate), dilation=rate)
      )
      if i % 2 == 0:
        x = before = x + before
      x = net.norm(x, f'norm{i}')
    return net.classifier(plain.positions(x))

  plain.compare(plain.built('res', size), reference, 18, 11)


@pytest.mark.parametrize('size, channels', [
  ('8', (16, 24, 32, 48)), ('14', (16, 24, 24, 32, 32, 48, 48)),
])
def test_tc_resnet(size, channels):
  def reference(net, q):
    def normal(x, name, **geometry):
      return net.norm(net.conv(x, name, **geometry), name, 'norm')

    x = plain.relu(normal(net.scaled(q), 'conv'))
    for i, (before, after) in enumerate(
      zip(channels[:-1], channels[1:], strict=True)
    ):
      stride, shortcut = 1, x
      if before != after:
        stride = 2
        shortcut = plain.relu(normal(x, f'block{i}_down', strides=2))
      y = plain.relu(normal(x, f'block{i}_conv0', strides=stride))
      x = plain.relu(normal(y, f'block{i}_conv1') + shortcut)
    return net.classifier(plain.positions(x))

  plain.compare(plain.built('tc_resnet', size), reference, 21, 6)


def matchboxnet(net, q, repeats):
  def normal(x, name):
    return net.norm(net.conv(x, name), name, 'norm')

  def separable(x, name, rate=1):
    x = net.conv(x, f'{name}_depthwise', dilation=rate)
    return normal(x, f'{name}_pointwise')

  x = plain.relu(separable(net.scaled(q), 'prologue'))
  for i in range(3):
    y = x
    for j in range(repeats):
      y = separable(y if j == 0 else plain.relu(y), f'block{i}_{j}')
    x = plain.relu(y + normal(x, f'block{i}_shortcut'))
  x = plain.relu(separable(x, 'epilogue', rate=2))
  x = plain.relu(normal(x, 'epilogue_conv'))
  return net.classifier(plain.positions(x))


@pytest.mark.parametrize('size, repeats', [('3x1x64', 1), ('3x2x64', 2)])
def test_matchboxnet(size, repeats):
  plain.compare(
    plain.built('matchboxnet', size),
    lambda net, q: matchboxnet(net, q, repeats), 128, 4,
  )


def test_matchboxnet_has_128_frames_of_any_clip():
  # Silence of the input's integers; the paper has coefficients of 0 there.
  plain.compare(
    plain.built('matchboxnet', '3x1x64'),
    lambda net, q: matchboxnet(
      net, np.pad(q, ((0, 0), (14, 15), (0, 0))), 1
    ), 99, 4,
  )


def bc_resnet(net, q):
  def normal(x, name, **geometry):
    return net.norm(net.conv(x, name, **geometry), name, 'norm')

  x = plain.relu(
    normal(net.image(q), 'head', strides=(1, 2), padding=(2, 2))
  )
  for i, (blocks, stride) in enumerate(((2, 1), (2, 2), (4, 2), (4, 1))):
    for j in range(blocks):
      x = bc_block(
        net[f'stage{i}_{j}'], x, stride if j == 0 else 1, 2**i, j == 0
      )
  x = net.conv(x, 'tail_depthwise', padding=(2, 0))
  assert x.shape[2] == 1
  return net.classifier(
    plain.positions(plain.relu(normal(x, 'tail_pointwise')))
  )


def bc_block(net, x, stride, rate, transition):
  before = x
  if transition:
    x = net.conv(x, 'transition')
    x = plain.relu(net.norm(x, 'transition', 'norm'))
  wide = net.conv(x, 'wide', strides=(1, stride), padding=(0, 1))
  wide = sub_spectral(net['wide']['norm'], wide)
  y = wide.mean(2, keepdims=True)
  y = net.conv(y, 'temporal', padding=(rate, 0), dilation=(rate, 1))
  y = plain.silu(net.norm(y, 'temporal', 'norm'))
  y = net.conv(y, 'pointwise') + wide
  return plain.relu(y if transition else y + before)


def sub_spectral(net, x):
  """Each fifth of the bins by itself."""
  bands = np.split(x, 5, axis=2)
  channels = x.shape[-1]
  return np.concatenate([
    plain.Net(jax.tree.map(
      lambda a, i=i: a[i * channels : (i + 1) * channels], net.trees
    )).norm(band)
    for i, band in enumerate(bands)
  ], axis=2)


def test_bc_resnet():
  plain.compare(plain.built('bc_resnet', '1'), bc_resnet, 19, 40)
