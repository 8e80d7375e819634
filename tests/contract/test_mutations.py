"""Each way to get the contract wrong makes the comparison fail.

A mutant is the oracle with one of its rules replaced, or an engine that
misreads its case. The right engines agree with every stored case; each mutant
disagrees with at least one.
"""

from collections.abc import Callable
import math
from unittest import mock

import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.nn import constants
from bnn_jax.nn import integer
from tests.contract import battery
from tests.contract import cases
from tests.contract import oracle
from tests.contract import stream_cases
from tests.contract import stream_oracle

BATTERY = battery.load()
ENGINES = {'oracle': cases.oracle_engine, 'jax': cases.jitted_engine}


def disagreements(engine: cases.Engine) -> list[str]:
  """Names of the stored cases that an engine gets wrong."""
  return [
      name
      for name, (case, expected) in BATTERY.items()
      if not cases.agrees(engine, case, expected)
  ]


@pytest.mark.parametrize('engine', ENGINES.values(), ids=ENGINES.keys())
def test_the_right_engines_agree(engine):
  assert disagreements(engine) == []


RIGHT_PADDING = oracle.same_padding
RIGHT_WORDS = oracle.words
RIGHT_WRAP = oracle.wrap
RIGHT_ACCUMULATE = oracle.accumulate


def flat_words(number_of_taps, size, simd):
  """Words that cross a tap."""
  operands = list(range(number_of_taps * size))
  return [operands[i : i + simd] for i in range(0, len(operands), simd)]


def moved_words(number_of_taps, size, simd):
  """The same words, but the partial word first."""
  operands = number_of_taps * size - 1
  return [
      [operands - i for i in reversed(word)]
      for word in reversed(RIGHT_WORDS(number_of_taps, size, simd))
  ]


def single_taps(number_of_taps, size, simd):
  """One tap a word even where several fit."""
  return RIGHT_WORDS(number_of_taps, size, min(simd, size))


def one_word(number_of_taps, size, simd):
  """Overflow once, at the end."""
  del simd
  return [list(range(number_of_taps * size))]


def uncorrected(products, cut, machine, preload):
  """A popcount result that forgets its odd words."""
  output = RIGHT_ACCUMULATE(products, cut, machine, preload)
  odd = sum(len(word) % 2 for word in cut)
  if machine.unit == 'dot':
    odd = 0
  return output._replace(result=output.result + odd)


def bottom(bits):
  return -(2 ** (bits - 1))


RULES = {
    'channels reversed': ('channels', lambda size: list(range(size))[::-1]),
    'taps reversed': (
        'taps',
        lambda kernel: [
            (t, f)
            for t in reversed(range(kernel[0]))
            for f in reversed(range(kernel[1]))
        ],
    ),
    'frequency before time': (
        'taps',
        lambda kernel: [
            (t, f) for f in range(kernel[1]) for t in range(kernel[0])
        ],
    ),
    'words cross taps': ('words', flat_words),
    'partial word first': ('words', moved_words),
    'one tap a word': ('words', single_taps),
    'overflow once': ('words', one_word),
    'simd one less': (
        'words', lambda taps, c, s: RIGHT_WORDS(taps, c, max(s - 1, 1))
    ),
    'simd one more': (
        'words', lambda taps, c, s: RIGHT_WORDS(taps, c, s + 1)
    ),
    'symmetric range': ('minimum', lambda bits: bottom(bits) + 1),
    'lower minimum': ('minimum', lambda bits: bottom(bits) - 1),
    'higher maximum': ('maximum', lambda bits: -bottom(bits)),
    'lower maximum': ('maximum', lambda bits: -bottom(bits) - 2),
    'wrap of one more bit': (
        'wrap', lambda v, bits: RIGHT_WRAP(v, bits + 1)
    ),
    'wrap of one bit less': (
        'wrap', lambda v, bits: RIGHT_WRAP(v, bits - 1)
    ),
    'wrap off by one': ('wrap', lambda v, bits: RIGHT_WRAP(v + 1, bits) - 1),
    'wrap turned into clip': (
        'wrap', lambda v, bits: max(min(v, -bottom(bits) - 1), bottom(bits))
    ),
    'clip turned into wrap': (
        'clip',
        lambda v, low, high: (v - low) % (high - low + 1) + low,
    ),
    'sign of zero': ('sign', lambda x: 1 if x > 0 else -1),
    'half rounded up': ('half', lambda lanes: (lanes + 1) // 2),
    'half not subtracted': ('half', lambda lanes: 0),
    'odd words forgotten': ('accumulate', uncorrected),
    'preload forgotten': ('start', lambda preload, n: 0),
    'preload of the first output': (
        'start', lambda preload, n: 0 if preload is None else preload[0]
    ),
    'padding +1': ('PADDING', 1),
    'padding 0': ('PADDING', 0),
    'odd padding before': (
        'same_padding', lambda *axis: RIGHT_PADDING(*axis)[::-1]
    ),
    'padding as for stride 1': (
        'same_padding',
        lambda size, kernel, stride, dilation: RIGHT_PADDING(
            size, kernel, 1, dilation
        ),
    ),
    'output m * C + c': ('group_of', lambda n, outputs, groups: n % groups),
    'distance from the other edge': (
        'distance', lambda v, bits: max(bottom(bits) + 1 - v, v + bottom(bits),
                                        0)
    ),
}


@pytest.mark.parametrize(
    ('rule', 'replacement'), RULES.values(), ids=RULES.keys()
)
def test_a_changed_rule_is_caught(rule, replacement):
  with mock.patch.object(oracle, rule, replacement):
    assert disagreements(cases.oracle_engine)
  assert not disagreements(cases.oracle_engine)


def with_machine(**changes: Callable) -> Callable[[cases.Case], cases.Case]:
  def misread(case):
    new = {k: f(case.machine) for k, f in changes.items()}
    return case._replace(machine=case.machine._replace(**new))

  return misread


def swapped(a: str, b: str, field: str) -> Callable[[cases.Case], cases.Case]:
  names = {a: b, b: a}
  return with_machine(
      **{field: lambda m: names.get(getattr(m, field), getattr(m, field))}
  )


def with_geometry(key: str, value) -> Callable[[cases.Case], cases.Case]:
  def misread(case):
    if key not in case.geometry:
      return case
    return case._replace(geometry=case.geometry | {key: value})

  return misread


def reversed_channels(case):
  if case.geometry.get('groups', 1) > 1:
    return case
  return case._replace(x=case.x[..., ::-1], w=case.w[..., ::-1, :])


def negated(case):
  # (-x)(-w) = xw, but where x is padding the product changes its sign.
  return case._replace(x=-case.x, w=-case.w)


MISREADINGS = {
    'channels reversed': reversed_channels,
    'kernel flipped': lambda case: case._replace(w=case.w[::-1]),
    'padding +1': negated,
    'simd one more': with_machine(simd=lambda m: m.simd + 1),
    'simd one less': with_machine(simd=lambda m: max(m.simd - 1, 1)),
    'one bit more': with_machine(bits=lambda m: m.bits + 1),
    'one bit less': with_machine(bits=lambda m: max(m.bits - 1, 2)),
    'wrap and saturate swapped': swapped('wrap', 'saturate', 'overflow_mode'),
    'always exact': with_machine(overflow_mode=lambda m: 'exact'),
    'units swapped': swapped('dot', 'popcount', 'unit'),
    'preload forgotten': lambda case: case._replace(preload=None),
    'outputs reversed': lambda case: case._replace(w=case.w[..., ::-1]),
    'strides forgotten': with_geometry('strides', 1),
    'dilation forgotten': with_geometry('dilation', 1),
    'padding replaced': with_geometry('padding', 'SAME'),
}


@pytest.mark.parametrize('engine', ENGINES.values(), ids=ENGINES.keys())
@pytest.mark.parametrize(
    'misread', MISREADINGS.values(), ids=MISREADINGS.keys()
)
def test_a_misread_case_is_caught(misread, engine):
  assert not all(
      cases.agrees(lambda c: engine(misread(c)), case, expected)
      for case, expected in BATTERY.values()
  )


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


RIGHT_CONSTANTS = stream_oracle.shift_batch_norm_constants
RIGHT_THRESHOLD = stream_oracle.rsign_threshold

STREAM_RULES = {
    'shift rounds half up': ('shift', half_up),
    'shift truncates': ('shift', truncated),
    'symmetric saturation': (
        'saturate', lambda v, bits: max(min(v, 2 ** (bits - 1) - 1),
                                        1 - 2 ** (bits - 1))
    ),
    'saturation wraps': ('saturate', RIGHT_WRAP),
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
        lambda *args: prelu(*args, step=lambda z, k: int(z / 2**k)),
    ),
    'prelu without its slope': (
        'shift_prelu', lambda *args: prelu(*args, step=lambda z, k: z)
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
