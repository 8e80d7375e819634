import os
import struct
import wave

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import wav

SAMPLES = np.array([0, 1, -1, 32767, -32768, 258], np.int16)
PCM_GUID = bytes.fromhex('0100000000001000800000aa00389b71')


def chunk(kind, content):
  padding = b'\0' * (len(content) % 2)
  return kind + struct.pack('<I', len(content)) + content + padding


def form(tag=1, channels=1, rate=16000, bits=16):
  align = channels * bits // 8
  return struct.pack(
    '<HHIIHH', tag, channels, rate, rate * align, align, bits
  )


def extensible(guid, bits=16):
  return form(0xFFFE, bits=bits) + struct.pack('<HHI', 22, bits, 4) + guid


def riff(*chunks):
  content = b'WAVE' + b''.join(chunks)
  return b'RIFF' + struct.pack('<I', len(content)) + content


FMT = chunk(b'fmt ', form())
DATA = chunk(b'data', SAMPLES.tobytes())
ODD_TEXT = chunk(b'LIST', b'INFO!')

GOOD = {
  'plain': riff(FMT, DATA),
  'a padded odd chunk first': riff(ODD_TEXT, FMT, DATA),
  'a chunk between': riff(FMT, ODD_TEXT, DATA),
  'a chunk beyond the head': riff(chunk(b'LIST', bytes(9999)), FMT, DATA),
  'format across the head': riff(chunk(b'LIST', bytes(485)), FMT, DATA),
  'a chunk at the end': riff(FMT, DATA, ODD_TEXT),
  'bytes at the end': riff(FMT, DATA) + b'\0\0\0',
  'extensible': riff(chunk(b'fmt ', extensible(PCM_GUID)), DATA),
  'a long format': riff(chunk(b'fmt ', form() + b'\0\0'), DATA),
}

BAD = {
  'empty file': b'',
  'not a WAV file': b'OggS' + riff(FMT, DATA)[4:],
  'truncated (no data chunk)': riff(FMT, DATA)[:38],
  'truncated (11 of 12 bytes of audio)': riff(FMT, DATA)[:-1],
  'truncated (0 of 12 bytes of audio)': riff(FMT, DATA)[:44],
  'no format chunk before the data': riff(DATA, FMT),
  'damaged (format chunk too short)': riff(chunk(b'fmt ', form()[:14]), DATA),
  'no samples': riff(FMT, chunk(b'data', b'')),
  'damaged (3 bytes of audio are half a sample too many)': riff(
    FMT, chunk(b'data', b'abc')
  ),
  'stereo (2 channels; mono is needed)': riff(
    chunk(b'fmt ', form(channels=2)), DATA
  ),
  'not mono (6 channels; mono is needed)': riff(
    chunk(b'fmt ', form(channels=6)), DATA
  ),
  '8000 Hz (16000 Hz is needed)': riff(chunk(b'fmt ', form(rate=8000)), DATA),
  '8 bits a sample (16-bit PCM is needed)': riff(
    chunk(b'fmt ', form(bits=8)), DATA
  ),
  '24 bits a sample (16-bit PCM is needed)': riff(
    chunk(b'fmt ', extensible(PCM_GUID, bits=24)), DATA
  ),
  'not PCM (format 3; 16-bit PCM is needed)': riff(
    chunk(b'fmt ', form(tag=3, bits=32)), DATA
  ),
  'not PCM (format 6; 16-bit PCM is needed)': riff(
    chunk(b'fmt ', extensible(b'\6' + PCM_GUID[1:])), DATA
  ),
  'not PCM (format 65534; 16-bit PCM is needed)': riff(
    chunk(b'fmt ', extensible(PCM_GUID[:-1] + b'?')), DATA
  ),
}


@pytest.mark.parametrize('content', GOOD.values(), ids=GOOD)
def test_good_files_give_their_samples(tmp_path, content):
  path = tmp_path / 'a.wav'
  path.write_bytes(content)
  assert wav.check(path) is None
  audio = wav.read(path)
  assert audio.dtype == np.int16
  assert audio.tolist() == SAMPLES.tolist()


@pytest.mark.parametrize(('fault', 'content'), BAD.items(), ids=BAD)
def test_bad_files_are_rejected_with_the_reason(tmp_path, fault, content):
  path = tmp_path / 'a.wav'
  path.write_bytes(content)
  assert wav.check(path) == fault
  with pytest.raises(errors.UserError) as caught:
    wav.read(path)
  assert str(caught.value) == (
    f'{path} cannot be used: {fault}; repair or remove the file.'
  )


@pytest.mark.parametrize('length', range(1, len(GOOD['plain'])))
def test_a_file_cut_anywhere_is_rejected(tmp_path, length):
  path = tmp_path / 'a.wav'
  path.write_bytes(GOOD['plain'][:length])
  assert isinstance(wav.check(path), str)


def test_missing_files_and_folders(tmp_path):
  missing = tmp_path / 'a.wav'
  assert wav.check(missing) == 'does not exist'
  assert wav.check(tmp_path) == 'not a file'
  with pytest.raises(errors.UserError, match='a.wav cannot be read'):
    wav.read(missing)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_a_forbidden_file_is_rejected(tmp_path):
  path = tmp_path / 'a.wav'
  path.write_bytes(GOOD['plain'])
  path.chmod(0)
  assert wav.check(path) == 'no permission to read it'


def test_written_files_are_what_the_standard_library_reads(tmp_path):
  path = tmp_path / 'a.wav'
  wav.write(path, SAMPLES[::2])
  with wave.open(str(path)) as file:
    assert file.getparams()[:4] == (1, 2, 16000, 3)
    assert file.readframes(3) == SAMPLES[::2].tobytes()
  assert wav.read(path).tolist() == [0, -1, -32768]
  assert [p.name for p in tmp_path.iterdir()] == ['a.wav']


@pytest.mark.parametrize('audio', [np.zeros(3), np.zeros((3, 1), np.int16)])
def test_only_one_channel_of_int16_is_written(tmp_path, audio):
  with pytest.raises(ValueError, match='int16'):
    wav.write(tmp_path / 'a.wav', audio)
