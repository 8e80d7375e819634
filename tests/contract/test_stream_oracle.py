"""Literal integers of sections 6, 7 and 8."""

import math

import pytest

from tests.contract import stream_cases
from tests.contract import stream_oracle


@pytest.mark.parametrize(('name', 'args', 'expected'), stream_cases.ROWS)
def test_stored_rows(name, args, expected):
  assert getattr(stream_oracle, name)(*args) == expected


@pytest.mark.parametrize(
    ('v', 'expected'),
    [(1.0, 0), (2.0, 1), (0.75, 0), (0.7, -1), (1.4, 0), (1.42, 1),
     (math.sqrt(0.5), 0), (math.nextafter(math.sqrt(0.5), 0), -1)],
)
def test_nearest_power_of_two(v, expected):
  assert stream_oracle.ap2_exponent(v) == expected


def test_thermometer_orders_bins_before_thresholds():
  q = [[10, 20], [30, 5]]
  thresholds = [[10, 25], [5, 6]]
  assert stream_oracle.thermometer(q, thresholds, two_d=True) == [
      [[1, -1], [1, 1]], [[1, 1], [1, -1]]
  ]
  assert stream_oracle.thermometer(q, thresholds, two_d=False) == [
      [1, -1, 1, 1], [1, 1, 1, -1]
  ]


@pytest.mark.parametrize(
    ('x', 'low', 'exponent', 'expected'),
    [(0.0, -1.0, -4, 16), (-2.0, -1.0, -4, 0), (99.0, -1.0, -4, 255),
     (-0.99, -1.0, -4, 0), (5.0, 1.0, 1, 2), (4.999, 1.0, 1, 1)],
)
def test_quantize(x, low, exponent, expected):
  assert stream_oracle.quantize(x, low, exponent) == expected
