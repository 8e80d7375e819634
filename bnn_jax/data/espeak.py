"""Speech from text with espeak-ng, called in process through ctypes.

The library and its voices come with the package `espeakng-loader`. Functions
and codes are those of `espeak-ng/speak_lib.h` of espeak-ng 1.52.
"""

import _ctypes
import ctypes
import os

import espeakng_loader
import numpy as np

from bnn_jax import errors

SAMPLE_RATE = 22050

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback.
_DO_NOT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT
_RATE, _PITCH, _RANGE = 1, 3, 4
_CHARACTERS = 1  # POS_CHARACTER
_UTF8 = 1  # espeakCHARS_UTF8

_Callback = ctypes.CFUNCTYPE(
  ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)


class _VoiceInfo(ctypes.Structure):
  """The first fields of espeak_VOICE; the rest is not read."""

  _fields_ = [
    ('name', ctypes.c_char_p),
    ('languages', ctypes.c_char_p),
    ('identifier', ctypes.c_char_p),
  ]


class Session:
  """A freshly loaded espeak-ng, to be used in a `with` statement.

  What espeak-ng says depends on everything it has said before: phases of the
  oscillators live in static variables that `espeak_Terminate` keeps. Only
  unloading the library clears them, so a session loads it and unloads it, in
  under a millisecond, and equal calls in a session give equal samples.
  """

  def __init__(self, seed: int):
    """Loads the library.

    Args:
      seed: for the noise in the voices, 0 <= seed < 2**31.

    Raises:
      UserError: the library or its data cannot be loaded.
      RuntimeError: this process has the library loaded already.
    """
    self._chunks: list[bytes] = []
    self._library = _load()
    # Kept in the session, since ctypes holds no reference to a callback.
    self._callback = _Callback(self._receive)
    self._library.espeak_SetSynthCallback(self._callback)
    self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
    # The breath of some variants comes from the generator of the C library,
    # which keeps its state whatever is loaded.
    ctypes.CDLL(None).srand(ctypes.c_uint(seed))

  def __enter__(self) -> 'Session':
    return self

  def __exit__(self, *exception: object) -> None:
    self._library.espeak_Terminate()
    _ctypes.dlclose(self._library._handle)
    del self._library

  def use_voice(self, name: str) -> None:
    """Changes the voice.

    Args:
      name: the voice file, '+' and the variant, such as 'gmw/en-US+f3'.

    Raises:
      UserError: espeak-ng has no such voice or variant.
    """
    # For an unknown variant the code is 0 and the variant is left out; for an
    # unknown voice the former one stays. Only the identifier tells.
    self._library.espeak_SetVoiceByName(name.encode())
    voice = self._library.espeak_GetCurrentVoice()
    current = voice.contents.identifier.decode() if voice else 'none'
    if current != name:
      raise errors.UserError(
        f'espeak-ng has no voice {name!r} (it chose {current!r}); reinstall'
        ' espeakng-loader in the version that setup.cfg names.'
      )

  def say(
    self, text: str, *, rate: int, pitch: int, pitch_range: int
  ) -> np.ndarray:
    """Returns a spoken text.

    Args:
      text: English words.
      rate: words a minute, 80 to 450.
      pitch: 0 to 100; 50 is what the voice has by nature.
      pitch_range: 0 (monotone) to 100; 50 is what the voice has by nature.

    Returns:
      int16 `[n]` at `SAMPLE_RATE`, with some silence at the ends.

    Raises:
      RuntimeError: espeak-ng reports an error or gives no samples.
    """
    self._chunks.clear()
    for parameter, value in ((_RATE, rate), (_PITCH, pitch)):
      self._library.espeak_SetParameter(parameter, value, 0)
    self._library.espeak_SetParameter(_RANGE, pitch_range, 0)
    encoded = text.encode() + b'\0'
    code = self._library.espeak_Synth(
      encoded,
      ctypes.c_size_t(len(encoded)),
      0,
      _CHARACTERS,
      0,
      _UTF8,
      None,
      None,
    )
    if code or not self._chunks:
      raise RuntimeError(f'espeak-ng cannot say {text!r} (code {code})')
    return np.frombuffer(b''.join(self._chunks), np.int16)

  def _receive(self, samples: int | None, count: int, events: object) -> int:
    if samples and count > 0:
      self._chunks.append(ctypes.string_at(samples, 2 * count))
    return 0


def _load() -> ctypes.CDLL:
  path = espeakng_loader.get_library_path()
  if _is_loaded(path):
    raise RuntimeError(
      'espeak-ng is in use in this process; end the other session first'
    )
  try:
    library = ctypes.CDLL(path)
  except OSError as error:
    raise errors.UserError(
      f'The speech synthesizer {path} cannot be loaded ({error}); reinstall'
      ' espeakng-loader.'
    ) from error
  library.espeak_GetCurrentVoice.restype = ctypes.POINTER(_VoiceInfo)
  data = espeakng_loader.get_data_path()
  rate = library.espeak_Initialize(
    _SYNCHRONOUS, 0, os.fsencode(data), _DO_NOT_EXIT
  )
  if rate != SAMPLE_RATE:
    _ctypes.dlclose(library._handle)
    raise errors.UserError(
      f'espeak-ng cannot read its data in {data} (code {rate}); reinstall'
      ' espeakng-loader, under a path of fewer than 100 characters.'
    )
  return library


def _is_loaded(path: str) -> bool:
  try:
    handle = _ctypes.dlopen(path, os.RTLD_NOLOAD | os.RTLD_LAZY)
  except OSError:
    return False
  _ctypes.dlclose(handle)
  return True
