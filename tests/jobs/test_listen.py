import sys
import types

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.jobs import listen


def test_blocks():
  samples = np.arange(3500, dtype=np.int16)
  found = list(listen.blocks(samples))
  assert [len(block) for block in found] == [1600, 1600, 300]
  assert np.array_equal(np.concatenate(found), samples)


def test_a_microphone_needs_its_package(monkeypatch):
  monkeypatch.setitem(sys.modules, 'sounddevice', None)
  with pytest.raises(errors.UserError, match=r'install bnn_jax\[listen\]'):
    next(listen.microphone())


class Device:
  """What sounddevice.InputStream is, as far as it is used."""

  def __init__(self, rate, block, *, channels, dtype):
    assert (rate, channels, dtype) == (16000, 1, 'int16')

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    pass

  def read(self, count):
    return np.arange(count, dtype=np.int16)[:, None], False


def fake(stream):
  return types.SimpleNamespace(InputStream=stream, PortAudioError=RuntimeError)


def test_a_microphone(monkeypatch):
  monkeypatch.setitem(sys.modules, 'sounddevice', fake(Device))
  device = listen.microphone()
  for _ in range(2):
    assert np.array_equal(next(device), np.arange(listen.BLOCK))


def test_no_device(monkeypatch):
  def missing(*unused, **unused_too):
    raise RuntimeError('Error querying device -1')

  monkeypatch.setitem(sys.modules, 'sounddevice', fake(missing))
  with pytest.raises(errors.UserError, match='Error querying device -1.*--in'):
    next(listen.microphone())
