"""Which engine runs where, and what users are told of it."""

import jax
import jax.numpy as jnp
import pytest

from bnn_jax.nn import accumulator
from bnn_jax.nn import geometry
from bnn_jax.nn.kernels import choice
from bnn_jax.nn.kernels import compiled
from tests.contract import cases
from tests.contract import engines


def test_the_engine_is_named():
  assert choice.describe().startswith('overflow engine: ')
  assert choice.choose('lax') == 'lax'


def test_the_environment_names_an_engine(monkeypatch):
  monkeypatch.setenv(choice.VARIABLE, 'lax')
  assert choice.choose(None) == 'lax'
  assert choice.describe() == (
    f'overflow engine: lax on cpu, which {choice.VARIABLE} names'
  )


def test_an_engine_that_is_not_there_is_refused():
  with pytest.raises(ValueError, match="'none'.*lax"):
    choice.choose('none')


def test_the_layers_of_another_engine_are_told(monkeypatch):
  levels = compiled.LEVELS
  monkeypatch.setattr(compiled, 'library', lambda: compiled.Library(levels))
  assert choice.describe() == (
    'overflow engine: avx512 on cpu; lax where a group has fewer than 8 outputs'
  )
  levels = levels[:2]
  assert choice.describe().endswith('8 outputs or registers saturate')
  shape = geometry.geometry((1, 4, 16), (3, 8, 16), groups=2)
  for mode, engine in (
    ('exact', 'avx2'), ('wrap', 'avx2'), ('saturate', 'lax'),
  ):
    register = accumulator.Accumulator(4, mode)
    assert choice.choose(None, register, shape, 16) == engine
    assert choice.choose(None, register, shape, 14) == 'lax'


def test_without_the_library_the_reference_runs(monkeypatch):
  monkeypatch.setattr(compiled, 'library_path', lambda: None)
  monkeypatch.setattr(compiled, 'library', compiled.library.__wrapped__)
  assert choice.choose(None) == 'lax'
  assert 'install a C compiler' in choice.describe()


def test_the_library_of_another_machine_is_told(monkeypatch, tmp_path):
  path = tmp_path / 'overflow.so'
  path.write_bytes(b'\x7fELF of another machine')
  monkeypatch.setattr(compiled, 'library_path', lambda: path)
  monkeypatch.setattr(compiled, 'library', compiled.library.__wrapped__)
  assert choice.available() == ('lax',)
  assert choice.choose(None) == 'lax'
  assert f'cannot be loaded ({path}' in choice.describe()


@pytest.mark.parametrize(
  'devices, chosen, told',
  [(1, 'pallas', 'fewer than 16 outputs'), (2, 'lax', 'one GPU a process')],
)
def test_the_kernel_of_a_gpu_runs_on_one_alone(
  monkeypatch, devices, chosen, told
):
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  monkeypatch.setattr(jax, 'device_count', lambda: devices)
  assert choice.choose(None) == chosen
  assert choice.choose('pallas') == 'pallas'
  assert told in choice.describe()


def test_the_device_that_is_used_chooses(monkeypatch):
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  monkeypatch.setattr(jax, 'device_count', lambda: 1)
  for device in (jax.devices('cpu')[0], 'cpu'):
    with jax.default_device(device):
      assert choice.available() == ('lax', *compiled.levels())
      assert 'pallas' not in choice.describe()
  assert choice.choose(None) == 'pallas'


def test_the_interpreter_runs_where_the_device_is_no_gpu(monkeypatch):
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  x, w = jnp.ones((2, 20)), jnp.ones((20, 17))
  with jax.default_device(jax.devices('cpu')[0]):
    y = engines.through('pallas', x, w, accumulator.Accumulator(8, 'saturate'))
  assert cases.integers(y.result) == [[20] * 17] * 2
