import pytest

from bnn_jax.report import formats


@pytest.mark.parametrize('count, total, text', [
  (0, 7, '0'), (1, 1000000, '<0.001'), (5, 1000000, '0.001'),
  (1, 3, '33.333'), (3, 3, '100.000'), (None, 3, '–'), (0, 0, '–'),
])
def test_rate(count, total, text):
  assert formats.rate(count, total) == text


@pytest.mark.parametrize('share, text', [
  (0.0012, '+0.12'), (-0.0012, '−0.12'), (0.0, '0.00'), (-0.00001, '0.00'),
])
def test_points(share, text):
  assert formats.points(share) == text


@pytest.mark.parametrize('number, text', [
  (0, '0'), (999, '999'), (1000, '1.00 k'), (12345, '12.3 k'),
  (154380, '154 k'), (7527168, '7.53 M'), (2 * 10**9, '2.00 G'),
])
def test_compact(number, text):
  assert formats.compact(number) == text


def test_kilobytes_have_8000_bits():
  assert formats.kilobytes(33200) == '4.2 kB'
  assert formats.kilobytes(80000000) == '10,000.0 kB'


def test_accumulator(results, float_results):
  assert formats.accumulator(results) == '8 bits, wrap'
  assert formats.accumulator_detail(results) == 'dot, 64 lanes an addition'
  results['accumulator'].update(overflow_mode='exact', simd=1)
  assert formats.accumulator(results) == 'exact'
  assert formats.accumulator_detail(results) == 'dot, 1 lane an addition'
  assert formats.accumulator(float_results) == 'real-valued'
