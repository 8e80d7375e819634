"""The training graph, layer by layer."""

from collections.abc import Mapping
from collections.abc import Sequence
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax import errors
from bnn_jax.export import check
from bnn_jax.export import specs


def layers(
  model: nn.Module, variables, q: np.ndarray, names: Sequence[str]
) -> dict[str, np.ndarray]:
  """What layers give in evaluation mode.

  Args:
    model: the network.
    variables: its collections.
    q: uint8 `[n, T, F]`.
    names: of the layers, their paths with slashes.

  Returns:
    Arrays by name, float32 that hold integers.
  """
  @jax.jit
  def run(q):
    seen = _seen(model, variables, q)
    return {name: _at(seen, name) for name in names}

  return {name: np.asarray(v) for name, v in run(q).items()}


def check_layers(
  path: pathlib.Path, exported: specs.Model, model: nn.Module, variables
) -> None:
  """Refuses an export whose layers the network does not have.

  Args:
    path: the export.
    exported: its network.
    model: the network that it should be of.
    variables: its collections.

  Raises:
    UserError: names the first layer that is missing or has another shape.
  """
  form = exported.input
  q = jnp.zeros((1, form.frames, form.bins), jnp.uint8)
  seen = jax.eval_shape(lambda q: _seen(model, variables, q), q)
  values = check.check(exported)
  for layer in exported.layers:
    found, wanted = values[layer.name].shape, _shape(seen, layer.name)
    if found != wanted:
      has = 'has no such layer' if wanted is None else f'has {list(wanted)}'
      raise errors.UserError(
        f'{path} is of another network than the checkpoint (layer '
        f'{layer.name} gives {list(found)}, the checkpoint {has}); export the '
        'network again.'
      )


def _seen(model: nn.Module, variables, q: jax.Array) -> Mapping:
  _, seen = model.apply(
    variables, q, train=False, mutable=['intermediates'],
    capture_intermediates=True,
  )
  return seen['intermediates']


def _at(tree: Mapping, name: str):
  for part in name.split('/'):
    tree = tree[part]
  return tree['__call__'][0]


def _shape(tree: Mapping, name: str) -> tuple[int, ...] | None:
  """Of a clip's values; None without such a layer."""
  for part in (*name.split('/'), '__call__'):
    if not isinstance(tree, Mapping) or part not in tree:
      return None
    tree = tree[part]
  return tree[0].shape[1:]
