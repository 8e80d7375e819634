"""Layers in NumPy, in float64, that read the parameters of a float network.

Shape letters: B batch, T frames, F features, C channels, K taps, N outputs.
"""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from tests import published
from tests import tiny

# Of results to the largest number of all; float32 has 24 bits.
TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True)
class Net:
  """A network's arrays, or those of a part of it.

  Attributes:
    trees: nested dictionaries by the name of their collection.
  """

  trees: dict

  def __getitem__(self, part):
    return Net({k: v[part] for k, v in self.trees.items() if part in v})

  @property
  def params(self):
    return self.trees.get('params', {})

  def product(self, name):
    """Kernel, and bias or zero, of a unit."""
    tree = self.params[name]['product']
    tree = tree.get('Conv_0', tree.get('Dense_0', tree))
    return tree['kernel'], tree.get('bias', 0.0)

  def scaled(self, q):
    """The input as the first layer reads it, `[B, T, F]`."""
    tree = self.trees['inputs']['encode']
    return (q - tree['mean']) * tree['scale']

  def image(self, q):
    """The same, `[B, T, F, 1]`."""
    return self.scaled(q)[..., None]

  def conv(self, x, name, **geometry):
    kernel, bias = self.product(name)
    return convolve(x, kernel, **geometry) + bias

  def dense(self, x, name):
    kernel, bias = self.product(name)
    return x @ kernel + bias

  def norm(self, x, *path):
    """Batch normalization by running statistics."""
    net = self
    for part in path:
      net = net[part]
    running = net.trees['batch_stats']['running']
    y = (x - running['mean']) / np.sqrt(running['var'] + 1e-5)
    return y * net.params.get('gamma', 1.0) + net.params.get('beta', 0.0)

  def prelu(self, x, name):
    slope = self.params[name]['activation']['slope']
    return np.where(x >= 0, x, slope * x)

  def classifier(self, x):
    """Of `[B, C]`."""
    tree = self.params['classifier']['Dense_0']
    return x @ tree['kernel'] + tree.get('bias', 0.0)


def convolve(x, kernel, strides=1, padding='SAME', dilation=1):
  """A convolution; one of one input channel for each of many is depthwise.

  Args:
    x: `[B, *spatial, C]`.
    kernel: `[*K, C, N]`, or `[*K, 1, C]` if it is depthwise.
    strides: one for all axes, or one each.
    padding: 'SAME' with the larger half behind, 'VALID', or one number of
      zeros on both sides for each axis.
    dilation: one for all axes, or one each.

  Returns:
    `[B, *output, N]`.
  """
  *taps, channels, outputs = kernel.shape
  axes = range(len(taps))
  strides, dilation = (
    (v,) * len(taps) if isinstance(v, int) else v for v in (strides, dilation)
  )
  spans = [(taps[i] - 1) * dilation[i] + 1 for i in axes]
  if padding == 'SAME':
    missing = [
      max((-(-x.shape[i + 1] // strides[i]) - 1) * strides[i] + spans[i]
          - x.shape[i + 1], 0) for i in axes
    ]
    pairs = [(m // 2, m - m // 2) for m in missing]
  else:
    ends = (0,) * len(taps) if padding == 'VALID' else padding
    pairs = [(end, end) for end in ends]
  depthwise = channels == 1 < x.shape[-1]
  x = np.pad(x, [(0, 0), *pairs, (0, 0)])
  sizes = [(x.shape[i + 1] - spans[i]) // strides[i] + 1 for i in axes]
  y = np.zeros((len(x), *sizes, outputs))
  for tap in itertools.product(*map(range, taps)):
    view = x[:, *(
      slice(tap[i] * dilation[i],
            tap[i] * dilation[i] + (sizes[i] - 1) * strides[i] + 1, strides[i])
      for i in axes
    )]
    y += view * kernel[tap][0] if depthwise else view @ kernel[tap]
  return y


def relu(x):
  return np.maximum(x, 0)


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def silu(x):
  return x * sigmoid(x)


def gelu(x):
  return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def softmax(x):
  powers = np.exp(x - x.max(-1, keepdims=True))
  return powers / powers.sum(-1, keepdims=True)


def positions(x):
  """The mean of `[B, *spatial, C]` over all of them."""
  return x.mean(tuple(range(1, x.ndim - 1)))


def flat(x):
  return x.reshape(len(x), -1)


def built(name, size, variant='float'):
  return published.module(name).build(
    size, variant, 3, accumulator=None, stream=None, levels=1,
    norm_variant='', weight_gradient='', activation_gradient='',
  )


def drawn(model, frames, bins, seed=0):
  """Clips `[2, T, F]` and all arrays of the network, at random."""
  random = np.random.default_rng(seed)
  # The second clip is quieter.
  q = random.integers(0, [[[256]], [[128]]], (2, frames, bins), np.uint8)
  shapes = jax.eval_shape(
    lambda: model.init(jax.random.key(0), jnp.asarray(q), train=False)
  )

  def draw(path, leaf):
    name, shape = path[-1].key, leaf.shape
    if name in ('kernel', 'latent'):
      deviation = math.prod(shape[:-1]) ** -0.5
      return random.normal(0, 1.5 * deviation, shape)
    if name == 'var':
      return random.uniform(0.5, 2.0, shape)
    if name == 'slope':
      return random.uniform(0.1, 0.6, shape)
    if path[0].key == 'inputs':
      limits = (100.0, 150.0) if name == 'mean' else (0.01, 0.02)
      return random.uniform(*limits, shape)
    start = 1.0 if name in ('gamma', 'scale', 'factors') else 0.0
    return random.normal(start, 0.3, shape)

  arrays = jax.tree_util.tree_map_with_path(draw, shapes)
  return q, jax.tree.map(lambda a: np.asarray(a, np.float32), dict(arrays))


def compare(model, reference, frames, bins):
  """Asserts that the network computes what `reference(Net, q)` does."""
  q, variables = drawn(model, frames, bins)
  found = tiny.jitted(
    lambda variables, q: model.apply(variables, q, train=False)
  )(variables, q)
  wide = jax.tree.map(lambda a: np.asarray(a, np.float64), variables)
  expected = reference(Net(wide), q.astype(np.float64))
  assert found.shape == expected.shape == (2, 3)
  # No layer may have silenced the clips.
  assert np.ptp(expected, axis=0).min() > 1e-2
  np.testing.assert_allclose(
    found, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max()
  )
