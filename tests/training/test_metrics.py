import jax.numpy as jnp
import numpy as np

from bnn_jax.training import metrics


def test_means_are_divided_once():
  first = metrics.Means.of_batch(loss=jnp.float32(1.0))
  second = metrics.Means(
    totals={'loss': jnp.float32(9.0)}, weights={'loss': jnp.float32(3.0)}
  )
  merged = first.merge(second)
  assert merged.compute() == {'loss': 2.5}
  assert first.merge(first).merge(first).compute() == {'loss': 1.0}


def test_confusion_matrix():
  matrix = metrics.confusion_matrix(
    np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 2, 0]), 3
  )
  assert matrix.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 2]]


def test_nested():
  assert metrics.nested({'loss': 1, 'overflow/a/b': 2, 'overflow/c': 3}) == {
    'loss': 1, 'overflow': {'a/b': 2, 'c': 3},
  }
