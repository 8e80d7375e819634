"""BiFSMN and its binary products against the paper in NumPy."""

import numpy as np
import pytest

from tests.models import plain


def sign(x):
  return np.where(x >= 0, 1.0, -1.0)


class First(plain.Net):
  """Products of BiFSMN: a mean magnitude for each pair of channels.

  Zeros pad, so that a product has operands of three values.
  """

  def conv(self, x, name, **geometry):
    tree = self.params[name]['product']
    w = tree['latent'] - tree['latent'].mean()
    scale = np.abs(w).mean(tuple(range(w.ndim - 2)))
    y = plain.convolve(sign(x), scale * sign(w), **geometry)
    return y + tree['bias']

  def dense(self, x, name):
    tree = self.params[name]['product']
    w = np.abs(tree['latent']).mean(0) * sign(tree['latent'])
    return sign(x) @ w + tree['bias']


class Second(plain.Net):
  """Products of BiFSMNv2: two signs for an operand."""

  def signs(self, x, name, axis):
    tree = self.params[name]['product']['signs']
    before, between, behind = tree['thresholds']
    first = sign(tree['factors'][0] * (x - before))
    rest = x - first - between
    scale = np.abs(rest).mean(axis, keepdims=True)
    return first + scale * sign(tree['factors'][1] * rest) - behind

  def weights(self, name):
    tree = self.params[name]['product']
    latent = tree['latent']
    # Of time and frequency, time alone.
    scale = np.abs(latent).mean(0, keepdims=True)
    return scale * sign(tree['weight_factor'] * latent), tree['bias']

  def conv(self, x, name, **geometry):
    kernel, bias = self.weights(name)
    if name == 'memory':
      # Its zeros are in front of the signs, and count in the scale.
      (ends,) = geometry.pop('padding')
      x = np.pad(x, ((0, 0), (ends, ends), (0, 0)))
      geometry['padding'] = 'VALID'
    return plain.convolve(self.signs(x, name, 1), kernel, **geometry) + bias

  def dense(self, x, name):
    kernel, bias = self.weights(name)
    return self.signs(x, name, -1) @ kernel + bias


def network(net, kind, q):
  """The published network, whose inner products are those of `kind`."""
  inner = kind(net.trees)

  def normal(part, x, name, **geometry):
    x = part.conv(x, name, **geometry)
    return part.prelu(part.norm(x, name, 'norm'), name)

  x = normal(net, net.image(q), 'conv0', strides=2, padding=(2, 2))
  x = normal(inner, x, 'conv1', strides=2, padding=(2, 2))
  x = inner.prelu(inner.dense(x.reshape(*x.shape[:2], -1), 'dense'), 'dense')
  for i in range(sum(name.startswith('block') for name in net.params)):
    block = kind(net[f'block{i}'].trees)
    x = x + normal(block, x, 'memory', padding=(2,))
    x = x + normal(block, normal(block, x, 'expand'), 'reduce')
  return net.classifier(plain.flat(x))


def test_float():
  plain.compare(
    plain.built('bifsmn', 'v1'),
    lambda net, q: network(net, plain.Net, q), 16, 8,
  )


def test_both_versions_are_one_float_network():
  assert plain.built('bifsmn', 'v1').size._replace(learned=True) \
    == plain.built('bifsmn', 'v2').size


@pytest.mark.parametrize('size, kind', [('v1', First), ('v2', Second)])
def test_binary_as_published(size, kind):
  plain.compare(
    plain.built('bifsmn', size, variant='paper'),
    lambda net, q: network(net, kind, q), 16, 8,
  )
