"""The curriculum of ranges: registers start wide, and measurement narrows them.

Each layer trains with a range of its own, `start` times that of its register
at first. While fewer of its sums than `bound` leave it, the range shrinks by
the same factor each step; where more do, it waits for the penalty, which acts
on the range of the moment. No range stays behind the schedule, by which all
have shrunk to those of their registers at the step `end`:

  narrowness += speed while rate < bound;  narrowness >= step / end
  factor = start^(1 - narrowness)
"""

from collections.abc import Mapping
import dataclasses

import jax
import jax.numpy as jnp

# Share of the steps up to `end` in which a layer gets there that is never held.
_QUICKEST = 0.5


@dataclasses.dataclass(frozen=True)
class Curriculum:
  """How ranges shrink.

  Attributes:
    start: factor of the ranges at step 0, above 1.
    end: step from which on all factors are 1, above 0.
    bound: share of a layer's sums that may leave a range that shrinks.
  """

  start: float
  end: float
  bound: float

  def factors(
    self, narrowness: Mapping[str, jax.Array]
  ) -> dict[str, jax.Array]:
    """By what each layer's range is wider than its register's, at least 1."""
    return {
      path: self.start ** (1 - value) for path, value in narrowness.items()
    }

  def narrowed(
    self,
    narrowness: Mapping[str, jax.Array],
    rates: Mapping[str, jax.Array],
    step: jax.Array,
  ) -> dict[str, jax.Array]:
    """Where the layers are after a step.

    Args:
      narrowness: of each layer's range in this step, from 0 to 1, by its path.
      rates: running mean of each layer's sums outside it.
      step: of the training, counted from 0.

    Returns:
      The narrowness in the next step.
    """
    latest = jnp.minimum((step + 1) / self.end, 1.0)
    speed = 1 / (_QUICKEST * self.end)

    def moved(value, rate):
      value = jnp.where(rate < self.bound, value + speed, value)
      return jnp.clip(value, latest, 1.0)

    return {path: moved(n, rates[path]) for path, n in narrowness.items()}


def make(
  start: float, share: float, bound: float, steps: int
) -> Curriculum | None:
  """The curriculum of a training; None where there is none.

  Args:
    start: factor of the ranges at step 0; 1 for none.
    share: of the steps, by which all ranges are those of their registers.
    bound: see `Curriculum`.
    steps: of the training.
  """
  return Curriculum(start, share * steps, bound) if start > 1 else None
