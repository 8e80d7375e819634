"""The optimizers of our recipe and of published ones."""

import optax

from bnn_jax import errors

KINDS = ('adamw', 'sgd', 'novograd')

# Decay of the second moment, as MatchboxNet is trained (Majumdar and Ginsburg
# 2020).
_NOVOGRAD_SECOND = 0.5


def make(
  kind: str,
  rate: optax.ScalarOrSchedule,
  *,
  weight_decay: float,
  momentum: float,
) -> optax.GradientTransformation:
  """Makes an optimizer.

  Args:
    kind: 'adamw' (Loshchilov and Hutter 2019), whose weight decay is apart from
      the gradient; 'sgd' with momentum, and 'novograd' (Ginsburg et al. 2019),
      whose gradients hold it.
    rate: the learning rate.
    weight_decay: its factor.
    momentum: decay of the first moment of 'sgd' and 'novograd'.

  Returns:
    The transformation of gradients to updates.

  Raises:
    UserError: an optimizer that does not exist, or a momentum out of [0, 1).
  """
  if not 0 <= momentum < 1:
    raise errors.UserError(
      f'optimizer.momentum={momentum} is no decay; choose 0.0 to below 1.0.'
    )
  if kind == 'adamw':
    return optax.adamw(rate, weight_decay=weight_decay)
  if kind == 'sgd':
    return optax.chain(
      optax.add_decayed_weights(weight_decay), optax.sgd(rate, momentum)
    )
  if kind == 'novograd':
    return optax.novograd(
      rate, momentum, _NOVOGRAD_SECOND, weight_decay=weight_decay
    )
  raise errors.UserError(
    f'optimizer.kind={kind!r} does not exist; choose one of '
    f'{", ".join(KINDS)}.'
  )
