"""Each way to get an engine wrong gives other integers, not another shape.

A mutant is the lax engine with one of its functions replaced, or any engine
that misreads its case. All of them read cases of enough outputs for the
compiled engine, `cases.wide_cases()`.
"""

from unittest import mock

import numpy as np
import pytest

from bnn_jax.nn import accumulator
from bnn_jax.nn import geometry
from bnn_jax.nn import register
from bnn_jax.nn.kernels import compiled
from bnn_jax.nn.kernels import lax_engine
from tests.contract import cases
from tests.contract import engines
from tests.contract import oracle
from tests.contract import test_mutations

RIGHT_WORDS = geometry.words
RIGHT_PADDING = geometry.same_padding
RIGHT_REGISTER = register.Accumulator.register
RIGHT_VIEWS = geometry.views
RIGHT_PAD = geometry.pad
RIGHT_ADD = lax_engine._add_word
Word = geometry.Word


def eager(case: cases.Case):
  """The lax engine without what JAX keeps of programs compiled before."""
  with mock.patch.object(lax_engine, 'run', lax_engine.run.__wrapped__):
    return engines.of_case('lax', case)


def differs(engine, case: cases.Case, expected, read=None) -> bool:
  """True where an engine gives other integers of the same number."""
  got = np.array(engine(read or case))
  same_shape = got.shape == np.shape(expected)
  return same_shape and bool((got != np.array(expected)).any())


@pytest.mark.parametrize('engine', engines.NAMES)
def test_the_right_engines_agree(engine):
  # Each case is compiled, or takes the interpreter of Pallas a second.
  every = 1 if engine in compiled.levels() else 5
  for case, expected in cases.wide_cases()[::every]:
    assert engines.of_case(engine, case) == expected


def flat_words(taps, channels, simd):
  """Words that cross a tap."""
  size = taps * channels
  return tuple(Word(i, min(i + simd, size)) for i in range(0, size, simd))


def moved_words(taps, channels, simd):
  """The words in the opposite order."""
  return RIGHT_WORDS(taps, channels, simd)[::-1]


def simd_of(change):
  return lambda taps, channels, simd: RIGHT_WORDS(taps, channels, change(simd))


def ruled(overflow_mode):
  """R of another mode."""
  return lambda self, value: RIGHT_REGISTER(
    accumulator.Accumulator(self.bits, overflow_mode), value
  )


def add_of_lanes(change):
  """Words that add as if they had another number of lanes."""
  def add(trace, differing, lanes, machine):
    if machine.unit == 'popcount':
      lanes = change(lanes)
    return RIGHT_ADD(trace, differing, lanes, machine)

  return add


def symmetric(self):
  return 1 - 2 ** (self.bits - 1)


def padded_with_ones(x, shape, fill=-1):
  return RIGHT_PAD(x, shape, -fill)


def views_of_ones(x, shape, padding):
  """Padding of packed bits that are all 1."""
  if x.dtype.kind == 'u':
    padding = x.dtype.type(np.iinfo(x.dtype).max)
  return RIGHT_VIEWS(x, shape, padding)


ACCUMULATOR = register.Accumulator
MUTATIONS = {
  'words cross taps': (geometry, 'words', flat_words),
  'words in reverse': (geometry, 'words', moved_words),
  'one tap a word': (
    geometry, 'words', lambda t, c, s: RIGHT_WORDS(t, c, min(s, c))
  ),
  'overflow once': (geometry, 'words', lambda t, c, s: (Word(0, t * c),)),
  'simd one more': (geometry, 'words', simd_of(lambda s: s + 1)),
  'simd one less': (geometry, 'words', simd_of(lambda s: s - 1)),
  'wrap turned into clip': (ACCUMULATOR, 'register', ruled('saturate')),
  'clip turned into wrap': (ACCUMULATOR, 'register', ruled('wrap')),
  'no register': (ACCUMULATOR, 'register', lambda self, value: value),
  'register off by one': (
    ACCUMULATOR, 'register',
    lambda self, value: RIGHT_REGISTER(self, value + 1) - 1,
  ),
  'symmetric range': (ACCUMULATOR, 'minimum', property(symmetric)),
  'lower minimum': (
    ACCUMULATOR, 'minimum', property(lambda self: -(2 ** (self.bits - 1)) - 1)
  ),
  'higher maximum': (
    ACCUMULATOR, 'maximum', property(lambda self: 2 ** (self.bits - 1))
  ),
  'lower maximum': (
    ACCUMULATOR, 'maximum', property(lambda self: 2 ** (self.bits - 1) - 2)
  ),
  'padding +1': (geometry, 'pad', padded_with_ones),
  'padding +1 of packed bits': (geometry, 'views', views_of_ones),
  'odd padding before': (
    geometry, 'same_padding', lambda *axis: RIGHT_PADDING(*axis)[::-1]
  ),
  'odd words forgotten': (accumulator, 'odd_words', lambda shape, simd: 0),
  'half of the lanes rounded down': (
    lax_engine, '_add_word', add_of_lanes(lambda n: n // 2 * 2)
  ),
  'half of the lanes rounded up': (
    lax_engine, '_add_word', add_of_lanes(lambda n: n + 1)
  ),
}


def eager_cases():
  """The few cases of which each mutation changes at least one."""
  return cases.wide_cases(('stride', 'multiplier', 'one tap'))


def test_the_right_functions_agree():
  for case, expected in eager_cases():
    assert eager(case) == expected


@pytest.mark.parametrize('mutation', MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_changed_function_is_caught(mutation):
  with mock.patch.object(*mutation):
    assert any(
      differs(eager, case, expected) for case, expected in eager_cases()
    )


def stride_of_padding_forgotten(case: cases.Case) -> cases.Case:
  """`SAME` as for stride 1, which leaves as many outputs."""
  geometry_ = case.geometry
  if 'strides' not in geometry_ or 'padding' in geometry_:
    return case
  size = case.x.shape[1:-1]
  ones = (1,) * len(size)
  pads = oracle.pads(size, case.w.shape[:-2], ones, 'SAME', ones)
  return case._replace(geometry=geometry_ | {'padding': pads})


def groups_swapped(case: cases.Case) -> cases.Case:
  """Groups that read one another's channels."""
  if 'groups' not in case.geometry:
    return case
  half = case.x.shape[-1] // 2
  return case._replace(x=np.roll(case.x, half, -1))


def taps_transposed(case: cases.Case) -> cases.Case:
  """Frequency before time, which is an order alone."""
  if case.w.ndim != 4:
    return case
  shape = case.w.shape
  taps = case.w.reshape(shape[1], shape[0], *shape[2:]).swapaxes(0, 1)
  return case._replace(w=taps)


MISREADINGS = {
  name: misread for name, misread in test_mutations.MISREADINGS.items()
  if name != 'strides forgotten'
} | {
  'padding of stride 1': stride_of_padding_forgotten,
  'groups swapped': groups_swapped,
  'taps transposed': taps_transposed,
}


def changes(misread, case: cases.Case) -> bool:
  """True where a case is read as another one."""
  read = misread(case)
  same = np.array_equal(read.x, case.x) and np.array_equal(read.w, case.w)
  return not same or read[2:] != case[2:]


@pytest.mark.parametrize('engine', engines.NAMES)
@pytest.mark.parametrize(
  'misread', MISREADINGS.values(), ids=MISREADINGS.keys()
)
def test_a_misread_case_is_caught(misread, engine):
  def through(case):
    return engines.of_case(engine, case)

  assert any(
    differs(through, case, expected, misread(case))
    for case, expected in cases.wide_cases() if changes(misread, case)
  )
