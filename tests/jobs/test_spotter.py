import dataclasses
import math

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.jobs import spotter
from tests.export import networks

NAMES = ('silence', 'unknown', 'yes', 'no')


def decision(threshold=0.6, hop_seconds=0.08):
  return spotter.Decision(
    NAMES, threshold=threshold, factor=0.5, hop_seconds=hop_seconds,
    first_seconds=1.0,
  )


def sure(name, count):
  """Logits of windows that are nearly sure."""
  logits = np.zeros((count, 4))
  logits[:, NAMES.index(name)] = 40
  return logits


def test_softmax():
  found = spotter.softmax(np.array([[0.0, math.log(3)], [2000.0, 2000.0]]))
  assert np.allclose(found, [[0.25, 0.75], [0.5, 0.5]], rtol=0, atol=1e-15)


def test_a_word_is_told_when_its_mean_score_is_high():
  made = decision()
  assert made.push(sure('silence', 4)) == []
  # Of three windows two must agree.
  assert made.push(sure('yes', 1)) == []
  (found,) = made.push(sure('yes', 1))
  assert found.word == 'yes'
  assert found.seconds == pytest.approx(1.0 + 5 * 0.08)
  assert found.score == pytest.approx(2 / 3, abs=1e-6)


def test_neither_silence_nor_unknown_words_are_told():
  logits = np.concatenate([sure('silence', 9), sure('unknown', 9)])
  assert decision().push(logits) == []


def test_a_word_is_told_once_in_a_second():
  words = decision().push(sure('no', 30))
  assert [round(word.seconds, 2) for word in words] == [1.08, 2.12, 3.16]


def test_the_threshold_counts():
  logits = np.zeros((9, 4))
  logits[:, 3] = 2 * math.log(6)  # A posterior of 2/3.
  assert len(decision(0.66).push(logits)) == 1
  assert decision(0.67).push(logits) == []


def test_the_factor_is_that_of_the_training():
  model = dataclasses.replace(
    networks.network(), provenance={'logit_factor': 3.0}
  )
  # 3 positions of 12 channels with 3 bits behind the point.
  assert spotter.logit_factor(model) == 3.0 / (3 * 8 * 12**0.5)
  with pytest.raises(errors.UserError, match='provenance.logit_factor'):
    spotter.logit_factor(networks.network())


@pytest.mark.parametrize('threshold', [0.0, -1.0, 1.5, math.nan])
def test_thresholds_that_mean_nothing(threshold):
  with pytest.raises(errors.UserError, match=r'threshold=.* is no score'):
    spotter.Spotter(networks.network(), threshold=threshold)
