import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import espeak
from bnn_jax.data import speakers


def _say(session, text='stop', rate=170, pitch=50, pitch_range=50):
  return session.say(text, rate=rate, pitch=pitch, pitch_range=pitch_range)


def _said(voice, seed=0, **options):
  with espeak.Session(seed) as session:
    session.use_voice(voice)
    return _say(session, **options)


def test_a_session_forgets_everything_said_before():
  voices = ('gmw/en+m3', 'gmw/en+whisper', 'gmw/en+klatt4')
  before = [_said(voice).tobytes() for voice in voices]
  with espeak.Session(7) as session:
    session.use_voice('gmw/en-US+f1')
    _say(session, 'something else', rate=300, pitch=90)
  assert [_said(voice).tobytes() for voice in voices] == before


def test_each_variant_says_the_same_again():
  variants = speakers.SEEN_VARIANTS + speakers.UNSEEN_VARIANTS
  first, again = (
    [_said(f'gmw/en-US+{variant}').tobytes() for variant in variants]
    for _ in range(2)
  )
  differing = [
    name for name, a, b in zip(variants, first, again, strict=True) if a != b
  ]
  assert not differing


def test_seed_reaches_the_noise_in_the_voice():
  voice = 'gmw/en+whisper'
  assert _said(voice).tobytes() == _said(voice).tobytes()
  assert _said(voice).tobytes() != _said(voice, seed=1).tobytes()


def test_all_voices_of_the_corpus_differ():
  accents = speakers.SEEN_ACCENTS + speakers.UNSEEN_ACCENTS
  variants = speakers.SEEN_VARIANTS + speakers.UNSEEN_VARIANTS
  voices = {f'gmw/en-US+{variant}' for variant in variants}
  voices |= {f'{accent}+f1' for accent in accents}
  audio = {_said(v, text='forward').tobytes() for v in voices}
  assert len(audio) == len(voices) == len(accents) + len(variants) - 1


@pytest.mark.parametrize('name', ['gmw/nowhere+f1', 'gmw/en-US+nobody', 'en'])
def test_wrong_voice_is_refused(name):
  with espeak.Session(0) as session:
    session.use_voice('gmw/en-US+m3')
    with pytest.raises(errors.UserError, match='has no voice'):
      session.use_voice(name)


def test_parameters_reach_the_speech():
  slow, fast = (len(_said('gmw/en+m3', rate=r)) for r in (120, 240))
  assert slow > 1.4 * fast
  low, high = (_pitch(_said('gmw/en+m3', pitch=p)) for p in (20, 80))
  assert high > 1.2 * low
  flat, lively = (_said('gmw/en+m3', pitch_range=r).tobytes() for r in (0, 100))
  assert flat != lively


def _pitch(speech):
  """Returns the frequency of the highest peak of the autocorrelation."""
  power = np.abs(np.fft.rfft(speech, 2 * len(speech))) ** 2
  correlation = np.fft.irfft(power)
  shortest, longest = espeak.SAMPLE_RATE // 400, espeak.SAMPLE_RATE // 60
  peak = np.argmax(correlation[shortest:longest])
  return espeak.SAMPLE_RATE / (shortest + peak)


def test_two_sessions_at_once_are_refused():
  with espeak.Session(0):
    with pytest.raises(RuntimeError, match='in use'):
      espeak.Session(0)
  assert len(_said('gmw/en+m3')) > 2000


def test_missing_library_names_the_remedy(monkeypatch, tmp_path):
  path = str(tmp_path / 'libespeak-ng.so')
  monkeypatch.setattr(espeak.espeakng_loader, 'get_library_path', lambda: path)
  with pytest.raises(errors.UserError, match='reinstall espeakng-loader'):
    espeak.Session(0)


def test_missing_voices_name_the_remedy(monkeypatch, tmp_path):
  monkeypatch.setattr(
    espeak.espeakng_loader, 'get_data_path', lambda: str(tmp_path / 'none')
  )
  with pytest.raises(errors.UserError, match='reinstall espeakng-loader'):
    espeak.Session(0)
  monkeypatch.undo()
  assert len(_said('gmw/en+m3')) > 2000
