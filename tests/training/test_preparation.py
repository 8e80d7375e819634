import pytest
import rich.console

from bnn_jax import errors
from bnn_jax.training import preparation
from bnn_jax.training import workdir
from configs import kws


def test_a_failure_lets_the_workdir_go(tmp_path, tiny_data, monkeypatch):
  def fail(*unused, **named):
    raise errors.UserError('no state')

  monkeypatch.setattr(preparation.state_lib, 'create', fail)
  config = kws.get_config(f'smoke,data=folder,data_dir={tiny_data}')
  config.training.batch_size = 8
  # The error is kept, as by an interactive shell, and its frames with it.
  with pytest.raises(errors.UserError, match='no state') as kept:
    preparation.prepare(config, tmp_path / 'run', rich.console.Console())
  with workdir.hold(tmp_path / 'run'):
    assert kept.value
