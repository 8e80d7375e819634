"""Clips of the class silence."""

from collections.abc import Sequence

import numpy as np

from bnn_jax.data import labels
from bnn_jax.data import source


def clip(
  noise: Sequence[np.ndarray], split: str, index: int
) -> source.Clip:
  """Cuts a second of noise, scaled by U(0, 1), drawn from the index alone.

  Args:
    noise: recordings, each at least one clip long; none give zeros.
    split: name of the split.
    index: of the clip among its silence clips.

  Returns:
    The clip, with the label that silence has among 12 classes.
  """
  audio = np.zeros(source.CLIP_SAMPLES, np.int16)
  if noise:
    random = np.random.default_rng([index, *split.encode()])
    recording = noise[int(random.integers(len(noise)))]
    start = random.integers(len(recording) - source.CLIP_SAMPLES + 1)
    cut = recording[start : start + source.CLIP_SAMPLES]
    audio = np.rint(cut * random.uniform()).astype(np.int16)
  name = f'{labels.SILENCE_FOLDER}/{split}-{index}'
  return source.Clip(audio, labels.label(labels.SILENCE_FOLDER, 12), name)
