"""Signals that reach the corners of 16-bit arithmetic."""

import numpy as np


def speech_like(count: int, samples: int = 16000, seed: int = 0) -> np.ndarray:
  """Harmonics under a slow envelope plus noise, int16 `[count, samples]`.

  The loudness falls from clip to clip, down to a few units.
  """
  rng = np.random.default_rng(seed)
  time = np.arange(samples) / 16000
  clips = []
  for loudness in np.geomspace(20000, 3, count):
    pitch = rng.uniform(90, 250) * (1 + 0.1 * np.sin(2 * np.pi * 3 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    tones = sum(np.sin(h * phase) / h**1.5 for h in range(1, 25))
    envelope = np.sin(np.pi * time * 16000 / samples) ** 2
    noise = 0.02 * rng.standard_normal(samples)
    clips.append(loudness * (0.5 * tones * envelope + noise))
  return np.clip(np.rint(clips), -32768, 32767).astype(np.int16)


def extremes(samples: int = 4000) -> np.ndarray:
  """Silence, full scale, single steps and impulses, int16 `[n, samples]`."""
  rng = np.random.default_rng(1)
  index = np.arange(samples)
  low, high = -32768, 32767
  rows = [
    np.zeros(samples),
    np.full(samples, low),
    np.full(samples, high),
    np.full(samples, -1),
    np.full(samples, 1),
    np.where(index % 2, low, high),
    np.where(index // 20 % 2, low, high),
    np.where(index // 3 % 2, low, high),
    np.where(index % 997, 0, low),
    np.where(index % 1009, 0, high),
    np.where(index % 503, 0, 1),
    np.where(index % 503, 0, -1),
    rng.integers(low, high, samples, endpoint=True),
    rng.integers(-1, 1, samples, endpoint=True),
    rng.choice([low, high], samples),
    np.rint(high * np.sin(2 * np.pi * 1000 / 16000 * index)),
    np.rint(high * np.sin(np.pi * index**2 / (2 * samples))),
    np.rint(2 * np.sin(2 * np.pi * 50 / 16000 * index)),
  ]
  return np.stack(rows).astype(np.int16)
