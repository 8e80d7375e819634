import pathlib
import shutil
import subprocess

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.export import c_engine
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import print_c
from bnn_jax.export import specs
from tests.export import c_networks
from tests.export import networks
from tests.export import planes

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
STRICT = ('-Wall', '-Wextra', '-Wpedantic', '-Werror')
SANITIZE = ('-fsanitize=address,undefined', '-fno-sanitize-recover=all')
WIDE = specs.Stream(16, 3)
MODELS = {
  'narrow': c_networks.side_by_side(c_networks.CASES),
  'wide': c_networks.side_by_side(c_networks.WIDE, 1, WIDE),
}
PROGRAM = pathlib.Path(__file__).with_name('logits.c')
Q = c_networks.clips(6)


def options(target: str, level: str = '-O1') -> tuple[str, ...]:
  """Those of a target, where this processor has it."""
  found, features = TARGETS[target]
  info = pathlib.Path('/proc/cpuinfo')
  words = set(info.read_text().split()) if info.exists() else set()
  if not words.issuperset(features):
    pytest.skip(f'The processor lacks {" or ".join(features)}.')
  return (*STRICT, level, *found)


@pytest.fixture(scope='module')
def expected(tmp_path_factory):
  folder = tmp_path_factory.mktemp('c')
  for name, model in MODELS.items():
    files.write(folder / name, model)
  return {
    name: golden.intermediates(golden.read(folder / name), Q) for name in MODELS
  }


REGISTERS = [
  specs.Accumulator(4, 'saturate', 5, 'dot'),
  specs.Accumulator(4, 'wrap', 5, 'popcount'),
  specs.Accumulator(3, 'saturate', 1, 'popcount'),
  specs.Accumulator(5, 'exact', 8, 'dot'),
]


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


def test_crop(tmp_path):
  model = networks.unpadded(3)
  files.write(tmp_path / 'export', model)
  q = networks.clips(6, frames=networks.WINDOW)
  sources = print_c.sources(model, keep=True)
  found = c_engine.layers(model, sources, q, options('default'))
  wanted = golden.intermediates(golden.read(tmp_path / 'export'), q)
  assert_equal(model, found, wanted)


@pytest.mark.parametrize('compiler', COMPILERS)
def test_compilers(compiler, expected, monkeypatch):
  monkeypatch.setenv('CC', compiler)
  sources = print_c.sources(MODELS['narrow'], keep=True)
  found = c_engine.layers(MODELS['narrow'], sources, Q, (*STRICT, '-O0', PLAIN))
  assert_equal(MODELS['narrow'], found, expected['narrow'])


@pytest.mark.parametrize('target', TARGETS)
def test_planes_at_every_target(target, tmp_path):
  for seed, register in enumerate(REGISTERS[:2]):
    model, q = planes.network(seed, register), planes.clips(6, seed)
    files.write(tmp_path / 'export', model)
    wanted = golden.intermediates(golden.read(tmp_path / 'export'), q)
    sources = print_c.sources(model, keep=True)
    found = c_engine.layers(model, sources, q, options(target))
    assert_equal(model, found, wanted)


@pytest.mark.parametrize('make', [networks, planes])
@pytest.mark.parametrize('seed', range(4))
def test_whole_networks(seed, make, tmp_path):
  model = make.network(seed, REGISTERS[seed])
  files.write(tmp_path / 'export', model)
  q = make.clips(20, seed)
  wanted = golden.intermediates(golden.read(tmp_path / 'export'), q)
  found = c_engine.intermediates(tmp_path / 'export', q)
  assert_equal(model, found, wanted)
  logits = c_engine.logits(tmp_path / 'export', q)
  assert np.array_equal(logits, wanted['classifier'])
  assert logits.dtype == np.int32


def test_sanitizers_find_nothing_in_planes(tmp_path):
  model, q = planes.network(1), planes.clips(6)
  files.write(tmp_path / 'export', model)
  wanted = golden.logits(golden.read(tmp_path / 'export'), q)
  assert np.array_equal(sanitized(model, 'avx2', q, tmp_path), wanted)


@pytest.mark.parametrize('name, target', [
  ('narrow', 'plain'), ('narrow', 'avx2'), ('wide', 'plain'),
])
def test_sanitizers_find_nothing(name, target, expected, tmp_path):
  logits = sanitized(MODELS[name], target, Q, tmp_path)
  assert np.array_equal(logits, expected[name]['classifier'])


def sanitized(model, target, q, tmp_path):
  """Logits of a program in which an error ends the run."""
  print_c.write_sources(model, tmp_path)
  program = tmp_path / 'logits'
  subprocess.run(
    ['cc', '-std=c99', *options(target, '-O0'), *SANITIZE, f'-I{tmp_path}',
     PROGRAM, tmp_path / print_c.SOURCE, '-o', program],
    check=True,
  )
  done = subprocess.run(
    [program], input=q.tobytes(), capture_output=True, check=True
  )
  assert not done.stderr
  return np.frombuffer(done.stdout, np.int32).reshape(len(q), -1)


def test_class_names_and_ties(tmp_path):
  print_c.write_sources(MODELS['narrow'], tmp_path)
  (tmp_path / 'names.c').write_text(
    '#include <stdio.h>\n#include "bnn_model.h"\nint main(void) {\n'
    '  const int32_t logits[] = {-5, 7, 7};\n'
    '  for (int i = 0; i < BNN_CLASSES; ++i) puts(bnn_class_names[i]);\n'
    '  printf("%d\\n", bnn_argmax(logits));\n  return 0;\n}\n'
  )
  subprocess.run(
    ['cc', '-std=c99', 'names.c', print_c.SOURCE, '-o', 'names'], cwd=tmp_path,
    check=True,
  )
  done = subprocess.run([tmp_path / 'names'], capture_output=True, check=True)
  assert done.stdout.decode().splitlines() == ['yes', 'a "b"\\', 'né??/', '1']
  assert (tmp_path / print_c.HEADER).read_text().count('BNN_CLASSES 3\n') == 1
  print_c.write_sources(MODELS['wide'], tmp_path)
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    'bnn_model.c', 'bnn_model.h', 'names', 'names.c'
  ]


def test_without_a_compiler(monkeypatch, tmp_path):
  monkeypatch.delenv('CC', raising=False)
  monkeypatch.setenv('PATH', str(tmp_path))
  assert 'install gcc or clang' in c_engine.missing()
  sources = print_c.sources(MODELS['wide'])
  with pytest.raises(errors.UserError, match='no C compiler is found; install'):
    c_engine.layers(MODELS['wide'], sources, Q)


def test_a_compiler_that_is_not_there(monkeypatch):
  """None is taken in its place."""
  for name in ('no-such-compiler', 'cc -m32'):
    monkeypatch.setenv('CC', name)
    with pytest.raises(errors.UserError, match=f"CC='{name}' is no program"):
      c_engine.missing()


def test_a_compiler_that_does_not_run(monkeypatch, tmp_path):
  program = tmp_path / 'compiler'
  program.write_bytes(b'no program')
  program.chmod(0o755)
  monkeypatch.setenv('CC', str(program))
  sources = print_c.sources(MODELS['wide'])
  with pytest.raises(errors.UserError, match='compiler cannot be run .Exec'):
    c_engine.layers(MODELS['wide'], sources, Q)


@pytest.mark.parametrize('script', [
  'exit 0',
  'for name; do output=$name; done; echo no library > $output',
])
def test_a_compiler_without_a_library(monkeypatch, tmp_path, script):
  program = tmp_path / 'compiler'
  program.write_text(f'#!/bin/sh\n{script}\n')
  program.chmod(0o755)
  monkeypatch.setenv('CC', str(program))
  sources = print_c.sources(MODELS['wide'])
  with pytest.raises(errors.UserError) as one:
    c_engine.layers(MODELS['wide'], sources, Q)
  words = str(one.value)
  assert words.startswith(f'what {program} makes of bnn_model.c cannot be loa')
  assert words.endswith(
    '); name a compiler for this machine in the variable CC, or a folder whose '
    'programs may run in the variable TMPDIR.'
  )


def test_code_of_another_network(tmp_path):
  """None writes behind the logits of the export that it lies beside."""
  folder, foreign = tmp_path / 'export', networks.network()
  files.write(folder, MODELS['wide'])
  (folder / print_c.FOLDER).mkdir()
  print_c.write_sources(foreign, folder / print_c.FOLDER)
  with pytest.raises(errors.UserError) as one:
    c_engine.logits(folder, Q)
  assert str(one.value) == (
    f'{folder}/c/bnn_model.h is of another network; export the network again.'
  )


def test_code_that_does_not_compile():
  with pytest.raises(
    errors.UserError, match=r'bnn_model.c does not compile with .*; export the'
  ):
    c_engine.layers(MODELS['wide'], {print_c.SOURCE: 'int'}, Q)


def test_clips_of_another_shape(tmp_path):
  files.write(tmp_path / 'export', MODELS['wide'])
  with pytest.raises(errors.UserError, match='not uint8 with 9 frames of 8'):
    c_engine.logits(tmp_path / 'export', Q[:, 1:])


def test_the_exported_sources_are_those_that_run(tmp_path):
  folder = tmp_path / 'export'
  files.write(folder, MODELS['wide'])
  (folder / print_c.FOLDER).mkdir()
  print_c.write_sources(MODELS['wide'], folder / print_c.FOLDER)
  right = c_engine.logits(folder, Q)
  path = folder / print_c.FOLDER / print_c.SOURCE
  path.write_text(path.read_text().replace('sum = biases[n]', 'sum = 1'))
  assert not np.array_equal(c_engine.logits(folder, Q), right)


@pytest.mark.parametrize('name', [print_c.HEADER, print_c.SOURCE])
@pytest.mark.parametrize('change, words', [
  (lambda content: b'', 'is truncated'),
  (lambda content: content[: len(content) // 2], 'is truncated'),
  (lambda content: content[:-3], 'is truncated'),
  (lambda content: b'\xff' + content, "cannot be read .'utf-8' codec"),
  (lambda content: b'x ' + content, 'bnn_model.c does not compile with '),
])
def test_damaged_sources_are_named(tmp_path, name, change, words):
  model, folder = networks.network(), tmp_path / 'export'
  files.write(folder, model)
  (folder / print_c.FOLDER).mkdir()
  print_c.write_sources(model, folder / print_c.FOLDER)
  path = folder / print_c.FOLDER / name
  path.write_bytes(change(path.read_bytes()))
  with pytest.raises(errors.UserError, match=f'{words}.*; export the') as one:
    c_engine.logits(folder, networks.clips(1))
  assert str(path.parent) in str(one.value)


def test_sources_without_the_function(tmp_path):
  model, folder = networks.network(), tmp_path / 'export'
  files.write(folder, model)
  (folder / print_c.FOLDER).mkdir()
  print_c.write_sources(model, folder / print_c.FOLDER)
  for name in (print_c.HEADER, print_c.SOURCE):
    path = folder / print_c.FOLDER / name
    path.write_text(path.read_text().replace('bnn_run(', 'run('))
  with pytest.raises(errors.UserError, match='has no function bnn_run; export'):
    c_engine.logits(folder, networks.clips(1))
