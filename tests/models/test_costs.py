import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import pytest

from bnn_jax import errors
from bnn_jax.models import costs
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import geometry
from bnn_jax.nn import marks
from bnn_jax.nn import products


def found(function, *shapes):
  inputs = [jax.ShapeDtypeStruct(shape, 'float32') for shape in shapes]
  return costs.products(jax.make_jaxpr(function)(*inputs))


def macs(function, *shapes):
  return costs.total(found(function, *shapes))


def of_module(module, *shapes):
  inputs = [jax.ShapeDtypeStruct(shape, 'float32') for shape in shapes]
  variables = jax.eval_shape(module.init, jax.random.key(0), *inputs)
  return costs.products(jax.make_jaxpr(module.apply)(variables, *inputs))


def test_dense():
  (product,) = of_module(nn.Dense(7), (3, 5))
  assert product.macs == 3 * 5 * 7
  assert product.operands == 5
  assert (product.weight_bits, product.input_bits) == (32, 32)
  assert product.register is None


@pytest.mark.parametrize('module, shape, expected, operands', [
  (nn.Conv(6, (3,)), (1, 10, 4), 10 * 6 * 3 * 4, 12),
  # ceil(10 / 2) outputs of SAME, floor((10 - 3) / 2) + 1 of VALID.
  (nn.Conv(6, (3,), strides=2), (1, 10, 4), 5 * 6 * 12, 12),
  (nn.Conv(6, (3,), strides=2, padding='VALID'), (1, 10, 4), 4 * 6 * 12, 12),
  (nn.Conv(6, (10, 4), strides=(2, 1)), (1, 49, 10, 1), 25 * 10 * 6 * 40, 40),
  (nn.Conv(6, (3,), feature_group_count=2), (1, 10, 4), 10 * 6 * 3 * 2, 6),
  (nn.Conv(8, (3, 3), feature_group_count=4), (1, 5, 6, 4), 30 * 8 * 9, 9),
  # (3 - 1) * 4 + 1 frames of each sum.
  (nn.Conv(6, (3,), kernel_dilation=4, padding='VALID'), (1, 10, 4),
   2 * 6 * 12, 12),
])
def test_convolutions(module, shape, expected, operands):
  (product,) = of_module(module, shape)
  assert product.macs == expected
  assert product.operands == operands


def test_recurrent_network_counts_every_step():
  # Three gates of each input and of each state.
  products = of_module(nn.RNN(nn.GRUCell(8)), (1, 25, 5))
  assert costs.total(products) == 25 * 3 * 8 * (5 + 8)
  assert {product.operands for product in products} == {5, 8}


def test_attention_counts_scores_and_values():
  module = nn.MultiHeadDotProductAttention(num_heads=2, use_bias=False)
  projections = 4 * 9 * 6 * 6
  scores = values = 9 * 9 * 6
  assert costs.total(of_module(module, (1, 9, 6))) == (
    projections + scores + values
  )


def test_einsum_with_batch_axes():
  assert macs(
    lambda a, b: jnp.einsum('bhqd,bhkd->bhqk', a, b), (2, 3, 4, 5), (2, 3, 6, 5)
  ) == 2 * 3 * 4 * 6 * 5


def test_calls_are_entered():
  @jax.custom_jvp
  def square(x):
    return x @ x

  @jax.custom_vjp
  def cube(x):
    return x @ x @ x

  square.defjvp(lambda x, t: (square(*x), *t))
  cube.defvjp(lambda x: (cube(x), None), lambda _, t: (t,))
  for wrap in (square, jax.jit(square), jax.checkpoint(square)):
    assert macs(wrap, (4, 4)) == 64
  assert macs(cube, (4, 4)) == 2 * 64
  assert macs(jax.vmap(square), (5, 4, 4)) == 5 * 64


def test_nested_scans_multiply():
  def step(x, _):
    return lax.scan(lambda y, _: (y @ y, None), x, length=3)[0], None

  assert macs(lambda x: lax.scan(step, x, length=5)[0], (4, 4)) == 15 * 64


def test_larger_branch():
  def either(x):
    return lax.cond(x[0, 0] > 0, lambda y: y @ y, lambda y: y @ y @ y, x)

  assert macs(either, (4, 4)) == 2 * 64


@pytest.mark.parametrize('first, limit, step, trips', [
  (0, 5, 1, 5), (2, 9, 3, 3), (2, 8, 3, 2), (5, 5, 1, 0),
])
def test_counted_while_loops(first, limit, step, trips):
  def by_literal(x):
    return lax.while_loop(
      lambda c: c[0] < limit, lambda c: (c[0] + step, c[1] @ c[1]), (first, x)
    )

  def by_carry(x):
    return lax.while_loop(
      lambda c: c[0] < c[1], lambda c: (step + c[0], c[1], c[2] @ c[2]),
      (first, limit, x),
    )

  assert macs(by_literal, (4, 4)) == trips * 64
  assert macs(by_carry, (4, 4)) == trips * 64


@pytest.mark.parametrize('loop', [
  lambda x: lax.while_loop(lambda y: y[0, 0] < 5, lambda y: y @ y, x),
  lambda x: lax.while_loop(
    lambda c: c[0] < 5, lambda c: (c[0] * 2, c[1] @ c[1]), (1, x)),
  lambda x: lax.while_loop(
    lambda c: c[0] < c[1], lambda c: (c[0] + 1, c[1] - 1, c[2] @ c[2]),
    (0, 9, x)),
  lambda x: lax.fori_loop(0, x[0, 0].astype(int), lambda _, y: y @ y, x),
])
def test_other_while_loops_are_refused(loop):
  with pytest.raises(errors.UserError, match='a while loop of this network'):
    found(loop, (4, 4))


def test_while_loop_without_products_may_be_any():
  assert macs(
    lambda x: lax.while_loop(lambda y: y[0] < 5, lambda y: 2 * y, x), (4,)
  ) == 0


def test_dtypes_are_the_widths_of_what_is_not_marked():
  (product,) = costs.products(jax.make_jaxpr(
    lambda x, w: lax.dot(x, w, preferred_element_type=jnp.int32)
  )(jnp.zeros((2, 3), 'int8'), jnp.zeros((3, 4), 'int16')))
  assert (product.weight_bits, product.input_bits) == (16, 8)


def test_marks():
  def function(x):
    with marks.operands(1, 8), marks.layer('a/b'):
      x = x @ x
      with marks.operands(2, 4), marks.register(99, 7, 8):
        x = jax.jit(lambda x: x @ x)(x)
      with marks.simulation():
        x = jax.jit(lambda x: x @ x)(x)
    with marks.elementwise(9):
      x = x * x
    return x * x

  outer, inner, last = found(function, (4, 4))
  assert (outer.layer, outer.weight_bits, outer.input_bits) == ('a/b', 1, 8)
  assert (inner.layer, inner.weight_bits, inner.input_bits) == ('a/b', 2, 4)
  assert inner.register == marks.Register(99, 7, 8) and outer.register is None
  assert (outer.operands, inner.operands, last.operands) == (4, 99, 9)
  assert last.macs == 16 and last.layer == ''


@pytest.mark.parametrize('kernel, strides, dilation, groups, channels, n', [
  ((3,), 1, 1, 1, 4, 6), ((3,), 2, 1, 2, 4, 6), ((3, 5), 1, 2, 4, 4, 8),
  ((3, 3), (2, 1), 1, 1, 2, 6), ((1,), 1, 1, 20, 40, 20), ((5,), 2, 1, 6, 6, 6),
])
def test_exact_products_however_they_are_computed(
  kernel, strides, dilation, groups, channels, n
):
  x_shape = (1, *((10,) * len(kernel)), channels)
  w_shape = (*kernel, channels // groups, n)
  shape = geometry.geometry(
    x_shape, w_shape, strides, 'SAME', dilation, groups
  )
  convolution = macs(
    lambda x, w: lax.conv_general_dilated(
      x, w, shape.strides, 'SAME', rhs_dilation=shape.dilation,
      dimension_numbers=('NWC', 'WIO', 'NWC') if len(kernel) == 1 else
      ('NHWC', 'HWIO', 'NHWC'), feature_group_count=groups,
    ), x_shape, w_shape,
  )
  fast = found(lambda x, w: products.exact(x, w, shape), x_shape, w_shape)
  assert costs.total(fast) == convolution > 0
  assert costs.by_width(fast) == {'1x1': convolution}


@pytest.mark.parametrize('engine', ['lax', None])
@pytest.mark.parametrize('mode', accumulator_lib.MODES)
def test_engines_add_nothing(engine, mode):
  register = accumulator_lib.Accumulator(6, mode, 8)

  def convolve(x, w):
    return accumulator_lib.conv(x, w, register, engine=engine)

  (product,) = found(convolve, (1, 10, 4), (3, 4, 8))
  assert product.macs == 10 * 8 * 12
  # -12..12 takes 5 bits.
  assert product.register == marks.Register(12, 6, 5)


def test_effort():
  def product(**fields):
    return costs.Product(**{
      'layer': '', 'macs': 10, 'operands': 36, 'weight_bits': 1,
      'input_bits': 8, 'register': None, **fields,
    })

  assert product().ace == 10 * 8
  # 36 products of 9 bits are summed in 15.
  assert product().bit_operations == 10 * (8 + 15)
  narrow = product(register=marks.Register(36, 7, 9))
  assert narrow.bit_operations == 10 * (8 + 7)
  assert costs.by_width([product(), product(input_bits=1), product()]) == {
    '1x1': 10, '1x8': 20,
  }
