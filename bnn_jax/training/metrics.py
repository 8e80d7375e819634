"""Metrics as sums that are divided once, at the end."""

from collections.abc import Mapping
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np


class Means(struct.PyTreeNode):
  """Weighted sums of named quantities, and their weights.

  Attributes:
    totals: name to sum.
    weights: name to sum of weights.
  """

  totals: dict[str, jax.Array]
  weights: dict[str, jax.Array]

  @classmethod
  def of_batch(cls, **values: jax.Array) -> 'Means':
    """One observation of each quantity, as its mean over the batch."""
    return cls(
      totals=dict(values),
      weights={name: jnp.ones(()) for name in values},
    )

  def merge(self, other: 'Means') -> 'Means':
    """Both together."""
    return jax.tree.map(lambda a, b: a + b, self, other)

  def compute(self) -> dict[str, float]:
    """Name to mean."""
    totals, weights = jax.device_get((self.totals, self.weights))
    return {name: float(totals[name] / weights[name]) for name in totals}


def confusion_matrix(
  labels: np.ndarray, predictions: np.ndarray, classes: int
) -> np.ndarray:
  """Counts `[classes, classes]`: rows true, columns predicted."""
  matrix = np.zeros((classes, classes), np.int64)
  np.add.at(matrix, (labels, predictions), 1)
  return matrix


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
  """Puts 'group/rest' under `group`: one level of dictionaries."""
  result: dict[str, Any] = {}
  for name, value in values.items():
    group, _, rest = name.partition('/')
    if rest:
      result.setdefault(group, {})[rest] = value
    else:
      result[name] = value
  return result
