import signal

import jax.numpy as jnp
import pytest

from bnn_jax import errors
from bnn_jax.training import loop
from bnn_jax.training import metrics
from tests import tiny


def test_loss_that_is_not_finite(tmp_path):
  good = metrics.Means.of_batch(loss=jnp.float32(1.0))
  loop._check_finite(good, 7, tmp_path)
  for value in (jnp.inf, jnp.nan):
    bad = metrics.Means.of_batch(loss=jnp.float32(value))
    with pytest.raises(errors.UserError, match='the loss of step 7 is'):
      loop._check_finite(bad, 7, tmp_path)


def test_parameters_that_are_not_finite_are_not_saved(tmp_path):
  state = tiny.state(tiny.network())
  loop._check_parameters(state, tmp_path)
  bias = state.params['classifier']['bias'].at[1].set(jnp.nan)
  classifier = state.params['classifier'] | {'bias': bias}
  bad = state.replace(params=state.params | {'classifier': classifier})
  with pytest.raises(errors.UserError, match='classifier/bias is not finite'):
    loop._check_parameters(bad, tmp_path)


def test_batch_for_the_devices(monkeypatch):
  monkeypatch.setattr(loop.jax, 'devices', lambda: [0, 1, 2])
  with pytest.raises(errors.UserError, match='batch_size=8 .* 3 devices'):
    loop._mesh(8)


def test_signals_are_collected_and_given_back():
  before = signal.getsignal(signal.SIGTERM)
  with loop._signals() as received:
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    assert received == [signal.SIGTERM, signal.SIGINT]
  assert signal.getsignal(signal.SIGTERM) is before
  stop = loop.StopError(signal.SIGTERM, 5)
  assert (str(stop), stop.number, stop.step) == ('stopped by SIGTERM', 15, 5)
