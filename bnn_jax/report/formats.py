"""Numbers as text, the same on the console and on the page."""

from typing import Any

NOTHING = '–'


def integer(number: int | None) -> str:
  """Returns '1,234,567'."""
  return NOTHING if number is None else f'{number:,}'


def compact(number: int) -> str:
  """Returns three digits and a decimal prefix: '1.23 M'."""
  for power, prefix in ((9, 'G'), (6, 'M'), (3, 'k')):
    scaled = number / 10**power
    if scaled >= 1:
      return f'{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f}' + (
        f' {prefix}'
      )
  return str(number)


def kilobytes(bits: int) -> str:
  """Returns a memory in units of 1000 bytes: '12.3 kB'."""
  return f'{bits / 8000:,.1f} kB'


def percent(share: float) -> str:
  """Returns a share of 1 in percent, without the sign: '93.41'."""
  return f'{100 * share:.2f}'


def points(share: float) -> str:
  """Returns a difference of two shares in percentage points: '−0.12'."""
  rounded = f'{100 * share:+.2f}'
  return '0.00' if float(rounded) == 0 else rounded.replace('-', '−')


def rate(count: int | None, total: int) -> str:
  """Returns a count in percent of a total: '1.234', '<0.001' or '0'."""
  if count is None or not total:
    return NOTHING
  if count == 0:
    return '0'
  share = 100 * count / total
  return '<0.001' if share < 0.0005 else f'{share:.3f}'


def mean(total: float, number: int) -> str:
  """Returns a mean of three digits behind the point."""
  return f'{total / number:.3f}' if number else NOTHING


def accumulator(results: dict[str, Any]) -> str:
  """Returns width and mode: '6 bits, wrap'."""
  if results['variant'] == 'float':
    return 'real-valued'
  settings = results['accumulator']
  if settings['overflow_mode'] == 'exact':
    return 'exact'
  return f'{settings["bits"]} bits, {settings["overflow_mode"]}'


def accumulator_detail(results: dict[str, Any]) -> str:
  """Returns how the register is fed: 'dot, 64 lanes an addition'."""
  if results['variant'] == 'float':
    return 'float32, never overflows'
  settings = results['accumulator']
  lanes = settings['simd']
  return f'{settings["unit"]}, {lanes} lane{"s" * (lanes != 1)} an addition'


OVERFLOW_COUNTS = ('persistent', 'transient', 'sign_flip', 'decision_flip')


def overflow_rates(entry: dict[str, Any]) -> list[str]:
  """Returns one layer's counts in percent of its outputs, or decisions."""
  return [rate(entry[key], total(entry, key)) for key in OVERFLOW_COUNTS]


def total(entry: dict[str, Any], count: str) -> int:
  """Returns what a count of a layer is a share of."""
  kind = 'decisions' if count == 'decision_flip' else 'outputs'
  return entry[kind] or 0
