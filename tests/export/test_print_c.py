import pathlib
import shutil
import subprocess

import numpy as np
import pytest

from bnn_jax.export import c_engine
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import print_c
from bnn_jax.export import specs
from tests.export import c_networks
from tests.export import networks

pytestmark = pytest.mark.skipif(
  c_engine.missing() is not None,
  reason='No C compiler: install gcc or clang to compare with C.',
)
COMPILERS = [name for name in ('gcc', 'clang') if shutil.which(name)]
PLAIN = '-DBNN_PLAIN'
# Options of each path through the C code, and what /proc/cpuinfo calls them.
TARGETS = {
  'plain': ((PLAIN,), ()),
  'default': ((), ()),
  'popcnt': (('-mpopcnt',), ('popcnt',)),
  'avx2': (('-mavx2', '-mpopcnt'), ('avx2', 'popcnt')),
  'avx512': (
    ('-mavx512bw', '-mavx512bitalg', '-mavx512vpopcntdq', '-mpopcnt'),
    ('avx512bw', 'avx512_bitalg', 'avx512_vpopcntdq'),
  ),
}
WIDE = specs.Stream(16, 3)
MODELS = {
  'narrow': c_networks.side_by_side(c_networks.CASES),
  'wide': c_networks.side_by_side(c_networks.WIDE, 1, WIDE),
}
PROGRAM = pathlib.Path(__file__).with_name('logits.c')
Q = c_networks.clips(6)


def options(target: str) -> tuple[str, ...]:
  """Those of a target, where this processor has it."""
  found, features = TARGETS[target]
  info = pathlib.Path('/proc/cpuinfo')
  words = set(info.read_text().split()) if info.exists() else set()
  if not words.issuperset(features):
    pytest.skip(f'The processor lacks {" or ".join(features)}.')
  return ('-O1', *found)


@pytest.fixture(scope='module')
def expected(tmp_path_factory):
  folder = tmp_path_factory.mktemp('c')
  for name, model in MODELS.items():
    files.write(folder / name, model)
  return {
    name: golden.intermediates(golden.read(folder / name), Q) for name in MODELS
  }


def assert_equal(model, found, wanted):
  for layer in model.layers:
    assert np.array_equal(found[layer.name], wanted[layer.name]), layer.name


@pytest.mark.parametrize('target', TARGETS)
@pytest.mark.parametrize('name', MODELS)
def test_every_target_gives_the_golden_integers(name, target, expected):
  model = MODELS[name]
  sources = print_c.sources(model, keep=True)
  found = c_engine.layers(model, sources, Q, options(target))
  assert_equal(model, found, expected[name])


@pytest.mark.parametrize('compiler', COMPILERS)
def test_compilers(compiler, expected, monkeypatch):
  monkeypatch.setenv('CC', compiler)
  sources = print_c.sources(MODELS['narrow'], keep=True)
  found = c_engine.layers(MODELS['narrow'], sources, Q, ('-O0', PLAIN))
  assert_equal(MODELS['narrow'], found, expected['narrow'])


@pytest.mark.parametrize('seed', range(4))
def test_whole_networks(seed, tmp_path):
  register = [
    specs.Accumulator(4, 'saturate', 5, 'dot'),
    specs.Accumulator(4, 'wrap', 5, 'popcount'),
    specs.Accumulator(3, 'saturate', 1, 'popcount'),
    specs.Accumulator(5, 'exact', 8, 'dot'),
  ][seed]
  model = networks.network(seed, register)
  files.write(tmp_path / 'export', model)
  q = networks.clips(20, seed)
  wanted = golden.intermediates(golden.read(tmp_path / 'export'), q)
  found = c_engine.intermediates(tmp_path / 'export', q)
  assert_equal(model, found, wanted)
  logits = c_engine.logits(tmp_path / 'export', q)
  assert np.array_equal(logits, wanted['classifier'])
  assert logits.dtype == np.int32


@pytest.mark.parametrize('name, target', [
  ('narrow', 'plain'), ('narrow', 'avx2'), ('wide', 'plain'),
])
def test_sanitizers_find_nothing(name, target, expected, tmp_path):
  print_c.write_sources(MODELS[name], tmp_path)
  program = tmp_path / 'logits'
  subprocess.run(
    ['cc', *c_engine.STRICT, *options(target)[1:], '-fsanitize=address,undefined',
     '-fno-sanitize-recover=all', f'-I{tmp_path}', PROGRAM,
     tmp_path / print_c.SOURCE, '-o', program],
    check=True,
  )
  done = subprocess.run(
    [program], input=Q.tobytes(), capture_output=True, check=True
  )
  assert not done.stderr
  logits = np.frombuffer(done.stdout, np.int32).reshape(len(Q), -1)
  assert np.array_equal(logits, expected[name]['classifier'])
