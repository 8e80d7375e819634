"""Operands of any type and of no example, and preloads of a wrong shape."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.nn import accumulator
from tests.contract import cases
from tests.contract import engines


@pytest.mark.parametrize('dtype', [jnp.int8, jnp.bfloat16])
@pytest.mark.parametrize('mode', cases.MODES)
@pytest.mark.parametrize('engine', engines.NAMES)
def test_narrow_operands_do_not_narrow_the_sums(engine, mode, dtype):
  # 301 is no int8, and no bfloat16 either.
  x, w = jnp.ones((1, 301), dtype), jnp.ones((301, 9), dtype)
  preload = jnp.asarray([0, 1, 2, 3, 4, 5, 6, 7, -128], dtype)
  register = accumulator.Accumulator(16, mode, 64)
  y = engines.through(engine, x, w, register, preload)
  assert y.result.dtype == y.exact.dtype == jnp.float32
  sums = [[301, 302, 303, 304, 305, 306, 307, 308, 173]]
  assert cases.integers(y.result) == cases.integers(y.exact) == sums
  kernel = engines.through(engine, x[:, None], w[None], register, preload)
  assert cases.integers(kernel.result) == [sums]


@pytest.mark.parametrize('mode', cases.MODES)
@pytest.mark.parametrize('engine', engines.NAMES)
def test_a_batch_of_none(engine, mode):
  register = accumulator.Accumulator(4, mode, 8)
  for x, w, options, expected in (
    ((0, 70), (70, 9), {}, (0, 9)),
    ((0, 8, 12), (3, 6, 16), {'groups': 2, 'strides': 2}, (0, 4, 16)),
    ((0, 3, 4, 5), (1, 1, 5, 8), {}, (0, 3, 4, 8)),
  ):
    x, w = jnp.ones(x), jnp.ones(w)
    preload = jnp.zeros(w.shape[-1])
    run = jax.jit(functools.partial(
      engines.through, engine, register=register, **options
    ))
    y = run(x, w, preload=preload)
    assert y.result.shape == y.exact.shape == expected
    slope = jax.grad(lambda w, x=x, run=run: jnp.sum(run(x, w).result))(w)
    assert not np.any(slope)
  none = accumulator.telemetry(jnp.ones((0, 8, 5)), jnp.ones((3, 5, 9)),
                               register)
  assert cases.integers(jnp.stack(none)) == [0] * 5
  x = jnp.ones((2, 0, 70))
  y = accumulator.matmul(x, jnp.ones((70, 9)), register)
  assert y.shape == (2, 0, 9)


@pytest.mark.parametrize('length', [(), (1,), (8,), (10,), (1, 9)])
@pytest.mark.parametrize('engine', engines.NAMES)
def test_a_preload_of_another_length_is_refused(engine, length):
  register = accumulator.Accumulator(4, 'saturate')
  with pytest.raises(errors.UserError, match='preload of shape .* 9 outputs'):
    engines.through(
      engine, jnp.ones((2, 5)), jnp.ones((5, 9)), register, jnp.zeros(length)
    )
