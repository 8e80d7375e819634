"""One step of training, and one of evaluation, as pure functions."""

from collections.abc import Callable
import functools
from typing import Any

from flax import traverse_util
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from bnn_jax import features
from bnn_jax.data import augmentation as augmentation_lib
from bnn_jax.nn import layers
from bnn_jax.training import collaboration as collaboration_lib
from bnn_jax.training import metrics
from bnn_jax.training import objective as objective_lib
from bnn_jax.training import state as state_lib

Batch = dict[str, jax.Array]
InputStep = Callable[[Any, jax.Array, jax.Array], jax.Array]
UpdateStep = Callable[
  [state_lib.TrainState, jax.Array, jax.Array],
  tuple[state_lib.TrainState, metrics.Means],
]
TrainStep = Callable[
  [state_lib.TrainState, Batch], tuple[state_lib.TrainState, metrics.Means]
]


def make_input_step(
  *,
  front_end: features.FrontEnd,
  augmentation: augmentation_lib.Augmentation,
  input_bits: int,
) -> InputStep:
  """Makes the function from waveforms to what the network reads.

  Args:
    front_end: from waveforms to features.
    augmentation: its masks are applied here.
    input_bits: of the quantized features.

  Returns:
    A function of a state's `inputs`, a key, and waveforms `[B, S]` that gives
    uint8 `[B, T, F]`.
  """

  def input_step(inputs, key, audio):
    x = features.extract(audio, front_end)
    x = augmentation_lib.spec_augment(x, key, augmentation)
    return quantize(x, inputs, input_bits)

  return input_step


def make_update_step(
  model: nn.Module,
  optimizer: optax.GradientTransformation,
  objective: objective_lib.Objective,
  *,
  steps: int,
  frozen_share: float,
  learning_rate: optax.Schedule,
  balanced: bool,
  collaboration: collaboration_lib.Collaboration | None = None,
) -> UpdateStep:
  """Makes the function of one step: loss, gradient, update.

  Args:
    model: the network.
    optimizer: of its parameters.
    objective: what to make small.
    steps: of the whole training.
    frozen_share: share of the steps, the last ones, in which statistics are
      frozen.
    learning_rate: by step, for the metrics.
    balanced: keep the mean of each channel's latent weights at 0.
    collaboration: with an exact branch; None without one.

  Returns:
    A function of state, quantized features `[B, T, F]` and labels `[B]` that
    gives the next state and the metrics of the step.
  """

  def loss_of(params, state, q, labels):
    progress = state.step / steps
    frozen = progress >= 1 - frozen_share
    forward = functools.partial(
      _forward, params=params, state=state, q=q, progress=progress,
      frozen=frozen,
    )
    narrow = forward(model, factors=objective.factors(state.control))
    loss, observed = objective.fit(narrow.logits, q, labels)
    if collaboration is not None:
      exact = forward(collaboration.network, factors={})
      guidance, seen = collaboration.guide(narrow, exact, labels, frozen)
      loss, observed = loss + guidance, observed | seen
    penalty, control, overflow = objective.overflow(
      narrow.changed.get('sums', {}), state.control, state.step
    )
    moved = {
      'batch_stats': narrow.changed.get('batch_stats', {}), 'control': control
    }
    return loss + penalty, (moved, observed | overflow)

  def update_step(state, q, labels):
    gradient_of = jax.value_and_grad(loss_of, has_aux=True)
    (loss, (moved, observed)), gradients = gradient_of(
      state.params, state, q, labels
    )
    updates, opt_state = optimizer.update(
      gradients, state.opt_state, state.params
    )
    params = optax.apply_updates(state.params, updates)
    if balanced:
      params = centre_latent(params)
    params = clip_latent(params)
    observed |= {
      'loss': loss,
      'learning_rate': learning_rate(state.step),
      'flip_ratio': flip_ratio(state.params, params),
    }
    state = state.replace(
      step=state.step + 1, params=params, opt_state=opt_state, **moved
    )
    return state, metrics.Means.of_batch(**observed)

  return update_step


def _forward(model, *, params, state, q, progress, frozen, factors):
  """What a network computes in a training."""
  ranges = traverse_util.unflatten_dict(
    {(*path.split('/'), 'factor'): value for path, value in factors.items()}
  )
  logits, changed = model.apply(
    state.variables() | {'params': params, layers.RANGES: ranges},
    q,
    train=True,
    progress=progress,
    frozen=frozen,
    mutable=['batch_stats', 'sums', 'margins'],
    # 0 and 1 are the masks' of `augmentation.spec_augment`.
    rngs={
      layers.GATES: jax.random.fold_in(state.key(), 2),
      'dropout': jax.random.fold_in(state.key(), 3),
    },
  )
  return collaboration_lib.Branch(logits, changed)


def quantize(x: jax.Array, inputs: dict[str, Any], bits: int) -> jax.Array:
  """Features `[B, T, F]` as uint8 by the state's quantization."""
  return features.quantize_by(x, inputs['lo'], inputs['exponent'], bits)


def clip_latent(params: Any) -> Any:
  """Latent weights into [-1, 1], tiny ones to 0; the others as they are.

  XLA takes subnormal numbers for 0 and NumPy does not: with none left, both
  give every weight the same sign.
  """
  def clip(latent, parameter):
    if not latent:
      return parameter
    parameter = jnp.where(jnp.abs(parameter) < 1e-30, 0.0, parameter)
    return jnp.clip(parameter, -1.0, 1.0)
  return jax.tree.map(clip, state_lib.is_latent(params), params)


def centre_latent(params: Any) -> Any:
  """Takes the mean of each output channel from its latent weights.

  About as many weights are then +1 as -1, so that inputs of a common sign do
  not add up to a sum far from 0 (after IR-Net, Qin et al. 2020).
  """
  def centre(latent, parameter):
    if not latent:
      return parameter
    axes = tuple(range(parameter.ndim - 1))
    return parameter - jnp.mean(parameter, axes)
  return jax.tree.map(centre, state_lib.is_latent(params), params)


def flip_ratio(before: Any, after: Any) -> jax.Array:
  """Share of binary weights whose sign changed; 0 without binary weights."""
  latent = jax.tree.leaves(state_lib.is_latent(before))
  pairs = [
    (old, new)
    for is_latent, old, new in zip(
      latent, jax.tree.leaves(before), jax.tree.leaves(after), strict=True
    )
    if is_latent
  ]
  flips = sum(jnp.sum((old >= 0) != (new >= 0)) for old, new in pairs)
  return jnp.asarray(flips / max(sum(old.size for old, _ in pairs), 1))


def make_evaluation_step(model: nn.Module):
  """Makes the functions of one batch of evaluation.

  Args:
    model: the network, with the accumulators to evaluate.

  Returns:
    A function of variables and quantized features `[B, T, F]` that gives the
    logits `[B, N]`, and one that gives logits and the collection `telemetry`.
  """

  def logits(variables, q):
    return model.apply(variables, q, train=False)

  def with_telemetry(variables, q):
    return model.apply(variables, q, train=False, mutable=['telemetry'])

  options = compiler_options()
  return (
    jax.jit(logits, compiler_options=options),
    jax.jit(with_telemetry, compiler_options=options),
  )


def compiler_options() -> dict[str, str]:
  """Options of XLA for the backend that is there.

  The CPU backend removes optimization barriers before it fuses, which makes
  the networks' barriers void and a training step twice as slow.
  """
  if jax.default_backend() == 'cpu':
    return {'xla_disable_hlo_passes': 'cse_barrier_expander'}
  return {}
