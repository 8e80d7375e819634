"""What every data set gives: random access to clips and background noise."""

from collections.abc import Sequence
from typing import NamedTuple
from typing import Protocol

import numpy as np

SAMPLE_RATE = 16000
CLIP_SAMPLES = 16000


class Clip(NamedTuple):
  """One second of speech.

  Attributes:
    audio: int16 `[CLIP_SAMPLES]` at `SAMPLE_RATE`; shorter recordings are
      padded with zeros at the end, longer ones cut.
    label: index into the source's `class_names`.
    name: unique within the split, such as 'yes/0a7c2a8d_nohash_0.wav'.
  """

  audio: np.ndarray
  label: int
  name: str


class Source(Protocol):
  """One split of a data set; indexing is pure, so any order is repeatable.

  Attributes:
    class_names: the classes in the order of the labels.
    background: the noise recordings of this split, int16, at `SAMPLE_RATE`,
      each at least one clip long; possibly none.
    notes: sentences about what was left out (broken files, missing words),
      for the user to read.
  """

  class_names: tuple[str, ...]
  background: Sequence[np.ndarray]
  notes: tuple[str, ...]

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> Clip: ...
