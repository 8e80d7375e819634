"""A split with background noise at one signal-to-noise ratio."""

from collections.abc import Sequence

import numpy as np

from bnn_jax import errors
from bnn_jax.data import source as source_lib


class NoisySource:
  """Implements `source.Source`; the noise of a clip follows from its index.

  Signal and noise are mean powers over the whole clip. A clip or a cut of the
  noise without any power is left as it is.
  """

  def __init__(self, clean: source_lib.Source, snr_db: float):
    """Makes it.

    Args:
      clean: the split, with its background noise.
      snr_db: power of a clip over that of its noise, in decibels.

    Raises:
      UserError: the split has no background noise.
    """
    if not clean.background:
      raise errors.UserError(
        'the data set has no background noise; put recordings of it into its '
        'folder _background_noise_.'
      )
    self.class_names = clean.class_names
    self.background: Sequence[np.ndarray] = clean.background
    self.notes = clean.notes
    self._clean, self._snr_db = clean, snr_db

  def __len__(self) -> int:
    return len(self._clean)

  def __getitem__(self, index: int) -> source_lib.Clip:
    clip = self._clean[index]
    random = np.random.default_rng(index)
    recording = self.background[int(random.integers(len(self.background)))]
    start = int(random.integers(len(recording) - len(clip.audio) + 1))
    noise = recording[start : start + len(clip.audio)]
    return clip._replace(audio=mixed(clip.audio, noise, self._snr_db))


def mixed(
  audio: np.ndarray, noise: np.ndarray, snr_db: float
) -> np.ndarray:
  """Adds noise at a ratio of mean powers; int16 `[n]`, clipped."""
  signal, other = (np.mean(x.astype(np.float64) ** 2) for x in (audio, noise))
  scale = np.sqrt(signal / other * 10 ** (-snr_db / 10)) if other else 0.0
  total = np.rint(audio + scale * noise)
  return np.clip(total, -(2**15), 2**15 - 1).astype(np.int16)
