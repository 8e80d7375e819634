import json
import signal
import socket
import subprocess
import time
import types
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from orbax import checkpoint as ocp
import pytest

from bnn_jax import errors
from bnn_jax.training import checkpoints
from bnn_jax.training import loop
from bnn_jax.training import metrics
from bnn_jax.training import preparation
from tests import conftest
from tests import tiny


def test_loss_that_is_not_finite(tmp_path):
  loop._check_finite(jnp.float32(1.0), 7, tmp_path)
  for value in (jnp.inf, jnp.nan):
    with pytest.raises(errors.UserError, match='the loss of step 7 is'):
      loop._check_finite(jnp.float32(value), 7, tmp_path)


def test_parameters_that_are_not_finite_are_not_saved(tmp_path):
  state = tiny.state(tiny.network())
  loop._check_parameters(state, tmp_path)
  bias = state.params['classifier']['bias'].at[1].set(jnp.nan)
  classifier = state.params['classifier'] | {'bias': bias}
  bad = state.replace(params=state.params | {'classifier': classifier})
  with pytest.raises(errors.UserError, match='classifier/bias is not finite'):
    loop._check_parameters(bad, tmp_path)


def test_loss_that_is_not_finite_is_not_saved(tmp_path, monkeypatch):
  """Of a step, too, that ends with a checkpoint and with nothing else."""
  saved = []
  monkeypatch.setattr(
    loop.checkpoints_lib, 'save', lambda *given: saved.append(given)
  )
  state = tiny.state(tiny.network())
  losses = iter([1.0, 1.0, jnp.nan, 1.0])
  run = types.SimpleNamespace(
    folder=tmp_path, state=state, batches=mock.MagicMock(), batch_size=10,
    epoch_steps=3, steps=6, checkpoints=None, deploy=lambda state: state,
    train_step=lambda state, batch: (
      state, metrics.Means.of_batch(loss=jnp.float32(next(losses)))
    ),
  )
  run.batches.__next__.return_value = {}
  periods = types.SimpleNamespace(
    log_steps=100, validation_epochs=2, checkpoint_epochs=1
  )
  with pytest.raises(errors.UserError, match='the loss of step 3 is nan'):
    loop._loop(run, periods, None, mock.Mock(), [])
  assert not saved


def test_batch_for_the_devices(monkeypatch):
  monkeypatch.setattr(preparation.jax, 'devices', lambda: [0, 1, 2])
  with pytest.raises(errors.UserError, match='batch_size=8 .* 3 devices'):
    preparation._check_devices(8)


def test_signals_are_collected_and_given_back():
  before = signal.getsignal(signal.SIGTERM)
  with loop._signals() as received:
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    assert received == [signal.SIGTERM, signal.SIGINT]
    assert loop._stopping(received) == signal.SIGTERM
  assert signal.getsignal(signal.SIGTERM) is before
  stop = loop.StopError(signal.SIGTERM, 5)
  assert (str(stop), stop.number, stop.step) == ('stopped by SIGTERM', 15, 5)


# 12 steps of a network without signs, where rounding is not amplified.
FLOAT = (
  '--config.model.variant=float', '--config.training.epochs=4',
  '--config.training.log_steps=1', '--config.training.checkpoint_epochs=4',
  '--config.training.validation_epochs=4',
)


def two_processes(command, folder, port, stop=False) -> list[tuple[int, str]]:
  """Trains with two; exit status and output of both.

  Args:
    command: the fixture.
    folder: the workdir.
    port: a free one.
    stop: whether to end the second process, and no other, after two steps.
  """
  running = [
    subprocess.Popen(
      command.line(folder, *FLOAT), cwd=conftest.ROOT, text=True,
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
      env=command.environment | {
        'JAX_COORDINATOR_ADDRESS': f'127.0.0.1:{port}',
        'JAX_NUM_PROCESSES': '2', 'JAX_PROCESS_ID': str(index),
      },
    )
    for index in range(2)
  ]
  try:
    end = time.monotonic() + 200
    while stop and len(losses(folder)) < 2:
      assert time.monotonic() < end and running[0].poll() is None
      time.sleep(0.005)
    if stop:
      running[1].send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=200)[0] for process in running]
  finally:
    for process in running:
      process.kill()
  return [
    (process.returncode, output)
    for process, output in zip(running, outputs, strict=True)
  ]


def losses(folder) -> list[tuple[int, float]]:
  """(step, loss) by the metrics that were written."""
  path = folder / 'metrics.jsonl'
  lines = path.read_text().splitlines() if path.exists() else []
  entries = [json.loads(line) for line in lines]
  return [(e['step'], e['loss']) for e in entries if e['kind'] == 'train']


def params_of(folder):
  """Parameters of the last step, whatever devices wrote them."""
  with checkpoints.manager(str(folder / 'checkpoints')) as manager:
    restored = ocp.StandardCheckpointer().metadata(
      manager.directory / '12' / 'state'
    )
    like = jax.tree.map(
      lambda leaf: np.zeros(leaf.shape, leaf.dtype), restored.item_metadata
    )
    state = manager.restore(
      12, args=ocp.args.Composite(state=ocp.args.StandardRestore(like.tree))
    )['state']
  return state['params']


def test_two_processes_train_as_one(command, tmp_path):
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  alone = command(tmp_path / 'one', *FLOAT)
  assert alone.returncode == 0, alone.stderr
  for status, output in two_processes(command, tmp_path / 'two', port, True):
    assert status == 128 + signal.SIGTERM, output
    assert 'Traceback' not in output
  stopped = [
    int(path.name) for path in (tmp_path / 'two' / 'checkpoints').iterdir()
  ]
  assert len(stopped) == 1 and 2 <= stopped[0] < 12
  (status, output), (second, quiet) = two_processes(
    command, tmp_path / 'two', port
  )
  assert (status, second) == (0, 0), output + quiet
  assert f'going on from step {stopped[0]}' in output
  assert 'step' not in quiet
  one, two = losses(tmp_path / 'one'), losses(tmp_path / 'two')
  # Each step once: the second process writes none.
  assert [step for step, _ in two] == list(range(1, 13))
  np.testing.assert_allclose(two, one, rtol=1e-4)
  for (path, value), other in zip(
    jax.tree_util.tree_leaves_with_path(params_of(tmp_path / 'one')),
    jax.tree.leaves(params_of(tmp_path / 'two')), strict=True,
  ):
    np.testing.assert_allclose(value, other, atol=1e-4, err_msg=str(path))
  names = [
    sorted(path.name for path in (tmp_path / name).iterdir()
           if not path.name.startswith('events'))
    for name in ('one', 'two')
  ]
  assert names[0] == names[1]
