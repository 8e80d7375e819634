"""What a microphone and a room do to speech, and the noise in the room.

Frequencies are in Hz, signals float32 at 16 kHz.
"""

import numpy as np

from bnn_jax.data import source

_ROOM_SAMPLES = 6000
_HIGHEST = source.SAMPLE_RATE / 2


def transfer(rng: np.random.Generator, size: int) -> np.ndarray:
  """Draws a channel: a microphone's response times that of a room.

  Args:
    rng: randomness.
    size: even length of the transform that it is to multiply.

  Returns:
    complex64 `[size // 2 + 1]`.
  """
  room = np.fft.rfft(_room(rng), size)
  return (room * _microphone(rng, size)).astype(np.complex64)


def coloured_noise(
  rng: np.random.Generator, samples: int, slope: float
) -> np.ndarray:
  """Draws Gaussian noise whose power falls as frequency**-slope.

  Args:
    rng: randomness.
    samples: length.
    slope: 0 is white, 1 pink, 2 brown noise.

  Returns:
    `[samples]` with a root mean square of 1.
  """
  spectrum = np.fft.rfft(rng.standard_normal(samples, np.float32))
  frequency = np.fft.rfftfreq(samples, 1 / source.SAMPLE_RATE)
  gain = np.maximum(frequency, 40.0) ** (-slope / 2)
  return normalized(np.fft.irfft(spectrum * gain.astype(np.float32), samples))


def hum(rng: np.random.Generator, samples: int) -> np.ndarray:
  """Draws the hum of a machine: decaying harmonics of 45 to 130 Hz.

  Returns:
    `[samples]` with a root mean square of 1.
  """
  base = rng.uniform(45.0, 130.0)
  time = np.arange(samples, dtype=np.float32) / source.SAMPLE_RATE
  waves = np.zeros(samples, np.float32)
  for harmonic in range(1, 9):
    amplitude = np.float32(rng.uniform(0.1, 1.0) / harmonic)
    phase = np.float32(rng.uniform(0.0, 2 * np.pi))
    speed = np.float32(2 * np.pi * base * harmonic)
    waves += amplitude * np.sin(speed * time + phase)
  return normalized(waves)


def swell(rng: np.random.Generator, samples: int, rate: float) -> np.ndarray:
  """Draws a loudness that varies about `rate` times a second.

  Returns:
    `[samples]` of gains between -9 and 9 dB.
  """
  knots = rng.uniform(-9.0, 9.0, int(samples / source.SAMPLE_RATE * rate) + 2)
  at = np.linspace(0.0, len(knots) - 1.0, samples)
  return decibels(np.interp(at, np.arange(len(knots)), knots))


def normalized(signal: np.ndarray) -> np.ndarray:
  """Returns a signal scaled to a root mean square of 1."""
  return (signal / rms(signal)).astype(np.float32)


def rms(signal: np.ndarray) -> np.float32:
  """Returns the root mean square, at least 1e-6."""
  return np.maximum(np.sqrt(np.mean(np.square(signal))), np.float32(1e-6))


def decibels(value: float | np.ndarray) -> np.ndarray:
  """Returns the factor of an amplitude that a level in dB stands for."""
  return np.float32(10.0) ** (np.asarray(value, np.float32) / np.float32(20))


def _room(rng: np.random.Generator) -> np.ndarray:
  """Draws an impulse response: the direct sound and decaying noise."""
  reverberation_time = rng.uniform(0.1, 0.5)  # Seconds to fall by 60 dB.
  direct_to_reverberant = rng.uniform(0.0, 15.0)  # In dB.
  delay = rng.integers(16, 160)
  tail = rng.standard_normal(_ROOM_SAMPLES).astype(np.float32)
  time = np.arange(_ROOM_SAMPLES) / source.SAMPLE_RATE
  tail *= decibels(-60.0 * time / reverberation_time)
  tail[:delay] = 0
  tail *= decibels(-direct_to_reverberant) / np.linalg.norm(tail)
  tail[0] = 1
  return tail


def _microphone(rng: np.random.Generator, size: int) -> np.ndarray:
  """Draws the gains of a microphone: ripples, a tilt and limits of the band."""
  frequency = np.fft.rfftfreq(size, 1 / source.SAMPLE_RATE)
  octave = np.log2(np.maximum(frequency, 60.0) / _HIGHEST)
  knots = np.linspace(octave[0], 0.0, 10)
  ripple = np.interp(octave, knots, rng.normal(0.0, 3.0, len(knots)))
  tilt = rng.uniform(-3.0, 3.0) * (octave + 3.0)
  low, high = rng.uniform(60.0, 300.0), rng.uniform(3400.0, 7800.0)
  band = 1 / (1 + (frequency / high) ** 8)
  band *= 1 / (1 + (low / np.maximum(frequency, 1.0)) ** 4)
  return decibels(ripple + tilt) * band.astype(np.float32)
