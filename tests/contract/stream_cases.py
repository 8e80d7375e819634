"""Rows of integers for sections 6 and 7: function, arguments, expected."""

from collections.abc import Callable
import math
from typing import Any

ROWS: list[tuple[str, tuple[Any, ...], Any]] = [
    ('saturate', (127, 8), 127),
    ('saturate', (128, 8), 127),
    ('saturate', (-128, 8), -128),
    ('saturate', (-129, 8), -128),
    ('shift', (5, 0), 5),
    ('shift', (5, 2), 20),
    ('shift', (-5, 2), -20),
    ('shift', (5, -1), 2),
    ('shift', (7, -2), 1),
    ('shift', (-5, -1), -3),
    ('shift', (-1, -8), -1),
    ('shift', (255, -8), 0),
    ('shift', (256, -8), 1),
    ('shift', (-256, -8), -1),
    ('shift', (-257, -8), -2),
    ('shift_batch_norm', (10, 1, 3, 8), 23),
    ('shift_batch_norm', (-3, -1, 0, 8), -2),
    ('shift_batch_norm', (100, 1, 0, 8), 127),
    ('shift_batch_norm', (-100, 1, 0, 8), -128),
    ('shift_batch_norm', (100, 1, -73, 8), 127),
    ('shift_batch_norm', (100, 1, -74, 8), 126),
    ('shift_batch_norm', (-64, 1, 1, 8), -127),
    ('shift_batch_norm', (-64, 1, -1, 8), -128),
    ('rsign', (0, 0), 1),
    ('rsign', (-1, 0), -1),
    ('rsign', (127, 128), -1),
    ('rsign', (-128, -128), 1),
    ('shift_prelu', (5, 3, 0, 0, 8), 5),
    ('shift_prelu', (0, 3, 0, 0, 8), 0),
    ('shift_prelu', (-5, 1, 0, 0, 8), -3),
    ('shift_prelu', (-1, 7, 0, 0, 8), -1),
    ('shift_prelu', (-8, 2, 0, 1, 8), -1),
    ('shift_prelu', (127, 0, -128, 0, 8), 127),
    ('shift_prelu', (-128, 1, 127, 0, 8), -128),
    ('shift_prelu', (-128, 1, 127, 100, 8), -28),
    ('shift_prelu', (-128, 7, 127, 0, 8), -2),
    ('shift_prelu', (10, 2, 12, 3, 8), 2),
    # The difference takes R + 1 bits: 255 is not saturated before h.
    ('shift_prelu', (127, 0, -128, -128, 8), 127),
    # Arguments: log2 |gamma|, beta, mean, 1 / std, F.
    ('shift_batch_norm_constants', (0.0, 0.0, 0.0, 1.0, 4), (4, 0)),
    # b = 8 - 6.
    ('shift_batch_norm_constants', (-1.0, 0.5, 3.0, 0.25, 4), (1, 2)),
    # b = floor(-0.5 + 0.5), then floor(0.5 + 0.5), and 1.5 and 2.5.
    ('shift_batch_norm_constants', (0.0, 0.0, 0.5, 2.0**-4, 4), (0, 0)),
    ('shift_batch_norm_constants', (0.0, 0.0, -0.5, 2.0**-4, 4), (0, 1)),
    ('shift_batch_norm_constants', (0.0, 0.0, -1.5, 2.0**-4, 4), (0, 2)),
    ('shift_batch_norm_constants', (0.0, 0.0, -2.5, 2.0**-4, 4), (0, 3)),
    # 0.7 is nearer to 1/2 in the logarithm, 0.71 to 1; so sqrt(1/2).
    ('shift_batch_norm_constants', (0.0, 0.0, 0.0, 0.7, 4), (3, 0)),
    ('shift_batch_norm_constants', (0.0, 0.0, 0.0, 0.71, 4), (4, 0)),
    ('shift_batch_norm_constants', (0.0, 0.0, 0.0, math.sqrt(0.5), 4), (4, 0)),
    (
        'shift_batch_norm_constants',
        (0.0, 0.0, 0.0, math.nextafter(math.sqrt(0.5), 0.0), 4),
        (3, 0),
    ),
    ('shift_batch_norm_constants', (0.0, 0.0, 0.0, 1.42, 4), (5, 0)),
    ('shift_batch_norm_constants', (20.0, 0.0, 0.0, 1.0, 4), (7, 0)),
    ('shift_batch_norm_constants', (-20.0, 0.0, 0.0, 1.0, 4), (-8, 0)),
    ('shift_batch_norm_constants', (0.0, 1.0, 0.0, 0.0, 4), (-8, 16)),
    ('shift_batch_norm_constants', (0.0, 1.0, 0.0, math.inf, 4), (-8, 16)),
    ('shift_batch_norm_constants', (0.0, 1.0, 0.0, math.nan, 4), (-8, 16)),
    ('shift_batch_norm_constants', (20.0, 0.0, 300.0, 1.0, 4), (7, -32768)),
    ('shift_batch_norm_constants', (20.0, 0.0, -300.0, 1.0, 4), (7, 32767)),
    ('rsign_threshold', (0.0, 8, 4), 0),
    ('rsign_threshold', (0.01, 8, 4), 1),
    ('rsign_threshold', (-0.01, 8, 4), 0),
    ('rsign_threshold', (1.0, 8, 4), 16),
    ('rsign_threshold', (7.94, 8, 4), 128),
    ('rsign_threshold', (100.0, 8, 4), 128),
    ('rsign_threshold', (-8.0, 8, 4), -128),
    ('rsign_threshold', (-100.0, 8, 4), -128),
    # Arguments: log2_slope, before, after, R, F.
    ('prelu_constants', (0.0, 0.0, 0.0, 8, 4), (0, 0, 0)),
    ('prelu_constants', (-2.0, 0.5, -0.5, 8, 4), (2, 8, -8)),
    ('prelu_constants', (1.0, 0.03125, -0.03125, 8, 4), (0, 1, 0)),
    ('prelu_constants', (-10.0, 9.0, -9.0, 8, 4), (7, 127, -128)),
    ('prelu_constants', (-1.6, 0.0, 0.0, 8, 4), (2, 0, 0)),
    ('prelu_constants', (-1.5, 0.0, 0.0, 8, 4), (2, 0, 0)),
    ('prelu_constants', (-0.5, 0.0, 0.0, 8, 4), (1, 0, 0)),
    ('prelu_constants', (-0.4, 0.0, 0.0, 8, 4), (0, 0, 0)),
]


def agrees(call: Callable[[str, tuple[Any, ...]], Any]) -> bool:
  """True when every row comes out as it is stored."""
  return all(call(name, args) == expected for name, args, expected in ROWS)
