"""The invented speakers of the synthetic corpus and the clips they record.

Every speaker is drawn from the seed of the corpus and the speaker's number
alone, so the clips do not depend on the order in which they are made.
"""

import pathlib
from typing import NamedTuple

import numpy as np

from bnn_jax.data import espeak
from bnn_jax.data import labels
from bnn_jax.data import rooms
from bnn_jax.data import source
from bnn_jax.data import wav

COMMAND_TAKES = 3
SEEN_ACCENTS = (
  'gmw/en',
  'gmw/en-029',
  'gmw/en-GB-x-gbclan',
  'gmw/en-GB-x-gbcwmd',
  'gmw/en-GB-x-rp',
  'gmw/en-US',
)
UNSEEN_ACCENTS = ('gmw/en-GB-scotland', 'gmw/en-US-nyc')
SEEN_VARIANTS = tuple(
  'Alex Alicia Andrea Andy Annie Denis Gene Hugo Lee Mario Michael Mike'
  ' Nguyen adam anika announcer antonio aunty benjamin boris david ed edward'
  ' f1 f2 f3 f5 grandma ian iven3 john klatt4 linda m1 m2 m3 m4 m6 m7 max'
  ' miguel norbert paul quincy robert sandro shelby steph victor'.split()
)
UNSEEN_VARIANTS = tuple(
  'Henrique Reed belinda f4 grandpa klatt6 m5 m8 pablo pedro travis zac'.split()
)
BACKGROUND = (
  'white_noise',
  'pink_noise',
  'rumble',
  'mains_hum',
  'babble',
  'typing',
)

_INPUT_SAMPLES = 32768  # Of a padded word: 1.5 seconds of espeak-ng.
_ENVIRONMENT_SAMPLES = 8 * source.CLIP_SAMPLES
_LOUDEST = 32767.0
# Streams of random numbers, so that speakers and noises never share one.
_SPEAKER_STREAM = 0
_BACKGROUND_STREAM = 1


class Speaker(NamedTuple):
  """Who speaks.

  Attributes:
    number: of the speaker in the corpus, from 0.
    name: eight hexadecimal digits, whose official hash gives the split.
    unseen: whether accent and variant occur in the unseen split alone.
  """

  number: int
  name: str
  unseen: bool


class _Habits(NamedTuple):
  """What all clips of a speaker have in common.

  Attributes:
    rate: words a minute.
    pitch: of espeak-ng, 0 to 100.
    pitch_range: of espeak-ng, 0 to 100.
    level: root mean square of the speech in dB of full scale.
    channel: transfer function `[size // 2 + 1]` of microphone and room, where
      `size / _INPUT_SAMPLES` is the change of sample rate, in which the length
      of the vocal tract hides.
    environment: the noise of the place, `[_ENVIRONMENT_SAMPLES]`, RMS 1.
  """

  rate: float
  pitch: float
  pitch_range: float
  level: float
  channel: np.ndarray
  environment: np.ndarray


def voice_name(speaker: Speaker, seed: int) -> str:
  """Returns the speaker's espeak-ng voice, such as 'gmw/en-US+f3'."""
  return _voice(_generator(seed, _SPEAKER_STREAM, speaker.number), speaker)


def clip_names(speaker: Speaker) -> list[str]:
  """Returns the speaker's clips, such as 'yes/0a7c2a8d_nohash_0.wav'."""
  return [
    f'{word}/{speaker.name}_nohash_{take}.wav'
    for word in labels.WORDS
    for take in range(COMMAND_TAKES if word in labels.COMMANDS else 1)
  ]


def record(speaker: Speaker, *, folder: pathlib.Path, seed: int) -> None:
  """Writes all clips of a speaker.

  Args:
    speaker: who speaks.
    folder: of the corpus; the folders of the words exist.
    seed: of the corpus.

  Raises:
    OSError: a file cannot be written.
  """
  rng = _generator(seed, _SPEAKER_STREAM, speaker.number)
  voice = _voice(rng, speaker)
  with espeak.Session(int(rng.integers(2**31))) as session:
    habits = _habits(rng, session)
    session.use_voice(voice)
    for name in clip_names(speaker):
      word = _say(rng, session, habits, name.partition('/')[0])
      wav.write(folder / name, _clip(rng, word, habits))


def background(name: str, *, samples: int, seed: int) -> np.ndarray:
  """Returns a recording of one kind of noise.

  Args:
    name: one of `BACKGROUND`.
    samples: length.
    seed: of the corpus.

  Returns:
    int16 `[samples]`.
  """
  kind = BACKGROUND.index(name)
  rng = _generator(seed, _BACKGROUND_STREAM, kind)
  noise = _background(rng, name, samples)
  return _to_int16(noise * rooms.decibels(rng.uniform(-28.0, -20.0)))


def _background(
  rng: np.random.Generator, name: str, samples: int
) -> np.ndarray:
  """Draws one kind of noise, `[samples]`, RMS 1."""
  if name == 'white_noise':
    return rooms.coloured_noise(rng, samples, 0.0)
  if name == 'pink_noise':
    return rooms.coloured_noise(rng, samples, 1.0)
  if name == 'babble':
    with espeak.Session(int(rng.integers(2**31))) as session:
      return _babble(rng, session, samples)
  if name == 'typing':
    return _typing(rng, samples)
  noise = rooms.coloured_noise(rng, samples, 2.0)
  if name == 'mains_hum':
    noise = rooms.hum(rng, samples) + np.float32(0.3) * noise
  return rooms.normalized(noise * rooms.swell(rng, samples, 1.0))


def _generator(seed: int, stream: int, index: int) -> np.random.Generator:
  return np.random.default_rng((seed, stream, index))


def _voice(rng: np.random.Generator, speaker: Speaker) -> str:
  accents = UNSEEN_ACCENTS if speaker.unseen else SEEN_ACCENTS
  variants = UNSEEN_VARIANTS if speaker.unseen else SEEN_VARIANTS
  accent = accents[rng.integers(len(accents))]
  return f'{accent}+{variants[rng.integers(len(variants))]}'


def _habits(rng: np.random.Generator, session: espeak.Session) -> _Habits:
  warp = np.exp(rng.uniform(-0.12, 0.12))
  ratio = source.SAMPLE_RATE / espeak.SAMPLE_RATE * warp
  # Transforms of lengths without large prime factors are fast.
  size = 240 * round(_INPUT_SAMPLES * ratio / 240)
  return _Habits(
    rate=rng.uniform(110.0, 200.0),
    pitch=rng.uniform(25.0, 75.0),
    pitch_range=rng.uniform(25.0, 80.0),
    level=rng.uniform(-34.0, -18.0),
    channel=rooms.transfer(rng, size),
    environment=_environment(rng, session),
  )


def _environment(
  rng: np.random.Generator, session: espeak.Session
) -> np.ndarray:
  """Draws a mixture of noises, `[_ENVIRONMENT_SAMPLES]`, RMS 1."""
  samples = _ENVIRONMENT_SAMPLES
  noise = rooms.coloured_noise(rng, samples, rng.uniform(0.0, 2.0))
  if rng.random() < 0.4:
    noise += np.float32(rng.uniform(0.3, 1.5)) * rooms.hum(rng, samples)
  if rng.random() < 0.3:
    babble = _babble(rng, session, samples)
    noise += np.float32(rng.uniform(0.5, 2.0)) * babble
  return rooms.normalized(noise * rooms.swell(rng, samples, 2.0))


def _babble(
  rng: np.random.Generator, session: espeak.Session, samples: int
) -> np.ndarray:
  """Draws several voices that speak at once, `[samples]`, RMS 1."""
  mixture = np.zeros(samples, np.float32)
  seen = Speaker(0, '', unseen=False)
  for _ in range(6):
    session.use_voice(_voice(rng, seen))
    # Heard at 16 kHz, what was made for 22 kHz is lower and slower.
    text = ' '.join(rng.choice(labels.OTHER_WORDS, 24))
    speech = session.say(text, rate=250, pitch=60, pitch_range=60)
    start = rng.integers(len(speech))
    mixture += np.resize(np.roll(speech, start), samples)
  return rooms.normalized(mixture)


def _typing(rng: np.random.Generator, samples: int) -> np.ndarray:
  """Draws clicks about six times a second over faint noise, RMS 1."""
  strokes = rng.random(samples) < 6.0 / source.SAMPLE_RATE
  impulses = strokes * rng.uniform(0.3, 1.0, samples)
  time = np.arange(400) / source.SAMPLE_RATE
  click = np.exp(-time / 0.004) * rng.standard_normal(400)
  clicks = np.convolve(impulses, click)[:samples]
  noise = np.float32(0.02) * rooms.coloured_noise(rng, samples, 1.0)
  return rooms.normalized(clicks.astype(np.float32) + noise)


def _say(
  rng: np.random.Generator,
  session: espeak.Session,
  habits: _Habits,
  word: str,
) -> np.ndarray:
  """Returns a take of a word, int16, without the silence at its ends."""
  speech = session.say(
    word + str(rng.choice(('', '!', '?', ','))),
    rate=round(habits.rate * rng.uniform(0.9, 1.1)),
    pitch=round(habits.pitch + rng.uniform(-8.0, 8.0)),
    pitch_range=round(habits.pitch_range),
  )
  loud = np.flatnonzero(np.abs(speech) > 0.02 * np.max(np.abs(speech)))
  return speech[loud[0] : loud[-1] + 1][:_INPUT_SAMPLES]


def _clip(
  rng: np.random.Generator, word: np.ndarray, habits: _Habits
) -> np.ndarray:
  """Places a word in a noisy second, int16 `[CLIP_SAMPLES]`."""
  size = 2 * (len(habits.channel) - 1)
  spectrum = np.fft.rfft(word.astype(np.float32), _INPUT_SAMPLES)
  heard = np.fft.irfft(spectrum[: size // 2 + 1] * habits.channel, size)
  length = len(word) * size // _INPUT_SAMPLES
  level = rooms.decibels(habits.level + rng.uniform(-4.0, 4.0))
  heard *= level / rooms.rms(heard[:length])
  start = rng.integers(max(1, source.CLIP_SAMPLES - length + 1))
  offset = rng.integers(_ENVIRONMENT_SAMPLES - source.CLIP_SAMPLES)
  noise = habits.environment[offset : offset + source.CLIP_SAMPLES]
  clip = noise * (level * rooms.decibels(-rng.uniform(5.0, 35.0)))
  clip[start:] += heard[: source.CLIP_SAMPLES - start]
  return _to_int16(clip)


def _to_int16(signal: np.ndarray) -> np.ndarray:
  scaled = np.round(signal * np.float32(_LOUDEST))
  return np.clip(scaled, -_LOUDEST, _LOUDEST).astype(np.int16)
