"""Every integer of `accumulator` against the oracle."""

import functools

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.nn import accumulator
from bnn_jax.nn import geometry
from bnn_jax.nn.kernels import choice
from tests.contract import cases
from tests.contract import oracle

SHAPES = {
    **{f'dense {k}': v for k, v in cases.DENSE.items()},
    **{f'1-D {k}': v for k, v in cases.CONV_1D.items()},
    **{f'2-D {k}': v for k, v in cases.CONV_2D.items()},
    **{f'wide {k}': v for k, v in cases.WIDE.items()},
}


def dense(x, w, register, preload=None):
  y = accumulator.matmul(
      jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32), register,
      None if preload is None else jnp.asarray(preload, jnp.float32),
  )
  return cases.integers(y)


@pytest.mark.parametrize('shape', SHAPES.values(), ids=SHAPES.keys())
@hypothesis.given(data=st.data())
@cases.FEW
def test_results_and_telemetry_equal_the_oracle(shape, data):
  case = data.draw(cases.cases(shape))
  assert cases.agrees(cases.jitted_engine, case, cases.oracle_engine(case))


@pytest.mark.parametrize('mode', cases.MODES)
@pytest.mark.parametrize('unit', cases.UNITS)
@pytest.mark.parametrize('simd', [*cases.SIMDS, 70])
def test_each_mode_unit_and_simd(mode, unit, simd):
  shape = cases.CONV_1D['wide']
  x = cases.fill('mostly ones', shape.x, 3)
  w = cases.fill('mostly ones', shape.w, 4)
  machine = oracle.Machine(6, mode, simd, unit)
  case = cases.Case(x, w, machine, [31, -32], shape.geometry)
  expected = cases.oracle_engine(case)
  assert expected.telemetry[1] > 0
  assert cases.agrees(cases.jax_engine, case, expected)


@pytest.mark.parametrize('mode', cases.MODES)
@pytest.mark.parametrize('unit', cases.UNITS)
@pytest.mark.parametrize('bits', range(2, 25))
def test_each_width_on_both_edges(bits, unit, mode):
  low, high = oracle.minimum(bits), oracle.maximum(bits)
  if unit == 'popcount' and bits == 24:
    pytest.skip('a popcount register has 23 bits at most')
  # Popcount words of two lanes: +-1 on the register too, and m = 0.
  lanes = 2 if unit == 'popcount' else 1
  machine = oracle.Machine(bits, mode, lanes, unit)
  x = np.ones((2, 2 * lanes), np.int8)
  x[1] = -1
  w = np.ones((2 * lanes, 4), np.int8)
  case = cases.Case(x, w, machine, [high - 1, high, low + 1, low], {})
  expected = cases.oracle_engine(case)
  assert expected.telemetry[1] > 0
  assert cases.agrees(cases.jax_engine, case, expected)


@pytest.mark.parametrize(
    ('mode', 'expected'),
    [('exact', [9, -9]), ('wrap', [-7, 7]), ('saturate', [7, -8])],
)
def test_nine_equal_products_in_four_bits(mode, expected):
  register = accumulator.Accumulator(4, mode, 1)
  assert dense(np.ones((9,)), np.array([[1, -1]] * 9), register) == expected


def test_saturation_depends_on_the_order():
  register = accumulator.Accumulator(4, 'saturate', 1)
  x = np.array([[1] * 9 + [-1] * 9, [-1] * 9 + [1] * 9])
  assert dense(x, np.ones((18, 1)), register) == [[-2], [1]]


def test_padding_is_minus_one():
  x = jnp.ones((1, 1, 1))
  w = jnp.ones((3, 1, 1))
  y = accumulator.conv(x, w, accumulator.Accumulator())
  assert cases.integers(y) == [[[-1]]]


@hypothesis.given(
    data=st.data(), bits=st.integers(2, 8), unit=st.sampled_from(cases.UNITS),
    simd=st.sampled_from(cases.SIMDS),
)
@cases.CONTRACT
def test_wrap_is_one_reduction_in_any_order(data, bits, unit, simd):
  register = accumulator.Accumulator(bits, 'wrap', simd, unit)
  x, w = data.draw(cases.operands(cases.DENSE['partial word']))
  order = data.draw(st.permutations(range(13)))
  y = dense(x, w, register)
  assert dense(x[:, order], w[order], register) == y
  if unit == 'dot':
    exact = (x.astype(int) @ w.astype(int)).tolist()
    assert y == [[oracle.wrap(v, bits) for v in row] for row in exact]


@hypothesis.given(data=st.data(), bits=st.integers(2, 5))
@cases.CONTRACT
def test_saturation_equals_a_tree_of_clipped_additions(data, bits):
  x, w = data.draw(cases.operands(cases.DENSE['partial word']))
  register = accumulator.Accumulator(bits, 'saturate', 1)
  low, high = oracle.minimum(bits), oracle.maximum(bits)

  def tree(maps):
    if len(maps) == 1:
      return maps[0]
    half = len(maps) // 2
    (a1, l1, h1), (a2, l2, h2) = tree(maps[:half]), tree(maps[half:])
    return (
        a1 + a2,
        oracle.clip(l1 + a2, l2, h2),
        oracle.clip(h1 + a2, l2, h2),
    )

  expected = [
      [
          oracle.clip(*tree([(int(a * b), low, high)
                             for a, b in zip(row, column, strict=True)]))
          for column in w.T
      ]
      for row in x
  ]
  assert dense(x, w, register) == expected


@hypothesis.given(
    data=st.data(), unit=st.sampled_from(cases.UNITS),
    simd=st.sampled_from(cases.SIMDS),
)
@cases.CONTRACT
def test_modes_are_equal_where_no_prefix_can_leave_the_range(
    data, unit, simd
):
  # K = 15 = 2^(5-1) - 1.
  x, w = data.draw(cases.operands(cases.CONV_1D['same']))
  results = [
      cases.integers(
          accumulator.conv(
              jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32),
              accumulator.Accumulator(5, mode, simd, unit),
          )
      )
      for mode in cases.MODES
  ]
  assert results[0] == results[1] == results[2]


@hypothesis.given(
    data=st.data(), bits=st.integers(2, 8), simd=st.sampled_from((2, 8, 64))
)
@cases.CONTRACT
def test_wrapping_popcount_is_a_dot_register_of_one_more_bit(
    data, bits, simd
):
  x, w = data.draw(cases.operands(cases.DENSE['whole word']))
  popcount = accumulator.Accumulator(bits, 'wrap', simd, 'popcount')
  dot = accumulator.Accumulator(bits + 1, 'wrap', simd)
  assert dense(x, w, popcount) == dense(x, w, dot)


@pytest.mark.parametrize('mode', cases.MODES)
@pytest.mark.parametrize('unit', cases.UNITS)
def test_jit_and_vmap_give_the_same_integers(mode, unit):
  shape = cases.CONV_2D['groups']
  x = jnp.asarray(cases.fill('mostly ones', (5, *shape.x), 1), jnp.float32)
  w = jnp.asarray(cases.fill('mostly ones', shape.w, 2), jnp.float32)
  preload = jnp.asarray([1, -2, 0, 1, -1, -2], jnp.float32)
  run = functools.partial(
      accumulator.conv, accumulator=accumulator.Accumulator(2, mode, 3, unit),
      preload=preload, **shape.geometry,
  )
  one_by_one = [cases.integers(run(clip, w)) for clip in x]
  mapped = jax.jit(jax.vmap(run, (0, None)))(x, w)
  assert cases.integers(mapped) == one_by_one


def test_results_are_float32():
  register = accumulator.Accumulator()
  x, w = jnp.ones((2, 3, 4)), jnp.ones((4, 5))
  assert accumulator.matmul(x, w, register).dtype == jnp.float32
  w = jnp.ones((1, 4, 5))
  assert accumulator.conv(x, w, register).dtype == jnp.float32


def test_defaults_and_range():
  register = accumulator.Accumulator()
  assert register == accumulator.Accumulator(16, 'exact', 64, 'dot')
  assert (register.minimum, register.maximum) == (-32768, 32767)
  narrow = accumulator.Accumulator(2)
  assert (narrow.minimum, narrow.maximum) == (-2, 1)
  assert hash(narrow) == hash(accumulator.Accumulator(bits=2))


@pytest.mark.parametrize(
    ('field', 'value'),
    [('bits', 1), ('bits', 25), ('bits', 0), ('overflow_mode', 'clip'),
     ('simd', 0), ('simd', -1), ('unit', 'sum')],
)
def test_an_impossible_register_is_refused_by_name(field, value):
  with pytest.raises(errors.UserError) as error:
    accumulator.Accumulator(**{field: value})
  assert field in str(error.value)
  assert str(value) in str(error.value)


def test_a_popcount_register_has_23_bits_at_most():
  with pytest.raises(errors.UserError, match="bits=24 .* unit='popcount'"):
    accumulator.Accumulator(24, unit='popcount')
  # An odd result of the widest register is an integer still.
  widest = accumulator.Accumulator(23, 'wrap', 1, 'popcount')
  y = accumulator.matmul(
      jnp.ones((1, 1)), jnp.ones((1, 1)), widest,
      jnp.asarray([widest.maximum - 1]),
  )
  assert cases.integers(y) == [[2 * widest.maximum - 1]]
  assert accumulator.Accumulator(24).maximum == 2**23 - 1


@pytest.mark.parametrize('shape', cases.WIDE.values(), ids=cases.WIDE.keys())
def test_wide_shapes_reach_the_engine_of_this_machine(shape):
  resolved = geometry.geometry(shape.x, shape.w, **shape.geometry)
  chosen = choice.choose(
      None, accumulator.Accumulator(4, 'wrap'), resolved, shape.w[-1]
  )
  assert chosen == choice.available()[-1]
