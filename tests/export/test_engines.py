"""All engines refuse the same clips and exports, by the same error."""

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.export import engines
from bnn_jax.export import files
from bnn_jax.export import golden
from tests.export import networks

ENGINES = {
  name: engine for name, engine in engines.ENGINES.items()
  if engine.missing() is None
}
Q = networks.clips(2)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('engines') / 'export'
  files.write(folder, networks.network())
  return folder


@pytest.mark.parametrize('name', ENGINES)
@pytest.mark.parametrize('q', [
  Q[:, 1:], np.pad(Q, ((0, 0), (0, 1), (0, 0))), Q[..., 1:], Q[0], Q[None],
  np.uint8(3), Q.astype(np.int32), Q.astype(np.int8), Q.astype(float), Q > 9,
  Q[:0, 1:], Q[:0].astype(np.int32),
], ids=lambda q: f'{q.dtype}{list(q.shape)}')
def test_clips_that_do_not_fit(folder, name, q):
  words = f'clips of {q.dtype} .* are not uint8 .n, 11, 6. .* for {folder}.$'
  for run in (ENGINES[name].logits, ENGINES[name].intermediates):
    with pytest.raises(errors.UserError, match=words):
      run(folder, q)


@pytest.mark.parametrize('name', ENGINES)
def test_no_clips(folder, name):
  logits = ENGINES[name].logits(folder, Q[:0])
  assert (logits.shape, logits.dtype) == ((0, 4), np.int32)
  words = r'of uint8 \[0, 11, 6\] .* with n from 1 on'
  with pytest.raises(errors.UserError, match=words):
    ENGINES[name].intermediates(folder, Q[:0])


@pytest.mark.parametrize('name', ENGINES)
def test_some_clips(folder, name):
  expected = golden.intermediates(golden.read(folder), Q)
  logits = ENGINES[name].logits(folder, Q)
  assert logits.dtype == np.int32
  assert np.array_equal(logits, expected['classifier'])
  found = ENGINES[name].intermediates(folder, Q)
  assert np.array_equal(found['classifier'], logits)


@pytest.mark.parametrize('name', ['logits', 'intermediates'])
def test_what_the_golden_model_refuses(folder, monkeypatch, name):
  def refuse(*unused):
    raise golden.ModelError('layer stem, field words does not fit')

  monkeypatch.setattr(golden, name, refuse)
  run = getattr(engines.ENGINES['golden'], name)
  with pytest.raises(errors.UserError, match='^layer stem, field words does'):
    run(folder, Q)
