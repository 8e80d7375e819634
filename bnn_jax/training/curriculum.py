"""The curriculum of ranges: registers start wide, and measurement narrows them.

Each layer trains with a range of its own, `start` times that of its register
at first. While fewer of its sums than `bound` leave it, the range shrinks by
the same factor each step, so that a layer which is never held has the range of
its register at half of `end`. Where more leave it, it waits for the penalty,
which acts on the range of the moment, until then at the longest: afterwards a
deadline takes it along, at the same speed, to the step `end`.

  narrowness += 2 / end while rate < bound;  narrowness >= 2 step / end - 1
  factor = start^(1 - narrowness)
"""

from collections.abc import Mapping
import dataclasses

import jax
import jax.numpy as jnp


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
    speed = 2 / self.end
    deadline = jnp.clip(speed * (step + 1) - 1, 0.0, 1.0)

    def moved(value, rate):
      value = jnp.where(rate < self.bound, value + speed, value)
      return jnp.clip(value, deadline, 1.0)

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
