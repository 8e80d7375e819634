import pytest

from bnn_jax import errors
from experiments import program


def test_the_status_is_what_the_experiment_returns(monkeypatch):
  monkeypatch.setattr('sys.argv', ['name', '--flag'])
  for status in (None, 1):
    seen = []

    def experiment(arguments, seen=seen, status=status):
      seen += arguments
      return status

    with pytest.raises(SystemExit) as ended:
      program.run(experiment)
    assert ended.value.code == status and seen == ['--flag']


def test_bad_input_is_one_line(monkeypatch):
  monkeypatch.setattr('sys.argv', ['name'])

  def fail(arguments):
    raise errors.UserError('no such file; name another.')

  with pytest.raises(SystemExit) as ended:
    program.run(fail)
  assert ended.value.code == 'error: no such file; name another.'
