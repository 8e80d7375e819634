"""The overflow heuristic: each layer's measured overflow drives its penalty.

One lambda for all layers is too weak for the one whose sums spread furthest,
and starves the others. So each layer has a share of lambda of its own, which
rises while more of its sums overflow than `bound` allows, and falls while
fewer do:

  log share += gain * clip(log(rate / bound), -1, 1)

within [1 / LIMIT, LIMIT], where rate is a running mean over some steps, which
begins with the first one's.
"""

from collections.abc import Mapping

from flax import struct
import jax
import jax.numpy as jnp

# The farthest that a share may go from 1, either way.
LIMIT = 16.0
# Of the running means.
_MOMENTUM = 0.95
# Rates below this count as this, so that their logarithm is finite.
_LEAST_RATE = 1e-6


class Control(struct.PyTreeNode):
  """State of the heuristic.

  Attributes:
    rates: running mean of each layer's overflow, by its path.
    shares: of lambda, by the layer's path.
    narrowness: of the layer's range, by its path, see `curriculum`.
  """

  rates: dict[str, jax.Array]
  shares: dict[str, jax.Array]
  narrowness: dict[str, jax.Array]


def create(paths: list[str]) -> Control:
  """Starts with no overflow, shares of 1 and a narrowness of 0."""
  return Control(
    rates={path: jnp.zeros(()) for path in paths},
    shares={path: jnp.ones(()) for path in paths},
    narrowness={path: jnp.zeros(()) for path in paths},
  )


def update(
  control: Control,
  rates: Mapping[str, jax.Array],
  *,
  step: jax.Array,
  bound: float,
  gain: float,
) -> Control:
  """The state after a step.

  Args:
    control: before it.
    rates: share of each layer's exact sums outside its range, in this step.
    step: of the training, counted from 0.
    bound: the rate to keep to, above 0.
    gain: most that log(share) moves; 0 leaves all shares alone.

  Returns:
    The new state.
  """
  kept = jnp.where(step == 0, 0.0, _MOMENTUM)
  means = {
    path: kept * mean + (1 - kept) * rates[path]
    for path, mean in control.rates.items()
  }

  def moved(share, mean):
    excess = jnp.log(jnp.maximum(mean, _LEAST_RATE) / bound)
    share = share * jnp.exp(gain * jnp.clip(excess, -1, 1))
    return jnp.clip(share, 1 / LIMIT, LIMIT)

  shares = {
    path: moved(share, means[path]) for path, share in control.shares.items()
  }
  return control.replace(rates=means, shares=shares)
