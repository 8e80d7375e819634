"""Sections 6 to 8: `integer`, `constants`, inputs against the oracle."""

import functools

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import constants
from bnn_jax.nn import integer
from bnn_jax.nn import layers
from tests.contract import cases
from tests.contract import stream_oracle

C = 8
SHIFTS = st.lists(st.integers(-8, 7), min_size=C, max_size=C)
FINITE = st.floats(-300.0, 300.0)


def lists(elements):
  return st.lists(elements, min_size=C, max_size=C)


def edges(low, high):
  return st.one_of(
      st.integers(low, high), st.sampled_from((low, high, -1, 0, 1))
  )


def both(run, *columns):
  """The integers a function gives, the same from int32 and float32."""
  wide, real = (
      cases.integers(run(*(jnp.asarray(v, dtype) for v in columns)))
      for dtype in (jnp.int32, jnp.float32)
  )
  assert wide == real
  return wide


def expect(run, *columns):
  return [run(*(int(v) for v in row)) for row in zip(*columns, strict=True)]


@hypothesis.given(lists(edges(-(2**23), 2**23 - 1)), SHIFTS)
@cases.CONTRACT
def test_shift(a, s):
  assert both(integer.shift, a, s) == expect(stream_oracle.shift, a, s)


@pytest.mark.parametrize('bits', [4, 8, 16])
@hypothesis.given(
    # A little beyond 24 bits: the lowest result of a popcount register of 23.
    lists(
        st.one_of(edges(-(2**23) - 999, 2**23 - 1), st.integers(-300, 300))
    ),
    SHIFTS,
    lists(edges(-(2**15), 2**15 - 1)),
)
@cases.CONTRACT
def test_shift_batch_norm(bits, a, s, b):
  run = functools.partial(integer.shift_batch_norm, bits=bits)
  truth = functools.partial(stream_oracle.shift_batch_norm, bits=bits)
  assert both(run, a, s, b) == expect(truth, a, s, b)


@pytest.mark.parametrize('wrap', [lambda f: f, jax.jit], ids=['eager', 'jit'])
def test_shift_batch_norm_of_every_small_integer(wrap):
  a, s, b = (
      v.ravel()
      for v in np.meshgrid(np.arange(-300, 301), range(-8, 8), (-77, 0, 3))
  )
  run = wrap(functools.partial(integer.shift_batch_norm, bits=8))
  truth = functools.partial(stream_oracle.shift_batch_norm, bits=8)
  assert both(run, a, s, b) == expect(truth, a, s, b)


def test_constants_are_those_of_the_last_axis():
  a = np.arange(-12, 12).reshape(2, 3, 4)
  s, b = np.array([-2, -1, 0, 1]), np.array([5, 0, -5, 1])
  y = integer.shift_batch_norm(
      jnp.asarray(a), jnp.asarray(s), jnp.asarray(b), 8
  )
  for c in range(4):
    expected = [
        stream_oracle.shift_batch_norm(int(v), int(s[c]), int(b[c]), 8)
        for v in a[..., c].ravel()
    ]
    assert cases.integers(y[..., c].ravel()) == expected


@pytest.mark.parametrize('bits', [2, 8, 16])
def test_saturate(bits):
  low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
  v = [low - 1, low, -1, 0, high, high + 1, 2**24, -(2**24)]
  run = functools.partial(integer.saturate, bits=bits)
  truth = functools.partial(stream_oracle.saturate, bits=bits)
  assert both(run, v) == expect(truth, v)


@hypothesis.given(
    lists(edges(-128, 127)), lists(st.integers(0, 7)),
    lists(edges(-128, 127)), lists(edges(-128, 127)),
)
@cases.CONTRACT
def test_shift_prelu(y, k, g, h):
  run = functools.partial(integer.shift_prelu, bits=8)
  truth = functools.partial(stream_oracle.shift_prelu, bits=8)
  assert both(run, y, k, g, h) == expect(truth, y, k, g, h)


@pytest.mark.parametrize('wrap', [lambda f: f, jax.jit], ids=['eager', 'jit'])
def test_shift_prelu_of_the_whole_range_and_every_slope(wrap):
  offsets = (-128, -3, 0, 127)
  y, k, g, h = (
      v.ravel()
      for v in np.meshgrid(np.arange(-128, 128), range(8), offsets, offsets)
  )
  run = wrap(functools.partial(integer.shift_prelu, bits=8))
  truth = functools.partial(stream_oracle.shift_prelu, bits=8)
  assert both(run, y, k, g, h) == expect(truth, y, k, g, h)


@hypothesis.given(lists(edges(-128, 127)), lists(edges(-128, 128)))
@cases.CONTRACT
def test_rsign(r, theta):
  assert both(integer.rsign, r, theta) == expect(
      stream_oracle.rsign, r, theta
  )


def as_pairs(*columns):
  return [tuple(int(v) for v in row) for row in zip(*columns, strict=True)]


@hypothesis.given(
    # 2**x is exact for integers, whichever library computes it.
    log2_gamma=lists(st.integers(-20, 20)),
    beta=lists(FINITE), mean=lists(FINITE),
    rstd=lists(st.floats(0.0, 1e3)),
    fraction_bits=st.integers(0, 7),
)
@cases.CONTRACT
def test_shift_batch_norm_constants(
    log2_gamma, beta, mean, rstd, fraction_bits
):
  columns = zip(log2_gamma, beta, mean, rstd, strict=True)
  expected = [
      stream_oracle.shift_batch_norm_constants(*v, fraction_bits)
      for v in columns
  ]
  got = constants.shift_batch_norm_constants(
      *(np.asarray(v, np.float64) for v in (log2_gamma, beta, mean, rstd)),
      fraction_bits,
  )
  assert as_pairs(*got) == expected


@pytest.mark.parametrize(
    ('gamma', 'beta', 'mean', 'rstd'),
    [
        (0.0, 0.03125, 0.0, 1.0), (0.0, -0.03125, 0.0, 1.0),
        (0.0, 0.0, 0.5, 2.0**-4), (0.0, 0.0, -0.5, 2.0**-4),
        (0.0, 0.0, 1.0, np.sqrt(0.5)),
        (0.0, 0.0, 1.0, np.nextafter(np.sqrt(0.5), 0.0)),
        (20.0, 0.0, 300.0, 1.0), (20.0, 0.0, -300.0, 1.0),
        (0.0, 1.0, 100.0, 0.0), (0.0, 1.0, 100.0, np.inf),
        (0.0, 1.0, 100.0, np.nan), (-np.inf, 1.0, 100.0, 1.0),
        (2000.0, 1.0, 100.0, 1.0), (0.0, 1.0, 100.0, 5e-324),
        (0.5, 0.1, -7.3, 0.013), (-1.37, -2.6, 11.9, 0.21),
    ],
)
def test_constants_at_the_edges(gamma, beta, mean, rstd):
  got = constants.shift_batch_norm_constants(
      *(np.array([v]) for v in (gamma, beta, mean, rstd)), 4
  )
  safe = min(gamma, 1000.0)
  expected = stream_oracle.shift_batch_norm_constants(
      safe, beta, mean, rstd if gamma == safe else np.inf, 4
  )
  assert as_pairs(*got) == [expected]


@hypothesis.given(lists(st.floats(-20.0, 20.0)), st.integers(0, 7))
@cases.CONTRACT
def test_rsign_threshold(theta, fraction_bits):
  got = constants.rsign_threshold(np.array(theta), 8, fraction_bits)
  assert [int(v) for v in got] == [
      stream_oracle.rsign_threshold(v, 8, fraction_bits) for v in theta
  ]


@hypothesis.given(
    lists(st.floats(-12.0, 3.0) | st.sampled_from([-2.5, -0.5, 0.5])),
    lists(st.floats(-20.0, 20.0)), lists(st.floats(-20.0, 20.0)),
    st.integers(0, 7),
)
@cases.CONTRACT
def test_prelu_constants(log2_slope, before, after, fraction_bits):
  got = constants.prelu_constants(
      np.array(log2_slope), np.array(before), np.array(after), 8, fraction_bits
  )
  columns = zip(log2_slope, before, after, strict=True)
  assert as_pairs(*got) == [
      stream_oracle.prelu_constants(*v, 8, fraction_bits) for v in columns
  ]


def test_deployed_threshold_is_the_real_comparison():
  # r >= ceil(16 theta) exactly when r / 16 >= theta.
  for theta in (-8.0, -0.51, 0.0, 0.01, 0.0625, 7.93, 7.95, 9.0):
    t = int(constants.rsign_threshold(np.array([theta]), 8, 4)[0])
    for r in range(-128, 128):
      assert stream_oracle.rsign(r, t) == (1 if r / 16 >= theta else -1)


def test_thermometer():
  q = np.array([[[10, 20, 0], [30, 5, 255]], [[9, 6, 254], [25, 4, 1]]])
  thresholds = np.array([[10, 25], [5, 6], [1, 255]])
  encode = layers.Thermometer(levels=2)
  variables = {'inputs': {'thresholds': jnp.asarray(thresholds)}}
  assert cases.integers(encode.apply(variables, jnp.asarray(q))) == [
      stream_oracle.thermometer(clip, thresholds, two_d=False) for clip in q
  ]
