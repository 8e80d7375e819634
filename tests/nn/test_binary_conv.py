import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import layers

NARROW = accumulator_lib.Accumulator(4, 'wrap', 4)
REGISTERS = [
  NARROW, accumulator_lib.Accumulator(3, 'saturate', 4),
  accumulator_lib.Accumulator(5, 'saturate', 3, 'popcount'),
  accumulator_lib.Accumulator(4, 'exact', 4),
]
# Of the parameter; 16 times as much is rounded to 0, 0, 1, -3, 7 and -8, where
# the ends are those of four bits.
PRELOADS = [0.0, 0.03, 0.04, -0.2, 9.0, -9.0]


def conv(register=NARROW, **fields):
  return layers.BinaryConv(
    len(PRELOADS), (5,), accumulator=register, **fields
  )


def operands(seed=0):
  """Bits `[8, 7, 3]` and latent weights for them."""
  random = np.random.default_rng(seed)
  x = random.choice(np.float32([-1, 1]), (8, 7, 3))
  return jnp.asarray(x), random.normal(size=(5, 3, 6)).astype(np.float32)


def exact_of(register):
  return accumulator_lib.Accumulator(register.bits, 'exact', register.simd,
                                     register.unit)


def preloaded(register=NARROW, **fields):
  """A layer with a preload, its input, parameters and integers."""
  layer = conv(register, learn_preload=True, **fields)
  x, latent = operands()
  params = {'latent': latent, 'preload': np.float32(PRELOADS)}
  constants = layer.deployed_constants(params, {})
  return layer, x, params, constants


@pytest.mark.parametrize('register', REGISTERS, ids=str)
def test_a_learned_preload_trains_on_what_is_deployed(register):
  layer, x, params, constants = preloaded(register)
  assert constants['preload'].dtype == np.int32
  assert constants['preload'].tolist() == [0, 0, 1, -3, 144, -144]
  trained = layer.apply({'params': params}, x, train=True)
  evaluated = layer.apply(
    {'params': params, 'deployed': constants}, x, train=False
  )
  assert np.array_equal(trained, evaluated)
  start = np.clip([0, 0, 1, -3, 144, -144], register.minimum, register.maximum)
  expected = accumulator_lib.conv(
    x, jnp.where(params['latent'] >= 0, 1.0, -1.0), register,
    jnp.asarray(start),
  )
  assert np.array_equal(trained, expected)
  without = conv(register).apply({'params': params}, x)
  assert not np.array_equal(trained, without)


def test_a_preload_moves_the_exact_sums():
  layer, x, params, _ = preloaded()
  _, seen = layer.apply({'params': params}, x, train=True, mutable='sums')
  _, plain = conv().apply({'params': params}, x, mutable='sums')
  moved = seen['sums']['relative'][0] - plain['sums']['relative'][0]
  # As shares of half the range, which is 8.
  start = np.array([0, 0, 1, -3, 7, -8]) / 8
  assert np.array_equal(moved, np.broadcast_to(start, moved.shape))


@pytest.mark.parametrize('register', REGISTERS, ids=str)
def test_a_preload_has_the_gradient_of_the_sown_sums_alone(register):
  layer, x, params, _ = preloaded(register)
  random = np.random.default_rng(1)
  weights = jnp.asarray(random.integers(-9, 9, (8, 7, 6)), jnp.float32)

  def weighted(preload):
    y, seen = layer.apply(
      {'params': params | {'preload': preload}}, x, train=True, mutable='sums'
    )
    sown = jnp.sum(seen['sums']['relative'][0] * weights)
    return jnp.stack([jnp.sum(y * weights), sown])

  # Beyond the range too, or what left it would never come back.
  of_result, of_sums = jax.jacobian(weighted)(jnp.asarray(PRELOADS))
  assert not of_result.any()
  each = layers.PRELOAD_UNIT / -register.minimum
  assert np.array_equal(of_sums, each * weights.sum((0, 1)))


def test_a_penalty_reaches_the_preload():
  layer, x, params, _ = preloaded()

  def above(preload):
    _, seen = layer.apply(
      {'params': params | {'preload': preload}}, x, train=True, mutable='sums'
    )
    return jnp.sum(seen['sums']['relative'][0])

  gradient = jax.grad(above)(jnp.zeros(6))
  assert gradient.tolist() == [8 * 7 * layers.PRELOAD_UNIT / 8] * 6


def test_no_preload_is_made_where_none_is_learned():
  x, _ = operands()
  variables = conv().init(jax.random.key(0), x)
  assert {*variables['params']} == {'latent'} and {*variables} == {'params'}
  assert conv().deployed_constants(variables['params'], {}) == {}
  fresh = conv(learn_preload=True).init(jax.random.key(0), x)
  assert fresh['params']['preload'].tolist() == [0.0] * 6
  assert fresh['deployed']['preload'].dtype == np.int32


def gated(progress, key=0, register=NARROW, gate_share=0.5, **kwargs):
  """What passes the gates; what does where all are open, or all closed."""
  layer, x, params, constants = preloaded(register, gate_share=gate_share)
  variables = {'params': params, 'deployed': constants}
  rngs = {} if key is None else {layers.GATES: jax.random.key(key)}
  y = layer.apply(
    variables, x, progress=progress, rngs=rngs, **({'train': True} | kwargs)
  )
  narrow = layer.apply(variables, x)
  # The same start, which 144 would not be on a register without limits.
  start = jnp.clip(constants['preload'], register.minimum, register.maximum)
  exact = accumulator_lib.conv(
    x, jnp.where(params['latent'] >= 0, 1.0, -1.0), exact_of(register), start
  )
  assert (narrow != exact).any((0, 1)).all()
  return y, narrow, exact


@pytest.mark.parametrize('register', REGISTERS[:2], ids=str)
def test_gates_are_exact_at_first_and_narrow_at_last(register):
  y, _, exact = gated(0.0, register=register)
  assert np.array_equal(y, exact)
  for progress in (0.5, 0.75, 1.0):
    y, narrow, _ = gated(progress, register=register)
    assert np.array_equal(y, narrow)


def test_gates_are_drawn_channel_by_channel():
  opened = []
  for key in range(60):
    y, narrow, exact = gated(0.15, key)
    is_narrow = (y == narrow).all((0, 1))
    assert ((y == exact).all((0, 1)) == ~is_narrow).all()
    opened.append(is_narrow)
  # 0.15 of a share of 0.5: three in ten, each by itself.
  share = np.mean(opened)
  assert share == pytest.approx(0.3, abs=0.08)
  assert len(np.unique(opened, axis=0)) > 15
  assert np.array_equal(gated(0.15, 7)[0], gated(0.15, 7)[0])


@pytest.mark.parametrize('settings', [
  {'key': None},
  {'train': False},
  {'gate_share': 0.0},
])
def test_without_gates_all_is_narrow(settings):
  y, narrow, _ = gated(0.0, **settings)
  assert np.array_equal(y, narrow)


def test_gates_let_the_gradient_of_the_exact_sum_through():
  x, latent = operands()
  layer = conv(gate_share=0.5)

  def gradient(progress):
    return jax.grad(lambda latent: jnp.sum(layer.apply(
      {'params': {'latent': latent}}, x, train=True, progress=progress,
      rngs={layers.GATES: jax.random.key(0)},
    )))(latent)

  found = gradient(0.1)
  assert found.any()
  # Straight through, a narrow result has the derivative of the exact one.
  assert np.array_equal(found, gradient(1.0))


def ranged(factor, register, train=True, **fields):
  layer, x, params, constants = preloaded(register, **fields)
  variables = {'params': params, 'deployed': constants}
  if factor is not None:
    variables[layers.RANGES] = {'factor': jnp.float32(factor)}
  return layer.apply(variables, x, train=train)


@pytest.mark.parametrize('register', [
  *REGISTERS[:2], accumulator_lib.Accumulator(4, 'wrap', 3, 'popcount'),
], ids=str)
def test_a_range_shrinks_to_the_register(register):
  narrow = ranged(None, register)
  assert np.array_equal(ranged(1.0, register), narrow)
  # The start of a register is one that it holds, whatever its range.
  _, x, params, constants = preloaded(register)
  start = jnp.clip(constants['preload'], register.minimum, register.maximum)
  exact = accumulator_lib.conv(
    x, jnp.where(params['latent'] >= 0, 1.0, -1.0), exact_of(register), start
  )
  assert np.array_equal(ranged(64.0, register), exact)
  between = ranged(1.5, register)
  assert (between != narrow).any() and (between != exact).any()
  assert np.array_equal(ranged(64.0, register, train=False), narrow)


@pytest.mark.parametrize('gradient, passed', [
  ('straight_through', 1.0), ('clip', 0.0),
])
def test_a_wide_range_has_the_gradient_of_the_register(gradient, passed):
  register = accumulator_lib.Accumulator(3, 'saturate', gradient=gradient)

  def through(value, factor):
    return accumulator_lib.widened(value, register, 0, factor)

  for factor in (1.0, 2.0):
    inside, outside = jnp.float32(4 * factor - 1), jnp.float32(4 * factor + 1)
    assert jax.grad(through)(inside, factor) == 1.0
    assert jax.grad(through)(outside, factor) == passed
    assert through(outside, factor) == 4 * factor - 1
