"""Whether the settings of a front end are of the types that they have."""

from collections.abc import Mapping
from typing import Any

from bnn_jax import errors

KINDS = ('log_mel', 'mfcc')
WHOLE = ('sample_rate', 'mel_bins', 'coefficients')
POSITIVE = ('window_ms', 'hop_ms', 'log_floor')
REAL = (*POSITIVE, 'lower_hz', 'upper_hz')
# A larger number is no setting of a front end for speech.
LARGEST = 2**20


def check(front_end: Mapping[str, Any]) -> None:
  """Checks the settings of a front end, any of which may be absent.

  Args:
    front_end: settings by name, perhaps of a foreign file.

  Raises:
    UserError: a setting is unknown, of another type or out of range.
  """
  for name, value in front_end.items():
    if not _is_possible(name, value):
      raise errors.UserError(
        f'front_end, field {name!r:.60}: {value!r:.60} is not possible; export '
        'the network again.'
      )


def _is_possible(name: str, value: Any) -> bool:
  if name == 'kind':
    return isinstance(value, str) and value in KINDS
  # A boolean is an integer of Python's.
  if isinstance(value, bool):
    return False
  if name in WHOLE:
    return isinstance(value, int) and 1 <= value <= LARGEST
  if name not in REAL or not isinstance(value, int | float):
    return False
  return 0 <= value <= LARGEST and (value > 0 or name not in POSITIVE)
