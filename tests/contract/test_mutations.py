"""Each way to get the contract wrong makes the comparison fail.

A mutant is the oracle with one of its rules replaced, or an engine that
misreads its case. The right engines agree with every stored case; each mutant
disagrees with at least one.
"""

from collections.abc import Callable
from unittest import mock

import pytest

from tests.contract import battery
from tests.contract import cases
from tests.contract import oracle

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
