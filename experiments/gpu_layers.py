"""The operations on one layer that are timed on a GPU."""

import math

import jax.numpy as jnp

from bnn_jax.nn import accumulator
from bnn_jax.nn import geometry
from bnn_jax.nn import products
from bnn_jax.nn.kernels import lax_engine
from bnn_jax.nn.kernels import pallas_gpu

BITS = 8
# (op, simd, engine).
BASE = 'exact_int8', 0, 'XLA'
FLOAT = 'exact_float32', 0, 'XLA'


def from_signs(shape, kind, x, w):
  """Float32 results of float32 signs."""
  if kind == BASE:
    operands = rows(shape, x.astype(jnp.int8))
    found = _int8(shape, operands, w.astype(jnp.int8))
    return [value.astype(jnp.float32) for value in found]
  return run(shape, kind, x, w)


def run(shape, kind, x, w):
  """The operation itself."""
  op, simd, engine = kind
  if kind == BASE:
    return _int8(shape, x, w)
  resolved = geometry.geometry(shape.x, shape.w, **shape.geometry)
  if kind == FLOAT:
    return products.exact(x, w, resolved)
  register = accumulator.Accumulator(BITS, op, simd)
  if engine == 'pallas':
    return pallas_gpu.run(x, w, None, register, resolved)[0]
  if engine == 'words':
    return _word_products(shape, register, x, w)
  return lax_engine.run(x, w, None, register, resolved, False)[0].astype(
    jnp.float32
  )


def rows(shape, x):
  """`[G, M, K]`: the operands of every output in a row."""
  resolved = geometry.geometry(shape.x, shape.w, **shape.geometry)
  operands = geometry.operands(x, resolved)
  operands = operands.reshape(-1, *operands.shape[-2:])
  return jnp.moveaxis(operands, 1, 0)


def _int8(shape, operands, w):
  groups = shape.geometry.get('groups', 1)
  weights = geometry.grouped_weights(w, groups)
  return [
    jnp.matmul(operands[g], weights[g], preferred_element_type=jnp.int32)
    for g in range(groups)
  ]


def _word_products(shape, register, x, w):
  """One product a word by XLA, and the register around them."""
  operands = rows(shape, x.astype(jnp.int8))[0]
  weights = geometry.grouped_weights(w.astype(jnp.int8), 1)[0]
  taps = math.prod(shape.w[:-2])
  held = jnp.zeros((operands.shape[0], shape.w[-1]), jnp.int32)
  for word in geometry.words(taps, shape.w[-2], register.simd):
    lanes = slice(word.start, word.stop)
    held = register.register(held + jnp.matmul(
      operands[:, lanes], weights[lanes], preferred_element_type=jnp.int32
    ))
  return held.astype(jnp.float32)
