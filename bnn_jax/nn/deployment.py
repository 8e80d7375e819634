"""From what training learned to the integers that are deployed."""

from collections.abc import Mapping
from typing import Any

from flax import traverse_util
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def variable(
  layer: nn.Module, name: str, shape: tuple[int, ...]
) -> jax.Array:
  """An integer array of a layer's collection `deployed`, zeros at first."""
  return layer.variable('deployed', name, jnp.zeros, shape, jnp.int32).value


def deployable_layers(
  model: nn.Module, *inputs: Any, **kwargs: Any
) -> dict[tuple[str, ...], nn.Module]:
  """The layers of a model that have deployed constants, by their path.

  Args:
    model: any Flax module.
    *inputs: arrays, or their shapes, for its `__call__`.
    **kwargs: other arguments of its `__call__`.

  Returns:
    Unbound layers with a method `deployed_constants`, in order of their calls.
  """
  layers: dict[tuple[str, ...], nn.Module] = {}

  def record(call, args, kwargs, context):
    layer = context.module
    if context.method_name == '__call__' and hasattr(
      layer, 'deployed_constants'
    ):
      layers.setdefault(layer.path, layer.clone(parent=None))
    return call(*args, **kwargs)

  def trace(*inputs):
    return model.init(jax.random.key(0), *inputs, **kwargs)

  with nn.intercept_methods(record):
    jax.eval_shape(trace, *inputs)
  return layers


def deployed_constants(
  layers: Mapping[tuple[str, ...], nn.Module],
  params: Mapping[str, Any],
  statistics: Mapping[str, Any],
) -> dict[str, Any]:
  """The whole collection `deployed` of a model.

  Args:
    layers: from `deployable_layers`.
    params: the model's collection `params`.
    statistics: its collection `batch_stats`.

  Returns:
    Nested dictionaries of int32 NumPy arrays.
  """
  params, statistics = jax.device_get((params, statistics))
  leaves: dict[tuple[str, ...], np.ndarray] = {}
  for path, layer in layers.items():
    made = layer.deployed_constants(_at(params, path), _at(statistics, path))
    leaves |= {(*path, name): value for name, value in made.items()}
  return traverse_util.unflatten_dict(leaves)


def _at(tree: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
  for name in path:
    tree = tree.get(name, {})
  return tree
