"""Everything that a step of training changes."""

import functools
from typing import Any

from flax import struct
import flax.linen as nn
import jax
from jax import sharding
import jax.numpy as jnp
import numpy as np
import optax

from bnn_jax.nn import layers
from bnn_jax.training import control as control_lib
from bnn_jax.training import losses


class TrainState(struct.PyTreeNode):
  """The state of a training.

  Attributes:
    step: int32 scalar, steps done.
    params: the network's parameters.
    batch_stats: its running statistics.
    inputs: what was fitted to the input once: its quantization (`lo`,
      `exponent`) and the network's own collection under `model`.
    control: of the overflow penalty, by layer.
    deployed: integers made from parameters and statistics when the state was
      last evaluated or saved.
    opt_state: of the optimizer.
    rng: data of the base key, uint32 `[2]`, which unlike a typed key can be
      written and shared by processes; step i draws from fold_in(key, i).
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  inputs: Any
  deployed: Any
  control: control_lib.Control
  opt_state: Any
  rng: jax.Array

  def key(self) -> jax.Array:
    """The key of the next step."""
    return jax.random.fold_in(jax.random.wrap_key_data(self.rng), self.step)

  def variables(self) -> dict[str, Any]:
    """The network's variable collections."""
    return {
      'params': self.params,
      'batch_stats': self.batch_stats,
      'inputs': self.inputs['model'],
      'deployed': self.deployed,
    }


def create(
  model: nn.Module,
  optimizer: optax.GradientTransformation,
  *,
  frames: int,
  bins: int,
  seed: int,
) -> TrainState:
  """A fresh state, whose inputs are still to be fitted.

  Args:
    model: the network.
    optimizer: its optimizer.
    frames: T of its input.
    bins: F of its input.
    seed: of weights and of the base key.

  Returns:
    The state at step 0.
  """
  init_key, rng = jax.random.split(jax.random.key(seed))
  q = jnp.zeros((1, frames, bins), jnp.uint8)
  # Evaluation mode creates the collection `deployed` too.
  variables = dict(_init(model, init_key, q))
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=variables['params'],
    batch_stats=variables.get('batch_stats', {}),
    inputs={
      'lo': jnp.zeros(()),
      'exponent': jnp.zeros((), jnp.int32),
      'model': variables.get('inputs', {}),
    },
    deployed=variables.get('deployed', {}),
    control=control_lib.create(_paths_of_sums(model, variables, q)),
    opt_state=optimizer.init(variables['params']),
    rng=jax.random.key_data(rng),
  )


@functools.partial(jax.jit, static_argnums=0)
def _init(model: nn.Module, key: jax.Array, q: jax.Array) -> Any:
  return model.init(key, q, train=False)


def _paths_of_sums(model: nn.Module, variables: Any, q: jax.Array) -> list[str]:
  """Paths of the layers with a register."""
  def observed(variables, q):
    return model.apply(
      variables, q, train=True, mutable=['batch_stats', 'sums']
    )[1].get('sums', {})
  return list(losses.by_layer(jax.eval_shape(observed, variables, q)))


def replicated() -> sharding.NamedSharding:
  """A copy on each device of all processes."""
  return sharding.NamedSharding(_mesh(), sharding.PartitionSpec())


def replicate(tree: Any) -> Any:
  """Puts a tree, equal in all processes, on each device of all of them."""
  place = replicated()

  def put(value):
    value = np.asarray(value)
    return jax.make_array_from_callback(
      value.shape, place, lambda index: value[index]
    )

  return jax.tree.map(put, tree)


def sharded() -> sharding.NamedSharding:
  """The leading axis spread over all devices of all processes."""
  return sharding.NamedSharding(_mesh(), sharding.PartitionSpec('data'))


def _mesh() -> sharding.Mesh:
  return sharding.Mesh(np.array(jax.devices()), ('data',))


def is_latent(params: Any) -> Any:
  """A tree of bools: which parameters are latent weights."""
  def named(path, _):
    return path[-1].key == layers.LATENT
  return jax.tree_util.tree_map_with_path(named, params)
