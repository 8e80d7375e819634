"""Cross entropy, and penalties that keep exact sums inside a register.

A penalty takes the exact sums z of one layer, `[B, *output, N]`, as a share of
the register's range, so that [-1, 1) is inside, and returns a scalar. It is 0
where nothing threatens to overflow.
"""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from bnn_jax import errors

Penalty = Callable[[jax.Array, float], jax.Array]


def cross_entropy(
  logits: jax.Array, labels: jax.Array, smoothing: float
) -> jax.Array:
  """Cross entropy with smoothed labels.

  Args:
    logits: `[B, N]`.
    labels: `[B]` class indices.
    smoothing: probability spread evenly over all classes.

  Returns:
    `[B]`.
  """
  targets = jax.nn.one_hot(labels, logits.shape[-1])
  targets = optax.smooth_labels(targets, smoothing)
  return optax.softmax_cross_entropy(logits, targets)


def distillation(
  logits: jax.Array, teacher: jax.Array, temperature: float
) -> jax.Array:
  """Cross entropy with a teacher's answers (Hinton et al. 2015).

  Args:
    logits: `[B, N]` of the student.
    teacher: `[B, N]` of the teacher.
    temperature: divides both; the result is multiplied by its square, so that
      gradients do not shrink.

  Returns:
    `[B]`.
  """
  answers = jax.nn.softmax(jax.lax.stop_gradient(teacher) / temperature)
  entropy = optax.softmax_cross_entropy(logits / temperature, answers)
  return temperature**2 * entropy


def hinge(z: jax.Array, margin: float) -> jax.Array:
  """Mean of max(|z| - margin, 0)."""
  return jnp.mean(jnp.maximum(jnp.abs(z) - margin, 0))


def periodic(z: jax.Array, margin: float) -> jax.Array:
  """Mean distance from the sums whose sign a wrapping register keeps.

  A register reads z - 2 for z in [1, 3), so the sign is wrong for |z| in
  [1, 2), right again in [2, 3), and so on with period 2. The penalty is
  max(|z| - margin, 0) up to |z| = 3/2, the middle of the wrong signs, from
  where it falls to 0 at |z| = 3 - margin and goes on with period 2: a sum is
  pushed to the nearest right sign (after WrapNet, Ni et al. 2021).
  """
  magnitude = jnp.abs(z)
  from_middle = jnp.where(
    magnitude < 1.5,
    1.5 - magnitude,
    jnp.abs(jnp.mod(magnitude - 0.5, 2.0) - 1.0),
  )
  return jnp.mean(jnp.maximum(1.5 - margin - from_middle, 0))


def variance(z: jax.Array, margin: float) -> jax.Array:
  """Mean over channels of max(2 std - margin, 0) + max(|mean| - margin, 0).

  Two standard deviations of a channel's sums are to fit the range, and its
  mean is to lie well inside.
  """
  axes = tuple(range(z.ndim - 1))
  mean = jnp.mean(z, axes)
  std = jnp.sqrt(jnp.var(z, axes) + 1e-8)
  return jnp.mean(
    jnp.maximum(2 * std - margin, 0) + jnp.maximum(jnp.abs(mean) - margin, 0)
  )


PENALTIES: dict[str, Penalty] = {
  'hinge': hinge,
  'periodic': periodic,
  'variance': variance,
}


def overflow_penalty(
  sums: Mapping[str, jax.Array],
  kind: str,
  margin: float,
  shares: Mapping[str, jax.Array] | None = None,
) -> jax.Array:
  """Sum over layers of the penalty on their exact sums.

  Args:
    sums: exact sums of the layers by their paths, see `by_layer`.
    kind: a name in `PENALTIES`.
    margin: share of the range that is free of it.
    shares: weights of the layers by their paths; 1 by default.

  Returns:
    A scalar; 0 for a network without accumulators.

  Raises:
    UserError: a penalty that does not exist.
  """
  if kind not in PENALTIES:
    raise errors.UserError(
      f'penalty {kind!r} does not exist; choose one of {", ".join(PENALTIES)}.'
    )
  penalty = PENALTIES[kind]
  total = jnp.zeros(())
  for path, z in sums.items():
    total += (1.0 if shares is None else shares[path]) * penalty(z, margin)
  return total


def persistent_rates(
  sums: Mapping[str, jax.Array],
) -> dict[str, jax.Array]:
  """Share of each layer's exact sums that are outside its range.

  This is persistent overflow alone: training forms no prefixes of a sum, so
  transient overflow, which the rates of an evaluation count too, is not seen.

  Args:
    sums: exact sums of the layers by their paths, see `by_layer`.

  Returns:
    One scalar a layer, by its path, such as 'block0/conv'.
  """
  def rate(z):
    return jnp.mean(((z < -1) | (z >= 1)).astype(jnp.float32))
  return {path: rate(z) for path, z in sums.items()}


def by_layer(sums: Mapping[str, Any]) -> dict[str, jax.Array]:
  """The collection `sums` that the layers sowed, by path as 'block0/conv'."""
  layers: dict[str, list[jax.Array]] = {}
  for path, z in jax.tree_util.tree_leaves_with_path(sums):
    names = [entry.key for entry in path if hasattr(entry, 'key')]
    layers.setdefault('/'.join(names[:-1]), []).append(z)
  # A layer that is called twice has sums of both calls.
  return {
    path: z[0] if len(z) == 1 else jnp.concatenate(z)
    for path, z in layers.items()
  }
