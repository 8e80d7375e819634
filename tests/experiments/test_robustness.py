import dataclasses

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import wav
from bnn_jax.export import specs
from experiments import robustness
from tests import tiny
from tests.export import networks


def model():
  """A clip of a second has its 29 frames."""
  return dataclasses.replace(
    networks.unpadded(0),
    input=specs.Input(networks.WINDOW, networks.BINS, 8, -13.5, -4),
    front_end={
      'sample_rate': 16000, 'kind': 'log_mel', 'window_ms': 30.0,
      'hop_ms': 34.0, 'mel_bins': networks.BINS,
    },
    provenance={'logit_factor': 1.0},
  )


def test_both_front_ends_are_measured():
  found = robustness.accuracies(model(), tiny.Split(10))
  assert found['equal_q'] > 0.99
  for name in ('float', 'fixed_point'):
    # The share of ten clips.
    assert found[name] in [i / 10 for i in range(11)]


def test_words_are_counted_by_the_hour():
  random = np.random.default_rng(0)
  parts = [random.integers(-99, 99, 16000 * n).astype(np.int16) for n in (2, 4)]
  found = robustness.false_accepts(model(), parts, threshold=1e-3)
  # A word at the first window of each part, and one in each second behind it.
  assert len(found['words']) == 5
  assert found['hours'] == 6 / 3600
  assert found['per_hour'] == pytest.approx(5 * 600)
  quiet = robustness.false_accepts(model(), parts, threshold=1.0)
  assert quiet['words'] == [] and quiet['per_hour'] == 0


def test_noise_of_a_folder(tmp_path):
  with pytest.raises(errors.UserError, match='--background'):
    robustness.noise(None, str(tmp_path))
  samples = np.arange(9, dtype=np.int16)
  wav.write(tmp_path / 'a.wav', samples)
  (found,) = robustness.noise(None, str(tmp_path))
  assert np.array_equal(found, samples)
