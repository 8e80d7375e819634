"""A gated recurrent unit whose projections are those of a variant.

Cho et al. 2014 (arXiv 1406.1078). A binary unit reads the signs of the input
and of the state, which itself is real, as are gates and tanh. A product inside
the recurrence has a learned factor where others have a normalization: there
are no batch statistics of a state.

Shape letters: B batch, T frames, C channels, U units.
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from bnn_jax.models import toolbox
from bnn_jax.nn import layers


class Gru(nn.Module):
  """One layer in one direction.

  Attributes:
    units: U.
    tools: its layers.
    reset_after: the reset gate acts behind the recurrent product, which has a
      bias of its own (cuDNN's form), not in front of it.
    reverse: from the last frame to the first; the output keeps its order.
  """

  NOT_EXPORTED: ClassVar[str] = 'has gates and a state of reals'

  units: int
  tools: toolbox.Toolbox
  reset_after: bool = False
  reverse: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `[B, T, C]` to the states `[B, T, U]`."""
    projected = self.tools.unit(3 * self.units, bias=True, name='input')(
      x, mode
    )
    step = nn.scan(
      _Step,
      variable_broadcast=('params', 'deployed', layers.RANGES),
      variable_axes={'sums': 1, 'margins': 1, 'telemetry': 1},
      split_rngs={'params': False, layers.GATES: False},
      in_axes=(1, nn.broadcast), out_axes=1, reverse=self.reverse,
    )(self.units, self.tools, self.reset_after, name='step')
    start = jnp.zeros((x.shape[0], self.units))
    _, states = step(start, projected, mode)
    return states


class _Step(nn.Module):
  """One frame."""

  units: int
  tools: toolbox.Toolbox
  reset_after: bool

  @nn.compact
  def __call__(self, state, projected, mode):
    gates, candidate = jnp.split(projected, [2 * self.units], axis=-1)
    if self.reset_after:
      recurrent = self._product(state, 3, 'recurrent', mode)
      more, behind = jnp.split(recurrent, [2 * self.units], axis=-1)
      reset, update = jnp.split(jax.nn.sigmoid(gates + more), 2, axis=-1)
      behind = reset * behind
    else:
      more = self._product(state, 2, 'gates', mode)
      reset, update = jnp.split(jax.nn.sigmoid(gates + more), 2, axis=-1)
      behind = self._product(reset * state, 1, 'candidate', mode)
    new = jnp.tanh(candidate + behind)
    state = update * state + (1 - update) * new
    return state, state

  def _product(self, x, count, name, mode):
    """Projects `[B, U]` to `[B, count * U]`."""
    tools = self.tools
    bits = tools.sign(name=f'{name}_sign')(
      x, train=mode.train, progress=mode.progress
    )
    a = tools.product(
      count * self.units, (), bias=self.reset_after, name=name
    )(bits, train=mode.train, progress=mode.progress)
    return tools.gain(self.units, name=f'{name}_gain')(a)


class Bidirectional(nn.Module):
  """Two layers of opposite directions side by side.

  Attributes:
    units: U of each.
    tools: their layers.
  """

  units: int
  tools: toolbox.Toolbox

  @nn.compact
  def __call__(self, x: jax.Array, mode: toolbox.Mode) -> jax.Array:
    """From `[B, T, C]` to `[B, T, 2 U]`."""
    return jnp.concatenate([
      Gru(
        self.units, self.tools, reset_after=True, reverse=reverse, name=name
      )(x, mode)
      for name, reverse in (('forward', False), ('backward', True))
    ], axis=-1)
