import pytest

from bnn_jax import errors
from bnn_jax.accelerator import fields
from bnn_jax.accelerator import tools
from tests.accelerator import installed


def test_missing_programs_are_named():
  assert tools.missing(()) is None
  sentence = tools.missing(('python3', 'no-such-tool', 'nor-this'))
  assert sentence is not None
  assert sentence.startswith('no-such-tool, nor-this cannot be found; ')
  assert './launch.sh rtl-tools' in sentence
  with pytest.raises(errors.UserError, match='no-such-tool'):
    tools.require(('no-such-tool',))


def test_a_program_that_fails(tmp_path):
  assert tools.run(['sh', '-c', 'pwd'], tmp_path).strip() == str(tmp_path)
  with pytest.raises(errors.UserError, match='sh failed with status 3.*oh no'):
    tools.run(['sh', '-c', 'echo oh no >&2; exit 3'], tmp_path)
  with pytest.raises(errors.UserError, match='3; look at it. It said: $'):
    tools.run(['sh', '-c', 'exit 3'], tmp_path, 'look at it')


@installed.needs()
def test_a_cache_that_cannot_be_made(tmp_path, monkeypatch):
  (tmp_path / 'file').touch()
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
  with pytest.raises(errors.UserError, match='XDG_CACHE_HOME'):
    tools.build('pe', {}, fields.RTL / 'simulator.cc')
