"""What changes over the steps of a training."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import optax

from bnn_jax import errors

KINDS = ('cosine', 'step', 'exponential', 'hold')


def learning_rate(
  steps: int,
  peak: float,
  warmup_share: float,
  *,
  kind: str = 'cosine',
  drops: Sequence[tuple[float, float]] = (),
  hold_share: float = 0.0,
  final_share: float = 0.0,
) -> optax.Schedule:
  """Linear warm-up to `peak`, and what follows.

  'cosine' falls to 0 behind the last step. 'step' is at each drop set to a
  share of the peak. 'exponential' falls by the same factor each step, from the
  first on. 'hold' stays at the peak, and then falls by a parabola (MatchboxNet,
  Majumdar and Ginsburg 2020). Both reach `final_share` of the peak behind the
  last step, too.

  Args:
    steps: of the whole training.
    peak: the highest rate.
    warmup_share: share of the steps, below 1.
    kind: one of `KINDS`.
    drops: (share of the steps, share of the peak from there on), ascending, of
      'step'.
    hold_share: share of the steps at the peak, of 'hold'.
    final_share: of the peak, behind the last step of 'exponential' and 'hold'.

  Returns:
    The rate by step.

  Raises:
    UserError: a kind that does not exist, or a share out of its range.
  """
  _check_share('optimizer.warmup_share', warmup_share)
  warmup = round(warmup_share * steps)
  if kind == 'cosine':
    share = _cosine(steps, warmup)
  elif kind == 'step':
    share = _dropping(steps, drops)
  elif kind == 'exponential':
    share = _exponential(steps, final_share)
  elif kind == 'hold':
    _check_share('optimizer.hold_share', hold_share)
    share = _held(steps, warmup_share + hold_share, final_share)
  else:
    raise errors.UserError(
      f'optimizer.schedule={kind!r} does not exist; choose one of '
      f'{", ".join(KINDS)}.'
    )
  if kind == 'cosine' or not warmup:
    return lambda step: peak * share(step)
  return lambda step: peak * jnp.minimum(step / warmup, 1.0) * share(step)


def _cosine(steps, warmup) -> optax.Schedule:
  if steps == 1:
    return optax.constant_schedule(1.0)
  # At least a step of either.
  warmup = min(max(1, warmup), steps - 1)
  return optax.warmup_cosine_decay_schedule(0.0, 1.0, warmup, steps, 0.0)


def _dropping(steps, drops) -> optax.Schedule:
  """1, and at each drop another share."""
  places = [0.0, *(place for place, _ in drops)]
  levels = [1.0, *(level for _, level in drops)]
  rising = all(a < b < 1 for a, b in zip(places, places[1:], strict=False))
  if not drops or not rising or not all(0 < level for level in levels):
    raise errors.UserError(
      f'optimizer.drops={drops!r} is no ascending list of (share of the steps, '
      'share of the peak), each above 0; write one such as '
      '((0.5, 0.1), (0.75, 0.01)).'
    )
  first = np.array([round(place * steps) for place in places])
  heights = jnp.array(levels)
  return lambda step: heights[jnp.sum(step >= first) - 1]


def _exponential(steps, final_share) -> optax.Schedule:
  if not 0 < final_share <= 1:
    raise errors.UserError(
      f'optimizer.final_share={final_share} is where no exponential ends; '
      'choose a share of the peak above 0 and up to 1, such as 0.02.'
    )
  return lambda step: final_share ** (step / steps)


def _held(steps, held_share, final_share) -> optax.Schedule:
  """1 for a share of the steps, warm-up included, then a parabola."""
  _check_share('optimizer.warmup_share and optimizer.hold_share together',
               held_share)
  _check_share('optimizer.final_share', final_share)

  def share(step):
    gone = (step / steps - held_share) / (1 - held_share)
    left = 1 - jnp.clip(gone, 0.0, 1.0)
    return final_share + (1 - final_share) * left**2

  return share


def penalty_weight(
  steps: int,
  peak: float,
  rise_share: float,
  fall_share: float,
  final: float,
) -> optax.Schedule:
  """Lambda by step: anneals up to `peak`, holds, and anneals to its end.

  Args:
    steps: of the whole training.
    peak: the highest weight.
    rise_share: share of the steps in which it rises linearly from 0.
    fall_share: share of the steps, the last ones, in which it falls.
    final: share of the peak that is left at the last step.

  Returns:
    The weight by step.

  Raises:
    UserError: shares that are not in [0, 1), or more than 1 together.
  """
  _check_share('penalty.rise_share', rise_share)
  _check_share('penalty.fall_share', fall_share)
  rise, fall = round(rise_share * steps), round(fall_share * steps)
  if rise + fall > steps:
    raise errors.UserError(
      f'penalty.rise_share={rise_share} and penalty.fall_share={fall_share} '
      'are more than 1 together; lower one.'
    )
  share = optax.join_schedules(
    [
      optax.linear_schedule(0.0, 1.0, max(rise, 1)),
      optax.constant_schedule(1.0),
      optax.linear_schedule(1.0, final, max(fall, 1)),
    ],
    [rise, steps - fall],
  )
  return lambda step: peak * share(step)


def _check_share(name: str, value: float) -> None:
  if not 0 <= value < 1:
    raise errors.UserError(
      f'{name}={value} is not a share of the steps; choose 0 to below 1.'
    )
