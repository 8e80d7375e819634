"""The example program, from a wav file to logits."""

import dataclasses
import struct
import subprocess

import numpy as np
import pytest

from bnn_jax.data import wav
from bnn_jax.export import c_engine
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import print_c
from bnn_jax.export import specs
from bnn_jax.frontend import fixed_point
from bnn_jax.jobs import c_sources
from bnn_jax.jobs import front_end
from tests.export import networks
from tests.export import test_print_c

pytestmark = test_print_c.pytestmark
SECOND = 16000


def network() -> specs.Model:
  """One of clips of a second, whose last samples fill no frame."""
  return dataclasses.replace(
    networks.unpadded(0),
    input=specs.Input(networks.WINDOW, networks.BINS, 8, -13.5, -4),
    front_end={
      'sample_rate': SECOND, 'kind': 'log_mel', 'window_ms': 30.0,
      'hop_ms': 34.0, 'mel_bins': networks.BINS,
    },
  )


MODEL = network()
SAMPLES = 480 + (networks.WINDOW - 1) * 544


@pytest.fixture(scope='module')
def export(tmp_path_factory):
  """The export, with the program `classify` in it."""
  folder = tmp_path_factory.mktemp('main') / 'export'
  files.write(folder, MODEL, c_sources.writer(MODEL))
  sources = sorted((folder / print_c.FOLDER).glob('*.c'))
  assert len(sources) == 3
  subprocess.run(
    [c_engine.compiler(), '-std=c99', *test_print_c.STRICT, '-O1',
     *test_print_c.SANITIZE, *sources, '-o', folder / 'classify'],
    check=True,
  )
  return folder


def classify(export, path) -> subprocess.CompletedProcess[str]:
  return subprocess.run(
    [export / 'classify', path], capture_output=True, text=True
  )


def expected(export, audio) -> str:
  """What is printed for samples, by the NumPy front end and golden model."""
  clip = np.zeros(SAMPLES, np.int16)
  clip[: len(audio)] = audio[:SAMPLES]
  q = fixed_point.compute(clip[None], front_end.tables(MODEL))
  (logits,) = golden.logits(golden.read(export), q).tolist()
  names = MODEL.class_names
  rows = [f'  {n}: {v}\n' for n, v in zip(names, logits, strict=True)]
  return names[int(np.argmax(logits))] + '\n' + ''.join(rows)


def sound(seed: int, count: int) -> np.ndarray:
  """Noise of another loudness in each 50 ms."""
  random = np.random.default_rng(seed)
  loudness = 2.0 ** random.uniform(0, 15, count // 800 + 1)
  noise = random.normal(0, 1, count) * loudness.repeat(800)[:count]
  return np.clip(noise, -32768, 32767).astype(np.int16)


def test_logits_are_the_golden_ones(export, tmp_path):
  printed = set()
  # Shorter than a clip, as long, and longer.
  for seed, count in enumerate((1, 9000, SAMPLES, SECOND, 3 * SECOND)):
    path = tmp_path / f'{seed}.wav'
    audio = sound(seed, count)
    wav.write(path, audio)
    done = classify(export, path)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == expected(export, audio)
    printed.add(done.stdout)
  assert len(printed) == 5


GUID = bytes.fromhex('000000001000800000aa00389b71')


def wav_file(audio, *, kind=1, extension=b'', channels=1, bits=16, rate=SECOND):
  """A file, with another chunk of odd length before its format."""
  form = struct.pack(
    '<HHIIHH', kind, channels, rate, 2 * rate, 2, bits
  ) + extension
  chunks = b'WAVE' + b'LIST\3\0\0\0abc\0'
  for name, content in ((b'fmt ', form), (b'data', audio.tobytes())):
    chunks += name + struct.pack('<I', len(content)) + content
    chunks += bytes(len(content) % 2)
  return b'RIFF' + struct.pack('<I', len(chunks)) + chunks


def extension(kind, guid=GUID):
  return struct.pack('<HHIH', 22, 16, 4, kind) + guid


def stated(size, audio):
  """A file whose data state another size."""
  content = audio.tobytes()
  head = wav_file(audio)[: -len(content) or None]
  return head[:-4] + struct.pack('<I', size) + content


AUDIO = sound(7, SECOND)
NO_PCM = "is not 16-bit PCM of one channel at the model's sample rate"


@pytest.mark.parametrize('content', [
  wav_file(AUDIO),
  wav_file(AUDIO, extension=b'\0\0'),
  wav_file(AUDIO, kind=0xFFFE, extension=extension(1)),
  # One byte more, and the one that fills it up.
  wav_file(AUDIO, kind=0xFFFE, extension=extension(1) + b'x'),
], ids=['plain', 'size of no extension', 'extensible', 'odd'])
def test_formats_that_both_readers_take(export, tmp_path, content):
  path = tmp_path / 'clip.wav'
  path.write_bytes(content)
  assert np.array_equal(wav.read(path), AUDIO)
  assert classify(export, path).stdout == expected(export, AUDIO)


@pytest.mark.parametrize('count', [1, SAMPLES, SECOND])
def test_a_size_that_a_pipe_did_not_know(export, tmp_path, count):
  path = tmp_path / 'clip.wav'
  path.write_bytes(stated(0xFFFFFFFF, AUDIO[:count]))
  done = classify(export, path)
  assert (done.returncode, done.stderr) == (0, '')
  assert done.stdout == expected(export, AUDIO[:count])


def test_what_follows_the_clip_may_be_cut(export, tmp_path):
  path = tmp_path / 'clip.wav'
  path.write_bytes(stated(2 * SECOND, AUDIO[:SAMPLES]))
  assert classify(export, path).stdout == expected(export, AUDIO)


@pytest.mark.parametrize('content, problem', [
  (wav_file(AUDIO)[: 957 - 2 * SECOND], 'ends in its data'),
  (wav_file(AUDIO)[: 2 * (SAMPLES - SECOND) - 1], 'ends in its data'),
  (wav_file(AUDIO)[: -2 * SECOND], 'ends in its data'),
  (wav_file(AUDIO[:9])[:-1], 'ends in its data'),
  (wav_file(AUDIO[:0]), 'has no samples'),
  (wav_file(np.ones(1, np.int8)), 'has no samples'),
  (stated(0xFFFFFFFF, AUDIO[:0]), 'has no samples'),
  (wav_file(AUDIO, kind=3), NO_PCM),
  (wav_file(AUDIO, kind=0xFFFE), NO_PCM),
  (wav_file(AUDIO, kind=0xFFFE, extension=extension(3)), NO_PCM),
  (wav_file(AUDIO, kind=0xFFFE, extension=extension(1, GUID[::-1])), NO_PCM),
  (wav_file(AUDIO, kind=0xFFFE, extension=extension(1)[:-1]), NO_PCM),
  (wav_file(AUDIO, channels=2), NO_PCM),
  (wav_file(AUDIO, bits=8), NO_PCM),
  (wav_file(AUDIO, rate=8000), NO_PCM),
  (b'', 'is no wav file'),
  (b'RIFX' + wav_file(AUDIO)[4:], 'is no wav file'),
  (wav_file(AUDIO)[:40], 'ends in its format'),
  (wav_file(AUDIO)[:24], 'has no data'),
])
def test_formats_that_no_reader_takes(export, tmp_path, content, problem):
  path = tmp_path / 'clip.wav'
  path.write_bytes(content)
  assert wav.check(path) is not None
  done = classify(export, path)
  assert (done.returncode, done.stdout) == (1, '')
  assert done.stderr == f'error: {path} {problem}\n'


def test_a_file_that_is_not_there(export, tmp_path):
  path = tmp_path / 'missing.wav'
  done = classify(export, path)
  assert (done.returncode, done.stdout) == (1, '')
  assert done.stderr == (
    f'error: {path} cannot be read: No such file or directory\n'
  )
  done = subprocess.run([export / 'classify'], capture_output=True, text=True)
  assert (done.returncode, done.stderr) == (2, 'usage: classify CLIP.wav\n')
