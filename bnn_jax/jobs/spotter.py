"""From samples to spotted words: front end, network, smoothed decision.

Shape letters: W windows, N classes.
"""

import math
from typing import NamedTuple

import numpy as np

from bnn_jax import errors
from bnn_jax.data import labels
from bnn_jax.export import check
from bnn_jax.export import specs
from bnn_jax.export import windows
from bnn_jax.frontend import stream
from bnn_jax.jobs import front_end

# A score is the mean over the windows that began in this time.
SMOOTHING_MS = 240.0
# After a word nothing is told for this time.
REFRACTORY_MS = 1000.0


class Detection(NamedTuple):
  """A word that was heard.

  Attributes:
    seconds: from the start of the stream to the end of its window.
    word: a class name.
    score: in [0, 1].
  """

  seconds: float
  word: str
  score: float


class Decision:
  """Words from logits of windows: mean posteriors above a threshold."""

  def __init__(
    self, class_names: tuple[str, ...], *, threshold: float, factor: float,
    hop_seconds: float, first_seconds: float,
  ):
    """Makes it.

    Args:
      class_names: in the order of the logits.
      threshold: the lowest score that counts.
      factor: of the logits, before the softmax.
      hop_seconds: from one window to the next.
      first_seconds: when the first window ends.
    """
    self._names = class_names
    self._words = [
      i for i, name in enumerate(class_names)
      if name not in (labels.SILENCE, labels.UNKNOWN)
    ]
    self._threshold, self._factor = threshold, factor
    self._hop, self._next = hop_seconds, first_seconds
    count = max(1, round(SMOOTHING_MS / 1000 / hop_seconds))
    self._recent = np.zeros((count, len(class_names)))
    self._quiet_until = 0.0

  def push(self, logits: np.ndarray) -> list[Detection]:
    """Takes the logits `[W, N]` of the next windows; gives what is new."""
    found = []
    for row in softmax(logits * self._factor):
      self._recent = np.concatenate([self._recent[1:], row[None]])
      seconds, self._next = self._next, self._next + self._hop
      mean = self._recent.mean(axis=0)
      best = max(self._words, key=lambda i: mean[i])
      if mean[best] >= self._threshold and seconds >= self._quiet_until:
        self._quiet_until = seconds + REFRACTORY_MS / 1000
        found.append(Detection(seconds, self._names[best], float(mean[best])))
    return found


def softmax(logits: np.ndarray) -> np.ndarray:
  """Posteriors of logits `[W, N]`."""
  powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
  return powers / powers.sum(axis=-1, keepdims=True)


class Spotter:
  """Spots words in a stream of samples."""

  def __init__(self, model: specs.Model, *, threshold: float):
    """Starts before the first sample.

    Args:
      model: the network.
      threshold: the lowest score that counts, in (0, 1].

    Raises:
      UserError: the threshold is out of range, or the front end has no form
        in integers.
    """
    if not 0 < threshold <= 1:
      raise errors.UserError(
        f'threshold={threshold} is no score; choose one above 0, up to 1.'
      )
    tables = front_end.tables(model)
    rate = model.front_end['sample_rate']
    self._front_end = stream.Stream(tables)
    self._windows = windows.windows(model)
    samples = (model.input.frames - 1) * tables.hop + len(tables.window)
    self._decision = Decision(
      model.class_names, threshold=threshold, factor=logit_factor(model),
      hop_seconds=self._windows.hop * tables.hop / rate,
      first_seconds=samples / rate,
    )

  def push(self, samples: np.ndarray) -> list[Detection]:
    """Takes the next samples, int16 `[n]`; gives the words that they end."""
    q = self._front_end.push(samples)
    return self._decision.push(self._windows.push(q))


def logit_factor(model: specs.Model) -> float:
  """What makes logits those of the training, whose softmax are posteriors.

  Raises:
    UserError: the export does not tell.
  """
  learned = model.provenance.get('logit_factor')
  if not isinstance(learned, float):
    raise errors.UserError(
      'provenance.logit_factor is missing in the export; export the network '
      'again.'
    )
  last = model.layers[-1]
  assert isinstance(last, specs.Classifier)
  *spatial, channels = check.check(model)[last.inputs[0]].shape
  return learned / (
    math.prod(spatial) * 2.0**last.stream.fraction_bits * channels**0.5
  )
