"""What training makes small: cross entropy + lambda(step) * penalty."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from bnn_jax.training import control as control_lib
from bnn_jax.training import curriculum as curriculum_lib
from bnn_jax.training import losses

# From quantized features `[B, T, F]` to logits `[B, N]`.
Teacher = Callable[[jax.Array], jax.Array]
Observed = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Objective:
  """The loss of a step of training, and what is observed of it.

  Attributes:
    label_smoothing: of the cross entropy.
    penalty_weight: lambda by step.
    penalty_kind: a name in `losses.PENALTIES`, or 'none'.
    penalty_margin: share of the range that is free of penalty.
    overflow_bound: share of a layer's sums that may overflow before its
      penalty grows, see `control`.
    control_gain: how quickly it does; 0 for one penalty for all layers.
    curriculum: of the layers' ranges; None where all have their registers'.
    teacher: gives answers to learn from beside the labels.
    distillation_weight: share of the loss that compares with them.
    temperature: that softens both sides of that comparison.
  """

  label_smoothing: float
  penalty_weight: optax.Schedule
  penalty_kind: str
  penalty_margin: float
  overflow_bound: float
  control_gain: float
  curriculum: curriculum_lib.Curriculum | None = None
  teacher: Teacher | None = None
  distillation_weight: float = 0.0
  temperature: float = 1.0

  def factors(self, control: control_lib.Control) -> dict[str, jax.Array]:
    """Of the layers' ranges, by their paths; none without a curriculum."""
    if self.curriculum is None:
      return {}
    return self.curriculum.factors(control.narrowness)

  def fit(
    self, logits: jax.Array, q: jax.Array, labels: jax.Array
  ) -> tuple[jax.Array, Observed]:
    """How far the network is from its labels, and from its teacher.

    Args:
      logits: `[B, N]`.
      q: `[B, T, F]`, what the network read.
      labels: `[B]`.

    Returns:
      A scalar, and metrics.
    """
    entropy = losses.cross_entropy(
      logits, labels, self.label_smoothing
    ).mean()
    observed = {
      'cross_entropy': entropy,
      'accuracy': jnp.mean(jnp.argmax(logits, -1) == labels),
    }
    if self.teacher is None:
      return entropy, observed
    distance = losses.distillation(
      logits, self.teacher(q), self.temperature
    ).mean()
    share = self.distillation_weight
    return entropy + share * (distance - entropy), observed

  def overflow(
    self, sums: Mapping[str, Any], control: control_lib.Control, step: jax.Array
  ) -> tuple[jax.Array, control_lib.Control, Observed]:
    """What the exact sums cost.

    Args:
      sums: the collection `sums` that the layers sowed.
      control: the layers' shares of the penalty, and their ranges.
      step: of the training.

    Returns:
      lambda times the penalty, a scalar; the next control; and metrics, whose
      overflow rates are those of `losses.persistent_rates` in the range of the
      moment.
    """
    z = losses.by_layer(sums)
    factors = self.factors(control)
    if factors:
      z = {path: value / factors[path] for path, value in z.items()}
    penalty = jnp.zeros(())
    if self.penalty_kind != 'none':
      penalty = losses.overflow_penalty(
        z, self.penalty_kind, self.penalty_margin, control.shares
      )
    weight = self.penalty_weight(step)
    rates = losses.persistent_rates(z)
    layers = max(len(rates), 1)
    moved = control_lib.update(
      control, rates, step=step, bound=self.overflow_bound,
      gain=self.control_gain,
    )
    if self.curriculum is not None:
      moved = moved.replace(narrowness=self.curriculum.narrowed(
        control.narrowness, moved.rates, step
      ))
    observed = {
      'penalty': penalty,
      'penalty_weight': weight,
      'persistent_rate': sum(rates.values(), jnp.zeros(())) / layers,
    }
    observed |= {f'overflow/{path}': rate for path, rate in rates.items()}
    observed |= {
      f'penalty_share/{path}': share for path, share in control.shares.items()
    }
    observed |= {f'range/{path}': value for path, value in factors.items()}
    return weight * penalty, moved, observed
