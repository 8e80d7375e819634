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

# Clips that `Observer` runs at once, and samples of a layer that it gives.
_BATCH = 100
SAMPLES = 2**16


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


class Observer:
  """What layers of one network give, whatever its integers; compiles once."""

  def __init__(self, model: nn.Module, names: Sequence[str], q: np.ndarray):
    """Makes it.

    Args:
      model: the network.
      names: of the layers to observe, their paths with slashes.
      q: the clips to observe them on, uint8 `[n, T, F]`.
    """
    @jax.jit
    def run(variables, q):
      _, seen = model.apply(
        variables, q, train=False, mutable=['intermediates', 'sums'],
        capture_intermediates=True,
      )
      outputs = {name: _at(seen['intermediates'], name) for name in names}
      sums = {
        name: found['relative'][0] for name in names
        if (found := _branch(seen['sums'], name)) and 'relative' in found
      }
      return outputs, sums

    self._run, self._q = run, q

  def outputs(self, variables, name: str) -> np.ndarray:
    """What a layer gives, int32 `[samples, C]`.

    Samples are positions of clips: where there are more than `SAMPLES`, evenly
    spaced ones.
    """
    return self._observe(variables, lambda seen: seen[0][name])

  def exact_sums(self, variables, name: str, bits: int) -> np.ndarray:
    """The same of the exact sums of a convolution, from its preload on.

    They are in units of its register, whose width is `bits`.
    """
    scale = 2 ** (bits - 1)
    return self._observe(variables, lambda seen: seen[1][name] * scale)

  def _observe(self, variables, choose) -> np.ndarray:
    pieces = []
    for start in range(0, len(self._q), _BATCH):
      batch = self._q[start : start + _BATCH]
      padding = [(0, _BATCH - len(batch)), (0, 0), (0, 0)]
      values = np.asarray(choose(self._run(variables, np.pad(batch, padding))))
      values = values.reshape(_BATCH, -1, values.shape[-1])[: len(batch)]
      flat = values.reshape(-1, values.shape[-1])
      step = -(-len(self._q) * values.shape[1] // SAMPLES)
      pieces.append(flat[::step].astype(np.int32))
    return np.concatenate(pieces)


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
  return _branch(tree, name)['__call__'][0]


def _branch(tree: Mapping, name: str) -> Mapping:
  """What is under a path; nothing where there is no such path."""
  for part in name.split('/'):
    tree = tree.get(part, {})
  return tree


def _shape(tree: Mapping, name: str) -> tuple[int, ...] | None:
  """Of a clip's values; None without such a layer."""
  for part in (*name.split('/'), '__call__'):
    if not isinstance(tree, Mapping) or part not in tree:
      return None
    tree = tree[part]
  return tree[0].shape[1:]
