"""The front end in integers, fed with samples as they come."""

import numpy as np

from bnn_jax.frontend import fixed_point


class Stream:
  """Keeps the samples that the next frames still read."""

  def __init__(self, tables: fixed_point.Tables):
    """Starts before the first sample; `tables` are those of the front end."""
    self._tables = tables
    self._held = np.zeros(0, np.int16)

  def push(self, samples: np.ndarray) -> np.ndarray:
    """Takes the next samples.

    Args:
      samples: int16 `[n]`; n may be 0.

    Returns:
      uint8 `[t, F]`, the frames that they end.
    """
    held = np.concatenate([self._held, samples])
    if len(held) < len(self._tables.window):
      self._held = held
      return np.zeros((0, self._tables.mel_bins), np.uint8)
    (q,) = fixed_point.compute(held[None], self._tables)
    self._held = held[len(q) * self._tables.hop :]
    return q
