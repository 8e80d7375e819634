"""Both readers keep to the limits of docs/export.md, each by its own code."""

import dataclasses
import json

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import limits
from bnn_jax.export import specs
from tests.export import networks
from tests.export import planes
from tests.export import sealing


def test_both_readers_have_the_same():
  stated = {name: getattr(limits, name) for name in dir(limits)
            if name.isupper()}
  assert stated == golden.LIMITS


def assert_refused(folder, words):
  with pytest.raises(errors.UserError, match=words):
    files.read(folder)
  with pytest.raises(golden.ModelError, match=words):
    golden.read(folder)


def altered(folder, name, path, value):
  """Replaces a field of a layer, or of the document."""
  model = json.loads((folder / files.MODEL).read_text())
  row = model
  if name:
    (row,) = [row for row in model['layers'] if row['name'] == name]
  for key in path[:-1]:
    row = row[key]
  row[path[-1]] = value
  model = sealing.sealed(model, folder)
  (folder / files.MODEL).write_text(json.dumps(model))


@pytest.mark.parametrize('name, path, value, words', [
  ('stem', ['padding'], [[4097, 0], [0, 0]], 'field padding'),
  ('depth', ['padding'], [[4096, 4096], [4096, 4096]], 'field padding'),
  ('short', ['crop'], [[4097, 0], [0, 0]], 'field crop'),
  ('encode', ['silence'], [4097, 0], 'field silence'),
  ('stem/norm', ['stream', 'bits'], 17, 'field stream'),
  ('stem/norm', ['stream', 'bits'], 1, 'field stream'),
  ('stem', ['accumulator', 'bits'], 25, 'field accumulator'),
  ('depth', ['accumulator', 'bits'], 1, 'field accumulator'),
  ('stem', ['accumulator', 'simd'], 2**24 + 1, 'out of range'),
  ('stem', ['strides'], [2**24 + 1, 1], 'out of range'),
  ('mean', ['window'], [2**8, 2**7], 'field window'),
  ('largest', ['window'], [2**8, 2**7], 'field window'),
  ('stem', ['tensors', 'weights', 'bits'], 33, 'bits'),
  ('', ['input', 'frames'], 2**23, 'input'),
  ('', ['weights', 'bytes'], 2**28 + 1, 'too large'),
  ('', ['input', 'exponent'], 10**30, 'input|exponent'),
  ('', ['input', 'lo'], float('nan'), 'input|lo'),
  ('', ['input', 'lo'], float('-inf'), 'input|lo'),
  ('', ['front_end', 'hop_ms'], float('nan'), 'hop_ms'),
  ('', ['front_end', 'sample_rate'], 2**24 + 1, 'sample_rate'),
])
def test_what_exceeds_a_limit(tmp_path, name, path, value, words):
  folder = tmp_path / 'export'
  files.write(folder, planes.network())
  altered(folder, name, path, value)
  assert_refused(folder, words)


def test_provenance_may_hold_any_number(tmp_path):
  folder = tmp_path / 'export'
  model = dataclasses.replace(
    networks.network(), provenance={'seed': 2**64, 'rates': [float('inf')]}
  )
  files.write(folder, model)
  assert files.read(folder).provenance == model.provenance
  assert golden.read(folder)['provenance'] == model.provenance


def test_a_document_that_is_too_large(tmp_path):
  folder = tmp_path / 'export'
  files.write(folder, networks.network())
  path = folder / files.MODEL
  text = path.read_text()
  path.write_text(text + ' ' * (limits.DOCUMENT - len(text)))
  assert len(files.read(folder).layers) == len(golden.read(folder)['layers'])
  path.write_text(path.read_text() + ' ')
  assert_refused(folder, 'model.json.* too large')


@pytest.mark.parametrize('size', [2**23, 2**27])
def test_an_archive_is_not_unpacked_where_it_is_too_large(
  tmp_path, size, monkeypatch
):
  """Zeros, which take a thousandth of the room that they are unpacked to."""
  folder = tmp_path / 'export'
  files.write(folder, networks.network())
  np.savez_compressed(folder / files.WEIGHTS, data=np.zeros(size, np.uint8))

  def refuse(*unused, **also_unused):
    raise AssertionError('it is read')

  monkeypatch.setattr(np.lib.format, 'read_array', refuse)
  assert_refused(folder, 'weights.npz.*(too large|does not hold)')


def test_what_is_at_its_limit_is_read(tmp_path):
  make = networks.Maker(0, specs.Accumulator(24, 'wrap', 2**24, 'dot'))
  stream = specs.Stream(16, 3)
  edge = limits.EDGE
  model = specs.Model(
    specs.Input(1, 2, 1, 0.0, 0), {}, ('a', 'b'), (
      specs.Thermometer(
        'encode', ('q',), 1, np.ones((2, 1), np.int32), (edge, edge)),
      specs.Reshape('six', ('encode',), ((2 * edge + 1), 2)),
      make.conv('conv', 'six', 2, 2, (1,), ((edge, edge),)),
      specs.ShiftBatchNorm('norm', ('conv',), stream,
                           make.integers(0, 0, 2), make.integers(0, 9, 2)),
      specs.Shortcut('cut', ('norm',), (2,), 2, ((edge, 0),)),
      specs.Classifier('classifier', ('cut',), stream,
                       make.integers(0, 1, 2, 2), make.integers(0, 9, 2)),
    ), {},
  )
  folder = tmp_path / 'export'
  files.write(folder, model)
  assert len(files.read(folder).layers) == 6
  assert len(golden.read(folder)['layers']) == 6
