import dataclasses
import json
import os
import pathlib
import resource
import shutil

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.export import engines
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import print_c
from bnn_jax.export import specs
from tests.export import networks
from tests.export import planes
from tests.export import sealing


@pytest.fixture
def folder(tmp_path):
  files.write(tmp_path / 'export', networks.network())
  return tmp_path / 'export'


@pytest.mark.parametrize('model', [networks.network(), planes.network()])
def test_round_trip(model, tmp_path):
  files.write(tmp_path / 'export', model)
  found = files.read(tmp_path / 'export')
  assert found.input == model.input
  for name in ('front_end', 'class_names', 'provenance'):
    assert getattr(found, name) == getattr(model, name)
  for one, other in zip(found.layers, model.layers, strict=True):
    assert one.KIND == other.KIND
    assert vars(one).keys() == vars(other).keys()
    for name, value in vars(other).items():
      assert np.array_equal(getattr(one, name), value), (other.name, name)


def test_size(folder, tmp_path):
  size = (folder / files.WEIGHTS).stat().st_size
  bits = specs.information_bits(networks.network())
  # Thresholds, weights and constants of the network, counted by hand.
  weights = 8 * 45 + 8 * 24 + 8 * 4 + 12 * 8 + 24 * 12 + 4 * 12
  constants = 18 * 8 + 8 * 5 + 20 * (8 + 8 + 12 + 24) + 8 * (3 + 7 + 7)
  starts = 8 * 4 + 24 * 4
  assert bits == weights + constants + starts + 8 * (8 + 8 + 12) + 4 * 24
  assert size <= 1.02 * bits / 8 + 2000
  make = networks.Maker(0, networks.REGISTER)
  large = networks.changed(
    networks.network(), 'dense', accumulator=specs.Accumulator(9, 'wrap', 64,
                                                               'dot'),
    weights=make.integers(0, 1, 40000, 12), preload=None,
  )
  large = networks.changed(
    large, 'dense/norm', shift=make.integers(-8, 7, 40000),
    bias=make.integers(-999, 999, 40000),
  )
  kept = tuple(
    one for one in large.layers
    if not one.name.startswith(('dense/add', 'dense/part'))
  )
  large = dataclasses.replace(large, layers=kept)
  large = networks.changed(
    large, 'classifier', inputs=('dense/norm',),
    weights=make.integers(0, 1, 4, 40000),
  )
  files.write(tmp_path / 'large', large)
  size = (tmp_path / 'large' / files.WEIGHTS).stat().st_size
  assert 180000 < size <= 1.02 * specs.information_bits(large) / 8 + 2000


def test_what_is_written_can_be_read_by_a_person(folder):
  rows = (folder / files.MODEL).read_text().splitlines()
  assert '   "words": [5, 4, 5, 4, 5, 4, 5, 4, 5, 4],' in rows
  model = json.loads('\n'.join(rows))
  assert (model['format'], model['version']) == ('bnn_jax', 2)


TEXTS = ('[ a ]', 'x[ y ]', '{ "b": [ 1,  2 ] }', '\\[\n  ]"', '"[')


def test_brackets_in_texts_are_kept(tmp_path):
  model = dataclasses.replace(
    networks.network(), class_names=TEXTS[:4],
    provenance={'data_dir': '/tmp/[ old ] clips', 'texts': list(TEXTS)},
  )
  model = networks.changed(model, 'classifier', name='[ c ]')
  files.write(tmp_path / 'export', model)
  found = files.read(tmp_path / 'export')
  assert found.class_names == model.class_names
  assert found.provenance == model.provenance
  assert found.layers[-1].name == '[ c ]'
  assert golden.read(tmp_path / 'export')['provenance'] == model.provenance


@pytest.mark.parametrize('wrong', ['{}', '{"format"', ''])
def test_what_cannot_be_read_replaces_nothing(folder, monkeypatch, wrong):
  before = (folder / files.MODEL).read_bytes()
  monkeypatch.setattr(files, '_text', lambda document: wrong)
  with pytest.raises(errors.UserError, match='export was not written') as it:
    files.write(folder, networks.network(1))
  assert 'export the network again' not in str(it.value)
  assert (folder / files.MODEL).read_bytes() == before
  assert [path.name for path in folder.parent.iterdir()] == ['export']


def test_an_earlier_export_is_replaced(folder):
  (folder / 'c').mkdir()
  files.write(folder, networks.network(1))
  assert {path.name for path in folder.iterdir()} == {
    files.MODEL, files.WEIGHTS
  }
  assert [path.name for path in folder.parent.iterdir()] == ['export']


def test_what_fails_leaves_the_earlier_export(folder, monkeypatch):
  before = (folder / files.MODEL).read_bytes()

  def full(*unused, **also_unused):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(np, 'savez', full)
  with pytest.raises(errors.UserError, match='export could not be written .No'):
    files.write(folder, networks.network(1))
  assert (folder / files.MODEL).read_bytes() == before
  assert [path.name for path in folder.parent.iterdir()] == ['export']


def add_c(new):
  (new / 'c').mkdir()
  print_c.write_sources(networks.network(1), new / 'c')


# The largest file that can be written; C is the largest, then JSON.
@pytest.mark.parametrize('limit, add', [
  (20000, add_c), (5000, None), (100, None),
])
def test_a_full_disk(folder, limit, add):
  (folder / 'c').mkdir()
  (folder / 'c' / 'bnn_model.c').write_text('before')
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
  try:
    with pytest.raises(errors.UserError, match='export could not be written'):
      files.write(folder, networks.network(1), add)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
  assert files.read(folder).layers[-1].bias.tolist() == (
    networks.network().layers[-1].bias.tolist()
  )
  assert (folder / 'c' / 'bnn_model.c').read_text() == 'before'
  assert [path.name for path in folder.parent.iterdir()] == ['export']
  files.write(folder, networks.network(1), add_c)
  assert (folder / 'c' / 'bnn_model.c').stat().st_size > 20000


def check_refused(folder, before):
  """What cannot be added leaves the export with this file of its model."""
  def add(new):
    raise errors.UserError('no form in C')

  with pytest.raises(errors.UserError, match='no form in C'):
    files.write(folder, networks.network(1), add)
  assert (folder / files.MODEL).read_bytes() == before
  assert [path.name for path in folder.parent.iterdir()] == ['export']


def test_what_cannot_be_added_leaves_the_earlier_export(folder):
  before = (folder / files.MODEL).read_bytes()
  check_refused(folder, before)


@pytest.mark.parametrize('problem, told, words', [
  (OSError(13, 'Permission denied'), errors.UserError, 'Permission denied'),
  (KeyboardInterrupt('stopped'), KeyboardInterrupt, 'stopped'),
])
def test_an_export_that_cannot_be_put_in_place(
  folder, monkeypatch, problem, told, words
):
  before = (folder / files.MODEL).read_bytes()
  rename = pathlib.Path.rename

  def refuse(path, target):
    if path.name == f'.export.{os.getpid()}':
      raise problem
    return rename(path, target)

  monkeypatch.setattr(pathlib.Path, 'rename', refuse)
  with pytest.raises(told, match=words):
    files.write(folder, networks.network(1))
  assert (folder / files.MODEL).read_bytes() == before
  assert [path.name for path in folder.parent.iterdir()] == ['export']


def test_what_a_killed_process_left_is_in_no_way(folder):
  for name in (f'.export.{os.getpid()}', f'.export.old.{os.getpid()}'):
    (folder.with_name(name) / 'c').mkdir(parents=True)
  files.write(folder, networks.network(1))
  assert files.read(folder).layers[-1].bias.tolist() == (
    networks.network(1).layers[-1].bias.tolist()
  )
  assert [path.name for path in folder.parent.iterdir()] == ['export']


def test_what_a_killed_process_left_is_kept_until_it_is_replaced(folder):
  before = (folder / files.MODEL).read_bytes()
  folder.rename(folder.with_name(f'.export.old.{os.getpid()}'))
  check_refused(folder, before)


def test_layers_that_do_not_fit_are_not_written(tmp_path):
  model = networks.changed(networks.network(), 'short', channels=13)
  with pytest.raises(errors.UserError, match='layer point/add, field inputs'):
    files.write(tmp_path / 'export', model)
  assert not (tmp_path / 'export').exists()


def edit(folder, change, seal=True) -> None:
  model = json.loads((folder / files.MODEL).read_text())
  change(model)
  if seal:
    model = sealing.sealed(model, folder)
  (folder / files.MODEL).write_text(json.dumps(model))


def layer(model, name):
  return next(row for row in model['layers'] if row['name'] == name)


def put(*path_and_value):
  """A change of one field of a layer; None removes it."""
  name, *path, last, value = path_and_value

  def change(model):
    row = layer(model, name) if name else model
    for key in path:
      row = row[key]
    if value is None:
      del row[last]
    else:
      row[last] = value
  return change


ALTERED = [
  (put('', 'format', 'onnx'), 'format'),
  (put('', 'version', 1), 'version'),
  (put('', 'version', None), 'version'),
  (put('', 'layers', None), 'layers'),
  (put('', 'layers', 3), 'layers'),
  (put('', 'input', None), 'input'),
  (put('', 'input', 'frames', 12), 'shape'),
  (put('', 'input', 'frames', 10**12), 'input'),
  (put('', 'input', 'bits', '8'), 'input'),
  (put('', 'weights', None), 'field weights is missing'),
  (put('', 'weights', 3), 'field weights: '),
  (put('', 'weights', 'file', 'other.npz'), 'field weights: '),
  (put('', 'weights', 'bytes', 5), 'weights.bytes'),
  (put('', 'weights', 'sha256', 'x'), 'weights.sha256'),
  (put('stem', 'kind', 'convolution'), 'kind'),
  (put('stem', 'kernel', None), 'kernel'),
  (put('stem', 'padding', [[1, 2, 3]]), 'padding'),
  (put('stem', 'padding', [[2, 4]]), 'shape'),
  (put('stem', 'padding', [[10**7, 3]]), 'padding'),
  (put('stem', 'words', [9, 9, 9, 9, 9]), 'words'),
  (put('stem', 'accumulator', 'simd', 6), 'words'),
  (put('stem', 'accumulator', 'overflow_mode', 'clip'), 'accumulator'),
  (put('stem', 'accumulator', 'unit', 'xnor'), 'accumulator'),
  (put('stem', 'groups', 3), 'groups'),
  (put('stem', 'shape', [6, 9]), 'shape'),
  (put('stem', 'tensors', 'weights', None), 'tensors.weights'),
  (put('stem', 'tensors', 'weights', 'offset', 145), 'offset'),
  (put('stem', 'tensors', 'weights', 'bits', 2), 'weights'),
  (put('stem', 'tensors', 'weights', 'shape', [8, 5, 8]), 'groups'),
  (put('stem', 'strides', [-2]), 'kernel'),
  (put('short', 'strides', [0]), 'strides'),
  (put('short', 'crop', [[-1, 0]]), 'crop'),
  (put('short', 'crop', [[3, 0]]), 'shape'),
  (put('short', 'crop', [[0, 7]]), 'shape'),
  (put('short', 'crop', [[1]]), 'crop'),
  (put('stem', 'accumulator', 'bits', 10**30), 'accumulator'),
  (put('wide/norm', 'stream', 'bits', 10**30), 'stream'),
  (put('wide/norm', 'inputs', ['wide/act']), 'inputs'),
  (put('wide/norm', 'tensors', 'shift', 'bits', 5), 'shift'),
  (put('wide/act', 'tensors', 'g', 'count', 9), 'count'),
  (put('classifier', 'name', 'q'), 'name'),
]


@pytest.mark.parametrize('change, field', ALTERED)
def test_altered_description(folder, change, field):
  edit(folder, change)
  with pytest.raises(errors.UserError) as caught:
    files.read(folder)
  message = str(caught.value)
  assert files.MODEL in message and 'export the' in message or (
    'name the folder of an export' in message
  )
  assert field in message
  if 'is missing' in field:
    with pytest.raises(errors.UserError, match=field):
      engines.ENGINES['golden'].logits(folder, networks.clips(1))
  with pytest.raises(errors.UserError, match='model.json: .*; export the'):
    engines.ENGINES['golden'].logits(folder, networks.clips(1))


@pytest.mark.parametrize('place', [
  (), ('input',), ('front_end',), ('weights',), ('layers', 1),
  ('layers', 1, 'accumulator'), ('layers', 4, 'stream'),
  ('layers', 1, 'tensors', 'weights'),
])
def test_an_unknown_field(folder, place):
  def change(model):
    for key in place:
      model = model[key]
    model['other'] = 3

  edit(folder, change)
  with pytest.raises(errors.UserError, match='model.json: .* again.$'):
    files.read(folder)


# What is as possible as what was exported.
SILENT = [
  put('stem', 'accumulator', 'overflow_mode', 'wrap'),
  put('stem', 'padding', [[1, 3]]),
  put('', 'class_names', ['b', 'a', 'c', 'd']),
  put('', 'input', 'lo', -1.25),
  put('', 'front_end', {}),
  put('', 'provenance', 'step', 8),
  put('', 'digest', '0' * 64),
  put('', 'digest', None),
  put('', 'other', 3),
]


@pytest.mark.parametrize('change', SILENT)
def test_any_other_field_is_refused(folder, change):
  edit(folder, change, seal=False)
  for engine in engines.ENGINES.values():
    with pytest.raises(errors.UserError, match='model.json: .*digest') as one:
      engine.logits(folder, networks.clips(1))
    assert str(one.value).endswith('; export the network again.')


def test_the_digest_is_that_of_the_document(folder):
  model = json.loads((folder / files.MODEL).read_text())
  assert sealing.sealed(model, folder) == model
  # The order and the spaces of the text do not count.
  turned = dict(reversed(model.items()))
  (folder / files.MODEL).write_text(json.dumps(turned, indent=3))
  assert files.read(folder).provenance == {'step': 7}
  assert golden.read(folder)['provenance'] == {'step': 7}


@pytest.mark.parametrize('name', [files.MODEL, files.WEIGHTS])
@pytest.mark.parametrize('how', ['missing', 'empty', 'cut', 'zeros', 'bit'])
def test_damaged_file(folder, name, how):
  path = folder / name
  content = path.read_bytes()
  flipped = bytearray(content)
  flipped[len(content) // 2] ^= 16
  damaged = {
    'empty': b'', 'cut': content[:-100], 'zeros': bytes(len(content)),
    'bit': bytes(flipped),
  }
  path.unlink()
  if how != 'missing':
    path.write_bytes(damaged[how])
  for engine in engines.ENGINES.values():
    with pytest.raises(errors.UserError, match=str(folder)):
      engine.logits(folder, networks.clips(1))


def test_weights_of_another_network(folder, tmp_path):
  files.write(tmp_path / 'other', networks.network(1))
  shutil.copy(tmp_path / 'other' / files.WEIGHTS, folder / files.WEIGHTS)
  for engine in engines.ENGINES.values():
    with pytest.raises(errors.UserError, match='sha256'):
      engine.logits(folder, networks.clips(1))


def test_a_list_in_the_place_of_the_description(folder):
  for text in ('[]', '3', '"x"', '{}', '[' * 100000):
    (folder / files.MODEL).write_text(text)
    for engine in engines.ENGINES.values():
      with pytest.raises(errors.UserError, match='model.json'):
        engine.logits(folder, networks.clips(1))
