"""What changes over the steps of a training."""

import optax

from bnn_jax import errors


def learning_rate(
  steps: int, peak: float, warmup_share: float
) -> optax.Schedule:
  """Linear warm-up to `peak`, then a cosine to 0 at the last step.

  Args:
    steps: of the whole training.
    peak: the highest rate.
    warmup_share: share of the steps, below 1.

  Returns:
    The rate by step.

  Raises:
    UserError: a share that is not in [0, 1).
  """
  _check_share('optimizer.warmup_share', warmup_share)
  share = optax.warmup_cosine_decay_schedule(
    0.0, 1.0, max(1, round(warmup_share * steps)), steps, 0.0
  )
  return lambda step: peak * share(step)


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
