"""Each way to get sections 6 and 7 wrong fails a stored row."""

import math
from unittest import mock

import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import constants
from bnn_jax.nn import integer
from tests.contract import cases
from tests.contract import oracle
from tests.contract import stream_cases
from tests.contract import stream_oracle

RIGHT_CONSTANTS = stream_oracle.shift_batch_norm_constants
RIGHT_THRESHOLD = stream_oracle.rsign_threshold


def oracle_call(name, args):
  return getattr(stream_oracle, name)(*args)


def jax_call(name, args):
  """One row through the arrays of `integer` or of `constants`."""
  if hasattr(integer, name):
    columns = {'saturate': 1, 'shift_batch_norm': 3, 'shift_prelu': 4}
    count = columns.get(name, 2)
    arrays = [jnp.asarray([v], jnp.float32) for v in args[:count]]
    return cases.integers(getattr(integer, name)(*arrays, *args[count:]))[0]
  # What follows the columns is the stream's format: R and F, or F alone.
  count = {'rsign_threshold': 1, 'prelu_constants': 3}.get(name, 4)
  arrays = [np.array([v], np.float64) for v in args[:count]]
  answer = getattr(constants, name)(*arrays, *args[count:])
  if isinstance(answer, tuple):
    return tuple(int(v[0]) for v in answer)
  return int(answer[0])


@pytest.mark.parametrize('call', [oracle_call, jax_call])
def test_the_right_stream_arithmetic_agrees(call):
  assert stream_cases.agrees(call)


def half_up(a, s):
  return a << s if s >= 0 else (a + (1 << (-s - 1))) >> -s


def truncated(a, s):
  return a << s if s >= 0 else int(a / 2**-s)


def prelu(y, k, g, h, bits, step=lambda z, k: z >> k):
  z = y - g
  return stream_oracle.saturate((z if z >= 0 else step(z, k)) + h, bits)


def rounded_constants(log2_gamma, beta, mean, rstd, fraction_bits):
  """Bias by Python's round: half to even."""
  s, _ = RIGHT_CONSTANTS(log2_gamma, beta, mean, rstd, fraction_bits)
  b = round(math.ldexp(beta, fraction_bits) - math.ldexp(mean, s))
  return s, max(min(b, 2**15 - 1), -(2**15))


def floored_constants(log2_gamma, beta, mean, rstd, fraction_bits):
  s, _ = RIGHT_CONSTANTS(log2_gamma, beta, mean, rstd, fraction_bits)
  b = math.floor(math.ldexp(beta, fraction_bits) - math.ldexp(mean, s))
  return s, max(min(b, 2**15 - 1), -(2**15))


STREAM_RULES = {
    'shift rounds half up': ('shift', half_up),
    'shift truncates': ('shift', truncated),
    'symmetric saturation': (
        'saturate', lambda v, bits: max(min(v, 2 ** (bits - 1) - 1),
                                        1 - 2 ** (bits - 1))
    ),
    'saturation wraps': ('saturate', oracle.wrap),
    'bias before the shift': (
        'shift_batch_norm',
        lambda a, s, b, bits: stream_oracle.saturate(
            stream_oracle.shift(a + b, s), bits
        ),
    ),
    'saturation before the bias': (
        'shift_batch_norm',
        lambda a, s, b, bits: stream_oracle.saturate(
            stream_oracle.saturate(stream_oracle.shift(a, s), bits) + b, bits
        ),
    ),
    'power of two by floor': (
        'ap2_exponent', lambda v: math.frexp(v)[1] - 1
    ),
    'power of two by the linear middle': (
        'ap2_exponent',
        lambda v: math.frexp(v)[1] - (math.frexp(v)[0] < 0.75),
    ),
    'bias rounded half to even': (
        'shift_batch_norm_constants', rounded_constants
    ),
    'bias floored': ('shift_batch_norm_constants', floored_constants),
    'rsign is strict': ('rsign', lambda r, theta: 1 if r > theta else -1),
    'threshold rounded down': (
        'rsign_threshold',
        lambda theta, bits, f: max(
            min(math.floor(theta * 2**f), 2 ** (bits - 1)),
            -(2 ** (bits - 1)),
        ),
    ),
    'threshold never reaches never': (
        'rsign_threshold',
        lambda theta, bits, f: min(
            RIGHT_THRESHOLD(theta, bits, f), 2 ** (bits - 1) - 1
        ),
    ),
    'prelu truncates': (
        'shift_prelu',
        lambda y, k, g, h, bits: prelu(
            y, k, g, h, bits, lambda z, k: int(z / 2**k)
        ),
    ),
    'prelu without its slope': (
        'shift_prelu',
        lambda y, k, g, h, bits: prelu(y, 0, g, h, bits),
    ),
    'prelu saturates the difference': (
        'shift_prelu',
        lambda y, k, g, h, bits: prelu(
            stream_oracle.saturate(y - g, bits), k, 0, h, bits
        ),
    ),
}


@pytest.mark.parametrize(
    ('rule', 'replacement'), STREAM_RULES.values(), ids=STREAM_RULES.keys()
)
def test_a_changed_stream_rule_is_caught(rule, replacement):
  with mock.patch.object(stream_oracle, rule, replacement):
    assert not stream_cases.agrees(oracle_call)
  assert stream_cases.agrees(oracle_call)
