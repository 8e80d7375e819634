"""What `--mode=verify` compares of an export, and what it then says."""

import dataclasses
import hashlib
import shutil
import types

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.export import c_engine
from bnn_jax.export import exporter
from bnn_jax.export import files
from bnn_jax.export import print_c
from bnn_jax.jobs import c_sources
from bnn_jax.jobs import export
from bnn_jax.jobs import settings
from bnn_jax.jobs import verify
from bnn_jax.training import evaluate
from bnn_jax.training import setup
from tests import tiny
from tests.export import networks

CLIPS = 4
CONFIG = types.SimpleNamespace(model=types.SimpleNamespace(input_bits=8))
PAIRS = [
  'training graph vs JAX integer', 'training graph vs golden',
  'training graph vs C', 'JAX integer vs golden', 'JAX integer vs C',
  'golden vs C',
]
COMPILERS = [name for name in ('gcc', 'clang') if shutil.which(name)]
needs_c = pytest.mark.skipif(
  c_engine.missing() is not None, reason='No C compiler is found.'
)


class Exported:
  """A network, its state, and how it is exported."""

  def __init__(self):
    self.network = tiny.network()
    self.state = tiny.state(self.network)
    self.surroundings = {
      **tiny.SHAPE, 'input_bits': 8,
      'lo': float(self.state.inputs['lo']),
      'exponent': int(self.state.inputs['exponent']),
      'front_end': dataclasses.asdict(tiny.FRONT_END),
      'class_names': tiny.Split.class_names,
    }
    factor = export.logit_factor(self.state.params)
    self.model = exporter.export(
      self.network, self.state.variables(), **self.surroundings,
      provenance={'step': 7, 'logit_factor': factor},
    )


@pytest.fixture(scope='module')
def exported():
  return Exported()


@pytest.fixture
def run(exported, tmp_path, monkeypatch):
  """Runs the comparison on an export in the place of a workdir's."""
  folder = tmp_path / 'export'
  for owner, name, value in (
    (export, 'existing_path', folder),
    (export, 'surroundings', exported.surroundings),
    (evaluate, 'restore', types.SimpleNamespace(state=exported.state)),
    (setup, 'model', exported.network),
    (setup, 'front_end', tiny.FRONT_END),
    (setup, 'test_splits', ('testing',)),
    (setup, 'open_split', tiny.Split(CLIPS)),
  ):
    monkeypatch.setattr(owner, name, lambda *_, value=value: value)
  monkeypatch.setattr(c_engine, '_options', lambda: ('-O0',))

  def verified(model=exported.model, change=lambda path: None, **flags):
    files.write(folder, model, c_sources.writer(model))
    change(folder / print_c.FOLDER)
    lines: list[str] = []
    equal = verify.run(CONFIG, tmp_path, tell=lines.append, **flags)
    return equal, lines

  return verified


@needs_c
def test_all_is_equal(exported, run):
  equal, lines = run()
  assert equal
  assert lines[0].endswith('export: step 7, 4 clips')
  assert lines[1:7] == [f'{pair}: mismatches: 0 of 20' for pair in PAIRS]
  # Five fields of the input, nine settings, five names, and a factor.
  assert lines[7] == 'export vs checkpoint, settings: mismatches: 0 of 20'
  size = CLIPS * exported.model.input.frames * 8
  assert lines[8] == f'C front end vs NumPy front end: mismatches: 0 of {size}'
  assert len(lines) == 13
  assert len({line.rpartition(' ')[2] for line in lines[9:]}) == 1


@pytest.mark.parametrize('change, line', [
  (lambda one: {'input': dataclasses.replace(one.input, lo=-1.5)}, 'lo: -1.5 '),
  (lambda one: {'input': dataclasses.replace(one.input, exponent=-9)},
   'exponent: -9 and '),
  (lambda one: {'class_names': ('b', *one.class_names[1:])},
   "class_names.0: 'b' and 'a'"),
  (lambda one: {'front_end': one.front_end | {'lower_hz': 50.0}},
   'front_end.lower_hz: 50.0 and 20.0'),
  (lambda one: {'provenance': {'step': 7}}, 'logit_factor: None and '),
])
def test_each_setting_is_compared(exported, monkeypatch, change, line):
  monkeypatch.setattr(export, 'surroundings', lambda *_: exported.surroundings)
  model = dataclasses.replace(exported.model, **change(exported.model))
  lines: list[str] = []
  assert not settings.compare(
    settings.exported(model), settings.expected(CONFIG, exported.state),
    lines.append,
  )
  assert lines[0] == 'export vs checkpoint, settings: mismatches: 1 of 20'
  assert lines[1].startswith(f'  {line}')
  assert len(lines) == 2


@needs_c
def test_a_setting_of_another_checkpoint(exported, run):
  form = dataclasses.replace(exported.model.input, lo=-1.5)
  equal, lines = run(dataclasses.replace(exported.model, input=form))
  assert not equal
  assert lines[7] == 'export vs checkpoint, settings: mismatches: 1 of 20'
  # By the settings that the export states.
  assert 'NumPy front end: mismatches: 0 of' in lines[9]


def with_frames(model):
  form = dataclasses.replace(model.input, frames=12)
  return dataclasses.replace(model, input=form)


def with_bits(model):
  form = dataclasses.replace(model.input, bits=7)
  first = model.layers[0]
  model = networks.changed(
    model, first.name, input_bits=7,
    thresholds=np.broadcast_to([[1, 2, 3]], first.thresholds.shape),
  )
  return dataclasses.replace(model, input=form)


def with_classes(model):
  last = model.layers[-1]
  return dataclasses.replace(
    networks.changed(
      model, last.name, weights=np.repeat(last.weights, 2, axis=0),
      bias=np.repeat(last.bias, 2),
    ), class_names=tuple('abcdefghij'),
  )


@pytest.mark.parametrize('change, difference', [
  (with_frames, 'frames=12 instead of 13'),
  (with_bits, 'input_bits=7 instead of 8'),
  (with_classes, 'classes=10 instead of 5'),
  (lambda model: with_classes(with_frames(model)),
   'frames=12 instead of 13, classes=10 instead of 5'),
])
def test_another_size_is_refused_before_any_engine_runs(
  exported, run, monkeypatch, tmp_path, change, difference
):
  monkeypatch.setattr(verify, 'quantized', None)
  words = (
    f'^{tmp_path}/export is of another network than the checkpoint '
    rf'\({difference}\); export the network again.$'
  )
  with pytest.raises(errors.UserError, match=words):
    run(change(exported.model))


def renamed(layer, old):
  """The layer with another name for `old`, its own or that of an input."""
  inputs = tuple('other' if name == old else name for name in layer.inputs)
  name = 'other' if layer.name == old else layer.name
  return dataclasses.replace(layer, name=name, inputs=inputs)


def test_another_layer_is_refused(exported, run, monkeypatch):
  monkeypatch.setattr(verify, 'quantized', None)
  first = exported.model.layers[0].name
  model = dataclasses.replace(
    exported.model,
    layers=tuple(renamed(one, first) for one in exported.model.layers),
  )
  words = r'\(layer other gives .* the checkpoint has no such layer\); export'
  with pytest.raises(errors.UserError, match=words):
    run(model)


@pytest.mark.parametrize('provenance', [
  {}, {'step': None}, {'step': '7'}, {'step': 7.0}, {'step': True},
])
def test_without_a_step_no_checkpoint_is_taken(exported, run, provenance):
  model = dataclasses.replace(exported.model, provenance=provenance)
  with pytest.raises(errors.UserError, match='/export: provenance.step='):
    run(model)


@pytest.mark.parametrize('name, value, words', [
  ('hop_ms', 0.001, 'is less than one sample'),
  ('lower_hz', 7000.0, 'must ascend'),
  ('log_floor', 1e-30, 'leaves the range'),
])
def test_a_front_end_that_is_not_possible(
  exported, tmp_path, name, value, words
):
  front_end = exported.model.front_end | {'upper_hz': 6000.0, name: value}
  model = dataclasses.replace(exported.model, front_end=front_end)
  with pytest.raises(errors.UserError) as caught:
    settings.check_front_end(tmp_path, model)
  message = str(caught.value)
  assert message.startswith(f'{tmp_path} states a front end that is not ')
  assert words in message and message.endswith('; export the network again.')


def test_an_export_names_its_front_end_before_any_clip(exported, run):
  front_end = exported.model.front_end | {'hop_ms': 0.001}

  def change(folder):
    model = dataclasses.replace(exported.model, front_end=front_end)
    files.write(folder.parent, model)

  with pytest.raises(errors.UserError, match='/export states a front end'):
    run(change=change)


def test_a_front_end_of_no_kind_has_no_c(exported, tmp_path):
  front_end = dict(exported.model.front_end)
  del front_end['kind']
  model = dataclasses.replace(exported.model, front_end=front_end)
  files.write(tmp_path / 'export', model, c_sources.writer(model))
  names = {path.name for path in (tmp_path / 'export' / 'c').iterdir()}
  assert names == {'bnn_model.h', 'bnn_model.c'}


def edited(name, old, new):
  """A change of one file of C."""
  def change(folder):
    text = (folder / name).read_text()
    assert text.count(old) == 1
    (folder / name).write_text(text.replace(old, new))
  return change


@needs_c
def test_another_front_end_in_c_is_told(run):
  change = edited('frontend.c', '>> FRONTEND_SHIFT;', '>> FRONTEND_SHIFT ^ 1;')
  equal, lines = run(change=change)
  assert not equal
  assert 'NumPy front end: mismatches: 0 of' not in lines[8]
  assert lines[9].startswith('  first: clip 0 of those compared, index [0, ')


@needs_c
def test_a_print_anew_is_told(run, tmp_path):
  equal, lines = run(change=shutil.rmtree)
  assert equal
  assert lines[1] == f'C: printed anew, {tmp_path}/export/c/ is not there'
  assert lines[2:8] == [f'{pair}: mismatches: 0 of 20' for pair in PAIRS]
  assert 'NumPy front end: mismatches: 0 of' in lines[9]
  assert len(lines) == 14


@needs_c
@pytest.mark.parametrize('name', [
  'bnn_model.h', 'bnn_model.c', 'frontend.h', 'frontend.c',
  'frontend_tables.h', 'frontend_vectors.h',
])
def test_no_print_takes_the_place_of_one_file(run, tmp_path, name):
  with pytest.raises(errors.UserError) as one:
    run(change=lambda folder: (folder / name).unlink())
  assert str(one.value) == (
    f'{tmp_path}/export/c/{name} is missing; export the network again, or '
    f'remove {tmp_path}/export/c to have it printed anew.'
  )


FOREIGN = [
  (edited('bnn_model.h', 'CLASSES 5', 'CLASSES 300'), 'bnn_model', 'network'),
  (edited('bnn_model.h', 'BINS 8', 'BINS 40'), 'bnn_model', 'network'),
  (edited('bnn_model.h', 'FRAMES 13', 'FRAMES 14'), 'bnn_model', 'network'),
  (edited('frontend_tables.h', 'HOP 1280', 'HOP 1281'), 'frontend',
   'front end'),
  (edited('frontend_tables.h', 'BINS 8', 'BINS 9'), 'frontend', 'front end'),
  (edited('frontend_tables.h', 'WINDOW 480', 'WINDOW 478'), 'frontend',
   'front end'),
]


@needs_c
@pytest.mark.parametrize('compiler', COMPILERS)
@pytest.mark.parametrize('change, name, kind', FOREIGN)
def test_sizes_of_another_network(
  run, tmp_path, monkeypatch, compiler, change, name, kind
):
  monkeypatch.setenv('CC', compiler)
  with pytest.raises(errors.UserError) as one:
    run(change=change)
  assert str(one.value) == (
    f'{tmp_path}/export/c/{name}.h is of another {kind}; export the network '
    'again.'
  )


@needs_c
@pytest.mark.parametrize('change, words', [
  (edited('frontend.c', '>> FRONTEND_SHIFT;', '>> broken;'),
   "frontend.c does not compile with .* .'frontend.c: "),
  (edited('frontend.c', '  return frames;\n}\n', ''), 'frontend.c is trunc'),
])
def test_a_damaged_front_end_in_c_is_named(run, change, words):
  with pytest.raises(errors.UserError, match=f'{words}.*; export the'):
    run(change=change)


def test_without_a_compiler(run, monkeypatch, tmp_path):
  monkeypatch.delenv('CC', raising=False)
  monkeypatch.setenv('PATH', str(tmp_path))
  equal, lines = run()
  assert not equal
  assert lines[-1] == (
    'C was not compared: no C compiler is found; install gcc or clang, or name '
    'one in the variable CC.'
  )
  assert [line for line in lines if ' vs ' in line] == [
    f'{pair}: mismatches: 0 of 20' for pair in PAIRS if not pair.endswith('C')
  ] + ['export vs checkpoint, settings: mismatches: 0 of 20']
  assert run(allow_missing=True) == (True, lines)


def test_no_number_is_cut_before_it_is_told():
  wrong = np.array([[1.0, 2.5], [3.0, np.nan]], np.float32)
  right = np.array([[1, 2], [3, 4]])
  names, clips = ['classifier'], ['testing[0]', 'testing[1]']
  for value, values in ((wrong, '2.5 and 2'), (wrong[1:], 'nan and 4')):
    lines: list[str] = []
    logits = {'x': value, 'y': right[-len(value) :]}
    assert not verify.compare_logits(
      logits, lambda *_: None, np.zeros((2, 1, 1), np.uint8), names, clips,
      lines.append,
    )
    assert lines[1] == (
      f'  first: clip testing[0], layer classifier, index [1]: {values}'
    )
  nan = {'classifier': wrong[1:]}
  assert verify.first_difference(nan, nan, names).place == (1,)


def test_a_fraction_changes_the_digest():
  whole = np.array([[1.0, -2.0]], np.float32)
  assert verify.digest(whole) == verify.digest(whole.astype(np.int64))
  found = {verify.digest(whole + part) for part in (0, 0.5, 0.25, np.nan)}
  assert len(found) == 4
  expected = hashlib.sha256((whole + 0.5).astype('<f8').tobytes()).hexdigest()
  assert verify.digest(whole + np.float32(0.5)) == expected
  # Nor is an integer cut that 32 bits do not hold.
  large = np.array([[2**32 + 1]])
  assert verify.digest(large) != verify.digest(np.array([[1]]))
