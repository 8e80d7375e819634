"""The exact branch: the same weights on registers that never overflow.

Both branches read the same clips in the same step. The exact one learns from
the labels, too, and guides the other: by its logits, and by the bits that its
signs make, layer by layer. With p and u the logits and margins of the branch
that overflows, x and v those of the exact one, whose part as a guide has no
gradient, the loss grows by

  cross_entropy_weight CE(y, x) + logits_weight T^2 CE(softmax(x / T), p / T)
    + bits_weight mean softplus(-sign(v) u)

where a margin is how far a sign's input is above its threshold. The last term
is the binary cross entropy of u as logits against the exact bits.

Once statistics are frozen they are those of the branch that overflows, with
which the exact one is another network: it is left out from then on.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from bnn_jax.training import losses

WEIGHTS = ('cross_entropy_weight', 'logits_weight', 'bits_weight')


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
    cross_entropy_weight: of the exact branch's own loss. Where it is 0, the
      exact branch has no backward pass.
    logits_weight: of the distillation of its logits.
    bits_weight: of the cross entropy against its bits.
    temperature: of the distillation.
  """

  network: nn.Module
  label_smoothing: float
  cross_entropy_weight: float
  logits_weight: float
  bits_weight: float
  temperature: float

  def guide(
    self,
    narrow: Branch,
    exact: Branch,
    labels: jax.Array,
    frozen: bool | jax.Array = False,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """What the exact branch adds to the loss.

    Args:
      narrow: the branch whose registers overflow.
      exact: the branch of `network`, of the same parameters.
      labels: `[B]`.
      frozen: whether statistics are frozen, and nothing is added.

    Returns:
      A scalar, and by name, without their weights, the terms that it is of.
    """
    terms = {'exact_cross_entropy': losses.cross_entropy(
      exact.logits, labels, self.label_smoothing
    ).mean()}
    loss = jnp.zeros(())
    if self.cross_entropy_weight:
      loss += self.cross_entropy_weight * terms['exact_cross_entropy']
    if self.logits_weight:
      terms['exact_logits'] = losses.distillation(
        narrow.logits, exact.logits, self.temperature
      ).mean()
      loss += self.logits_weight * terms['exact_logits']
    if self.bits_weight:
      terms['exact_bits'] = bits_cross_entropy(
        narrow.changed['margins'], exact.changed['margins']
      )
      loss += self.bits_weight * terms['exact_bits']
    return jnp.where(frozen, 0.0, loss), terms


def bits_cross_entropy(
  narrow: Mapping[str, Any], exact: Mapping[str, Any]
) -> jax.Array:
  """Mean over layers of softplus(-sign(v) u).

  Args:
    narrow: the collection `margins` of the branch that learns, its leaves u.
    exact: that of the branch whose bits are the labels, its leaves v.

  Returns:
    A scalar.
  """

  def of_a_layer(u, v):
    sign = jnp.where(jax.lax.stop_gradient(v) >= 0, 1.0, -1.0)
    return jnp.mean(jax.nn.softplus(-sign * u))

  layers = jax.tree.leaves(jax.tree.map(of_a_layer, narrow, exact))
  return jnp.mean(jnp.stack(layers))
