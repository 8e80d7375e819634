"""Float networks that recur or attend, against their papers in NumPy."""

import numpy as np
import pytest

from bnn_jax.models import kwt
from tests.models import plain


def gru(net, x, reset_after, reverse=False):
  """States `[B, T, U]`; gates are r, then z."""
  projected = net.dense(x, 'input')
  step = {
    name: (tree['Dense_0']['kernel'], tree['Dense_0'].get('bias', 0.0))
    for name, tree in net.params['step'].items()
  }
  units = projected.shape[-1] // 3
  h = np.zeros((len(x), units))
  states = np.zeros((*x.shape[:2], units))
  order = range(x.shape[1])
  for t in reversed(order) if reverse else order:
    gates, candidate = np.split(projected[:, t], [2 * units], axis=-1)
    if reset_after:
      kernel, bias = step['recurrent']
      more, behind = np.split(h @ kernel + bias, [2 * units], axis=-1)
    else:
      more = h @ step['gates'][0]
    r, z = np.split(plain.sigmoid(gates + more), 2, axis=-1)
    if not reset_after:
      behind = (r * h) @ step['candidate'][0]
    new = np.tanh(candidate + (r * behind if reset_after else behind))
    states[:, t] = h = z * h + (1 - z) * new
  return states


@pytest.mark.parametrize('size, stride', [('S', (2, 2)), ('L', (2, 1))])
def test_crnn(size, stride):
  def reference(net, q):
    x = plain.relu(
      net.conv(net.image(q), 'conv', strides=stride, padding='VALID')
    )
    x = x.reshape(*x.shape[:2], -1)
    for i in range(2):
      x = gru(net[f'gru{i}'], x, reset_after=False)
    return net.classifier(plain.relu(net.dense(x[:, -1], 'dense')))

  plain.compare(plain.built('crnn', size), reference, 17, 10)


@pytest.mark.parametrize('size, dense, frames', [
  ('paper', 2, 7), ('new', 1, 6),
])
def test_mhatt_rnn(size, dense, frames):
  def reference(net, q):
    x = net.image(q)
    for i in range(2):
      x = net.norm(plain.relu(net.conv(x, f'conv{i}')), f'norm{i}')
    x = x.reshape(*x.shape[:2], -1)
    for i in range(2):
      both = net[f'gru{i}']
      x = np.concatenate([
        gru(both['forward'], x, reset_after=True),
        gru(both['backward'], x, reset_after=True, reverse=True),
      ], axis=-1)
    queries = np.split(net.dense(x[:, frames // 2], 'query'), 4, axis=-1)
    heads = []
    for query in queries:
      weights = plain.softmax((x @ query[..., None])[..., 0])
      heads.append((weights[..., None] * x).sum(1))
    x = plain.relu(net.dense(np.concatenate(heads, axis=-1), 'dense0'))
    return net.classifier(net.dense(x, 'dense1') if dense == 2 else x)

  plain.compare(plain.built('mhatt_rnn', size), reference, frames, 5)


def layer_norm(net, x, name):
  x = x - x.mean(-1, keepdims=True)
  x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
  return x * net.params[name]['scale'] + net.params[name]['bias']


def attention(net, x, heads):
  query, key, value = np.split(net.dense(x, 'query_key_value'), 3, axis=-1)
  attended = []
  for q, k, v in zip(
    *(np.split(a, heads, axis=-1) for a in (query, key, value)), strict=True
  ):
    scores = q @ np.swapaxes(k, 1, 2) / np.sqrt(q.shape[-1])
    attended.append(plain.softmax(scores) @ v)
  return net.dense(np.concatenate(attended, axis=-1), 'output')


def transformer(net, q, heads, blocks):
  x = net.dense(net.scaled(q), 'embedding')
  token = np.repeat(net.params['class_token'], len(x), axis=0)
  x = np.concatenate([token, x], axis=1) + net.params['positions']
  for i in range(blocks):
    block = net[f'block{i}']
    x = layer_norm(block, x + attention(block, x, heads), 'norm0')
    y = block.dense(plain.gelu(block.dense(x, 'hidden')), 'perceptron')
    x = layer_norm(block, x + y, 'norm1')
  return net.classifier(x[:, 0])


def test_kwt():
  plain.compare(
    plain.built('kwt', '1'), lambda net, q: transformer(net, q, 1, 12), 5, 4
  )


@pytest.mark.parametrize('size, heads', [('2', 2), ('3', 3)])
def test_kwt_of_more_heads(monkeypatch, size, heads):
  fewer = kwt.SIZES[size]._replace(blocks=2)
  monkeypatch.setitem(kwt.SIZES, size, fewer)
  plain.compare(
    plain.built('kwt', size), lambda net, q: transformer(net, q, heads, 2),
    5, 4,
  )
