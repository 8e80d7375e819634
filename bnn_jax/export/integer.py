"""An exported network in 32-bit integers, batched and compiled: the fast judge.

It reads an export alone. Operands are packed 32 lanes to a number, and a word
of n lanes of which d differ has the sum n - 2 d.

Shape letters: B clips, C channels, G groups, K operands of one output, N
outputs, W words of one output, L numbers of a packed word.
"""

from collections.abc import Callable
import itertools

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from bnn_jax.export import specs

BATCH = 100
_LANES = 32
# Beyond this magnitude shift(a, s) + b saturates for every s >= 0.
_SATURATED = 2**18
_LOWEST = -(2**31)


def compiled(model: specs.Model) -> Callable[[np.ndarray], np.ndarray]:
  """Compiles a network.

  Args:
    model: the network, read from its export.

  Returns:
    A function from q, uint8 `[n, T, F]`, to int32 logits `[n, N]`.
  """
  @jax.jit
  def logits(q):
    return forward(model, q)[model.layers[-1].name]

  def run(q):
    return np.concatenate([
      np.asarray(logits(_filled(q[i : i + BATCH])))[: len(q) - i]
      for i in range(0, max(1, len(q)), BATCH)
    ])

  return run


def _filled(q: np.ndarray) -> np.ndarray:
  """A batch of `BATCH` clips, so that one program serves all."""
  missing = [(0, BATCH - len(q))] + [(0, 0)] * (q.ndim - 1)
  return np.pad(q, missing)


def intermediates(
  model: specs.Model, q: np.ndarray
) -> dict[str, np.ndarray]:
  """What every layer gives, by its name: int32 `[n, ...]`; bits are -1, +1."""
  made = jax.jit(lambda q: forward(model, q))(q)
  return {name: np.asarray(value) for name, value in made.items()}


def forward(model: specs.Model, q: jax.Array) -> dict[str, jax.Array]:
  """What every layer gives for clips `q` `[B, T, F]`; to be compiled."""
  made = {specs.INPUT: q.astype(jnp.int32)}
  by_name = {layer.name: layer for layer in model.layers}
  for layer in model.layers:
    inputs = [made[name] for name in layer.inputs]
    made[layer.name] = _apply(layer, by_name.get(layer.inputs[0]), *inputs)
  return made


def _apply(
  layer: specs.Layer, source: specs.Layer | None, x: jax.Array,
  *others: jax.Array,
) -> jax.Array:
  """One layer; `source` is the layer that gave `x`."""
  match layer:
    case specs.Thermometer():
      x = jnp.pad(x, ((0, 0), layer.around, (0, 0)))
      above = _signs(x[..., None] >= layer.thresholds)
      return above.reshape(*x.shape[:-1], -1)
    case specs.Conv():
      return _conv(layer, x)
    case specs.ShiftBatchNorm():
      return _saturate(
        _shift(x, layer.shift) + layer.bias, layer.stream.bits
      )
    case specs.Threshold():
      if isinstance(source, specs.Conv) and _is_popcount(source):
        x = (x + source.odd_words) >> 1
      return _signs(x >= layer.thresholds)
    case specs.Shortcut():
      picked = x[:, *(
        slice(before, size - after, step)
        for size, step, (before, after) in zip(
          x.shape[1:-1], layer.strides, layer.edges, strict=True
        )
      )]
      missing = layer.channels - x.shape[-1]
      return jnp.pad(picked, [(0, 0)] * (x.ndim - 1) + [(0, missing)])
    case specs.Slice():
      return x[..., layer.start : layer.start + layer.channels]
    case specs.Reshape():
      return x.reshape(len(x), *layer.shape)
    case specs.MaxPool():
      return _pooled(x, layer.window, lax.max, _LOWEST)
    case specs.AveragePool():
      return _pooled(x, layer.window, lax.add, 0) >> layer.shift
    case specs.Add():
      return _saturate(x + others[0], layer.stream.bits)
    case specs.ShiftPReLU():
      z = x - layer.g
      bent = jnp.where(z >= 0, z, z >> layer.k)
      return _saturate(bent + layer.h, layer.stream.bits)
    case specs.RSign():
      return _signs(x >= layer.theta)
    case specs.Classifier():
      pooled = x.sum(axis=tuple(range(1, x.ndim - 1)), dtype=jnp.int32)
      weights = 2 * layer.weights.astype(np.int32) - 1
      return pooled @ weights.T + layer.bias


def _signs(condition: jax.Array) -> jax.Array:
  return jnp.where(condition, 1, -1)


def _pooled(
  x: jax.Array, window: tuple[int, ...], operation: Callable, start: int
) -> jax.Array:
  """What an operation makes of windows side by side."""
  sizes = (1, *window, 1)
  return lax.reduce_window(
    x, np.int32(start), operation, sizes, sizes, 'VALID'
  )


def _saturate(v: jax.Array, bits: int) -> jax.Array:
  return jnp.clip(v, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _shift(a: jax.Array, s: np.ndarray) -> jax.Array:
  """Shifts; what would exceed 32 bits is held where the sum saturates."""
  held = jnp.clip(a, -_SATURATED, _SATURATED)
  return jnp.where(
    s >= 0, held << np.maximum(s, 0), a >> np.maximum(-s, 0)
  )


def _is_popcount(layer: specs.Conv) -> bool:
  return layer.accumulator.unit == 'popcount'


def _conv(layer: specs.Conv, x: jax.Array) -> jax.Array:
  """Adds word by word to registers `[B, *output, G, N / G]`."""
  lanes = np.array(layer.words)
  outputs, groups = len(layer.weights), layer.groups
  index, present = _lanes(lanes)
  x_words = _packed(_operands(layer, x > 0)[..., index], present)
  w = layer.weights.reshape(groups, outputs // groups, -1)
  w_words = _packed(jnp.asarray(w[..., index] > 0), present)
  start = jnp.zeros((groups, outputs // groups), jnp.int32)
  if layer.preload is not None:
    start = jnp.asarray(layer.preload.reshape(groups, -1))

  def body(acc, word):
    word_x, word_w, n = word
    unequal = lax.population_count(word_x[..., None, :] ^ word_w)
    d = unequal.astype(jnp.int32).sum(-1)
    u = n - 2 * d
    if _is_popcount(layer):
      u = (n - d) - (n >> 1)
    return _register(acc + u, layer.accumulator), None

  acc = jnp.broadcast_to(
    start, (*x_words.shape[1:-1], outputs // groups)
  )
  acc, _ = lax.scan(body, acc, (x_words, w_words, jnp.asarray(lanes)))
  if _is_popcount(layer):
    acc = 2 * acc - layer.odd_words
  return acc.reshape(*acc.shape[:-2], outputs)


def _register(v: jax.Array, accumulator: specs.Accumulator) -> jax.Array:
  low = -(2 ** (accumulator.bits - 1))
  if accumulator.overflow_mode == 'wrap':
    return ((v - low) & (2**accumulator.bits - 1)) + low
  if accumulator.overflow_mode == 'saturate':
    return jnp.clip(v, low, -low - 1)
  return v


def _lanes(lanes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Which operand is in each lane `[W, L * 32]`, and whether there is one."""
  width = -(-int(lanes.max()) // _LANES) * _LANES
  starts = np.concatenate([[0], np.cumsum(lanes)[:-1]])
  present = np.arange(width) < lanes[:, None]
  return np.where(present, starts[:, None] + np.arange(width), 0), present


def _packed(bits: jax.Array, present: np.ndarray) -> jax.Array:
  """Bits `[..., W, L * 32]` as uint32 `[W, ..., L]`; missing lanes are 0."""
  held = (bits & present).reshape(*bits.shape[:-1], -1, _LANES)
  places = jnp.uint32(1) << jnp.arange(_LANES, dtype=jnp.uint32)
  words = jnp.sum(jnp.where(held, places, 0), axis=-1, dtype=jnp.uint32)
  return jnp.moveaxis(words, -2, 0)


def _operands(layer: specs.Conv, x: jax.Array) -> jax.Array:
  """The ordered operands of each output, bits `[B, *output, G, K]`."""
  taps = [x]
  if layer.kernel:
    x = jnp.pad(x, ((0, 0), *layer.padding, (0, 0)))
    taps = [
      x[:, *itertools.starmap(slice, _places(layer, x.shape[1:-1], position))]
      for position in itertools.product(*map(range, layer.kernel))
    ]
  split = [tap.reshape(*tap.shape[:-1], layer.groups, -1) for tap in taps]
  return jnp.concatenate(split, axis=-1)


def _places(layer, padded, position):
  """(first, behind the last, stride) of one kernel position by axis."""
  return [
    (p * d, p * d + size - (k - 1) * d, stride)
    for p, d, k, stride, size in zip(
      position, layer.dilation, layer.kernel, layer.strides, padded,
      strict=True,
    )
  ]
