"""Reads and writes the one kind of WAV file in use: 16 kHz mono 16-bit PCM.

RIFF chunks as in Microsoft's 'Multimedia Programming Interface and Data
Specifications 1.0' and its WAVE_FORMAT_EXTENSIBLE.
"""

import os
import pathlib
import struct
from typing import NamedTuple

import numpy as np

from bnn_jax import errors
from bnn_jax.data import source

_PCM = 1
_EXTENSIBLE = 0xFFFE
# The subformat's GUID after its first two bytes, which hold the format.
_GUID_TAIL = bytes.fromhex('000000001000800000aa00389b71')
# Holds the header of a plain file, so that a check costs one small read.
_HEAD_BYTES = 512


class _Layout(NamedTuple):
  """Where the samples are, or why they are of no use.

  Attributes:
    start: offset of the first sample in bytes.
    samples: number of samples.
    fault: a short phrase, or None for a good file.
  """

  start: int
  samples: int
  fault: str | None


def check(path: str | os.PathLike[str]) -> str | None:
  """Returns why a file cannot be used, or None if it can.

  Only the header is read, so scanning a whole data set takes seconds.

  Args:
    path: any path; a missing file is a reason too.

  Returns:
    A short phrase such as 'stereo (2 channels; mono is needed)', or None.

  Raises:
    UserError: the operating system fails to open or read the file.
  """
  path = os.fspath(path)
  if not os.path.isfile(path):
    return 'not a file' if os.path.exists(path) else 'does not exist'
  if not os.access(path, os.R_OK):
    return 'no permission to read it'
  try:
    file = os.open(path, os.O_RDONLY)
    try:
      head = os.pread(file, _HEAD_BYTES, 0)
      return _layout(file, head, os.fstat(file).st_size).fault
    finally:
      os.close(file)
  except OSError as error:
    raise errors.UserError(
      f'{path} cannot be read ({error.strerror}); check the disk or remove'
      ' the file.'
    ) from error


def read(path: str | os.PathLike[str]) -> np.ndarray:
  """Returns all samples of a file, int16 `[n]` at 16 kHz, n >= 1.

  Raises:
    UserError: the file is missing, damaged or of another format.
  """
  path = os.fspath(path)
  try:
    with open(path, 'rb') as file:
      content = file.read()
      start, samples, fault = _layout(file.fileno(), content, len(content))
  except OSError as error:
    raise errors.UserError(
      f'{path} cannot be read ({error.strerror}); restore the file or start'
      ' again without it.'
    ) from error
  if fault is not None:
    raise errors.UserError(
      f'{path} cannot be used: {fault}; repair or remove the file.'
    )
  stored = np.frombuffer(content, '<i2', count=samples, offset=start)
  return stored.astype(np.int16)


def write(path: str | os.PathLike[str], audio: np.ndarray) -> None:
  """Writes a 16 kHz mono file; it appears whole or not at all.

  Args:
    path: the file; its folder exists. A file there is replaced.
    audio: int16 `[n]`.

  Raises:
    ValueError: `audio` has another type or shape.
  """
  if audio.dtype != np.int16 or audio.ndim != 1:
    raise ValueError(
      f'audio must be int16 [n], not {audio.dtype} {list(audio.shape)}'
    )
  data = audio.astype('<i2').tobytes()
  rate = source.SAMPLE_RATE
  form = struct.pack('<HHIIHH', _PCM, 1, rate, 2 * rate, 2, 16)
  chunks = b''.join((
    b'WAVEfmt ',
    struct.pack('<I', len(form)),
    form,
    b'data',
    struct.pack('<I', len(data)),
    data,
  ))
  target = pathlib.Path(path)
  # A leading dot hides what an interrupted write leaves from any listing.
  temporary = target.with_name(f'.{target.name}.{os.getpid()}')
  temporary.write_bytes(b'RIFF' + struct.pack('<I', len(chunks)) + chunks)
  os.replace(temporary, target)


def _layout(file: int, head: bytes, size: int) -> _Layout:
  """Finds the samples in an open file of `size` bytes that begins as `head`."""
  if not size:
    return _rejected('empty file')
  if head[:4] != b'RIFF' or head[8:12] != b'WAVE':
    return _rejected('not a WAV file')
  position = 12
  known_format = False
  while len(prefix := _part(file, head, position, 8)) == 8:
    kind, length = struct.unpack('<4sI', prefix)
    position += 8
    if kind == b'fmt ':
      fault = _format_fault(_part(file, head, position, min(length, 40)))
      if fault is not None:
        return _rejected(fault)
      known_format = True
    elif kind == b'data':
      if not known_format:
        return _rejected('no format chunk before the data')
      return _Layout(
        position, length // 2, _data_fault(length, size - position)
      )
    position += length + length % 2  # Chunks start at even offsets.
  return _rejected('truncated (no data chunk)')


def _part(file: int, head: bytes, start: int, count: int) -> bytes:
  if start + count <= len(head):
    return head[start : start + count]
  # Long chunks of text may come before the data, beyond the head.
  return os.pread(file, count, start)


def _format_fault(chunk: bytes) -> str | None:
  if len(chunk) < 16:
    return 'damaged (format chunk too short)'
  form, channels, rate, _, _, bits = struct.unpack('<HHIIHH', chunk[:16])
  if form == _EXTENSIBLE and chunk[26:40] == _GUID_TAIL:
    form = int.from_bytes(chunk[24:26], 'little')
  if form != _PCM:
    return f'not PCM (format {form}; 16-bit PCM is needed)'
  if bits != 16:
    return f'{bits} bits a sample (16-bit PCM is needed)'
  if channels != 1:
    kind = 'stereo' if channels == 2 else 'not mono'
    return f'{kind} ({channels} channels; mono is needed)'
  if rate != source.SAMPLE_RATE:
    return f'{rate} Hz ({source.SAMPLE_RATE} Hz is needed)'
  return None


def _data_fault(length: int, available: int) -> str | None:
  if length > available:
    return f'truncated ({available} of {length} bytes of audio)'
  if not length:
    return 'no samples'
  if length % 2:
    return f'damaged ({length} bytes of audio are half a sample too many)'
  return None


def _rejected(fault: str) -> _Layout:
  return _Layout(0, 0, fault)
