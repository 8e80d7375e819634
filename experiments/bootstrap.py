"""How far a paired difference of accuracies may be off."""

from collections.abc import Sequence

import numpy as np

DRAWS = 10_000


def interval(
  differences: np.ndarray, speakers: Sequence[int], *, draws: int = DRAWS,
  share: float = 0.95,
) -> tuple[float, float]:
  """Bootstrap interval of a mean over speakers and seeds.

  Each draw takes as many seeds and as many speakers as there are, with
  replacement, and all clips of a speaker that was drawn: clips of one speaker,
  and of one training, are right or wrong together.

  Args:
    differences: `[seeds, clips]`.
    speakers: `[clips]`, numbers from 0 of who speaks each clip.
    draws: how many.
    share: of the draws inside the interval.

  Returns:
    Its ends.
  """
  seeds, people = len(differences), max(speakers) + 1
  by_speaker = np.zeros((people, seeds))
  np.add.at(by_speaker, np.asarray(speakers), differences.T)
  clips = np.bincount(speakers, minlength=people)
  random = np.random.default_rng(0)
  of_people = random.multinomial(people, np.full(people, 1 / people), draws)
  of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), draws)
  sums = np.sum((of_people @ by_speaker) * of_seeds, -1)
  means = sums / (seeds * (of_people @ clips))
  low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
  return float(low), float(high)
