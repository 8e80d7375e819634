"""The exact branch: the same weights on registers that never overflow.

Both branches read the same clips in the same step. The exact one learns from
the labels, too, and guides the other: by its logits, and by the bits that its
signs make, layer by layer. With p and u the logits and margins of the branch
that overflows, x and v those of the exact one, whose part as a guide has no
gradient, the loss grows by

  entropy_weight CE(y, x) + logits_weight T^2 CE(softmax(x / T), p / T)
    + bits_weight mean softplus(-sign(v) u)

where a margin is how far a sign's input is above its threshold.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from bnn_jax.training import losses


class Branch(NamedTuple):
  """What one branch computed of a batch.

  Attributes:
    logits: `[B, N]`.
    changed: the collections that the layers changed or sowed.
  """

  logits: jax.Array
  changed: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Collaboration:
  """How the exact branch takes part in a training.

  Attributes:
    network: the network on registers that never overflow.
    label_smoothing: of the cross entropy.
    entropy_weight: of the exact branch's own cross entropy, whose gradient
      is a second backward pass.
    logits_weight: of the distance to its logits.
    bits_weight: of the distance to its bits.
    temperature: that softens both sides of the comparison of logits.
  """

  network: nn.Module
  label_smoothing: float
  entropy_weight: float
  logits_weight: float
  bits_weight: float
  temperature: float

  def guide(
    self, narrow: Branch, exact: Branch, labels: jax.Array
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """What the exact branch adds to the loss.

    Args:
      narrow: the branch whose registers overflow.
      exact: the branch of `network`, of the same parameters.
      labels: `[B]`.

    Returns:
      A scalar, and metrics.
    """
    entropy = losses.cross_entropy(
      exact.logits, labels, self.label_smoothing
    ).mean()
    distance = losses.distillation(
      narrow.logits, exact.logits, self.temperature
    ).mean()
    loss = self.entropy_weight * entropy + self.logits_weight * distance
    if self.bits_weight:
      loss += self.bits_weight * _bits_distance(
        narrow.changed['margins'], exact.changed['margins']
      )
    return loss, {'exact_cross_entropy': entropy}


def _bits_distance(narrow: Any, exact: Any) -> jax.Array:
  """Mean over layers of softplus(-sign(v) u)."""
  def distance(u, v):
    sign = jnp.where(jax.lax.stop_gradient(v) >= 0, 1.0, -1.0)
    return jnp.mean(jax.nn.softplus(-sign * u))
  layers = jax.tree.leaves(jax.tree.map(distance, narrow, exact))
  return jnp.mean(jnp.stack(layers))
