"""The readers refuse any damaged export with their one error, or read it."""

import copy
import json

import hypothesis
from hypothesis import strategies as st
import pytest

from bnn_jax import errors
from bnn_jax.export import files
from bnn_jax.export import golden
from tests.export import planes

READERS = {
  'files': (files.read, errors.UserError),
  'golden': (golden.read, golden.ModelError),
}
FUZZ = hypothesis.settings(
  max_examples=60, deadline=None,
  suppress_health_check=list(hypothesis.HealthCheck),
)
SCALARS = st.one_of(
  st.none(), st.booleans(), st.integers(), st.integers(-9, 40),
  st.floats(), st.text(max_size=5),
)
VALUES = st.one_of(
  SCALARS, st.lists(SCALARS, max_size=3),
  st.lists(st.lists(SCALARS, max_size=3), max_size=3),
  st.dictionaries(st.text(max_size=5), SCALARS, max_size=2),
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('fuzz') / 'export'
  files.write(folder, planes.network())
  return folder


@pytest.fixture(scope='module')
def model(folder):
  return json.loads((folder / files.MODEL).read_text())


def leaves(tree, path=()):
  """The paths of everything inside of a JSON value."""
  items = tree.items() if isinstance(tree, dict) else enumerate(tree)
  for key, value in items:
    yield (*path, key)
    if isinstance(value, (dict, list)):
      yield from leaves(value, (*path, key))


def read(name, folder):
  reader, refusal = READERS[name]
  try:
    reader(folder)
  except refusal as error:
    assert str(folder) in str(error)


@pytest.mark.parametrize('name', READERS)
@FUZZ
@hypothesis.given(data=st.data())
def test_description(folder, model, name, data):
  altered = copy.deepcopy(model)
  for _ in range(data.draw(st.integers(1, 2))):
    path = data.draw(st.sampled_from(list(leaves(altered))))
    row = altered
    for key in path[:-1]:
      row = row[key]
    if data.draw(st.booleans()) and isinstance(row, dict):
      del row[path[-1]]
    else:
      row[path[-1]] = data.draw(VALUES)
  (folder / files.MODEL).write_text(json.dumps(altered))
  read(name, folder)


@pytest.mark.parametrize('name', READERS)
@pytest.mark.parametrize('layer, field, value', [
  ('depth', 'padding', [[4096, 4096], [4096, 4096]]),
  # Frames and channels of another shape than is stated.
  ('encode', 'silence', [4096, 4096]),
  ('short', 'channels', 2**24),
])
def test_padding_does_not_ask_for_all_memory(
  folder, model, name, layer, field, value
):
  altered = copy.deepcopy(model)
  (row,) = [row for row in altered['layers'] if row['name'] == layer]
  row[field] = value
  (folder / files.MODEL).write_text(json.dumps(altered))
  reader, refusal = READERS[name]
  with pytest.raises(refusal, match='field (padding|shape|channels)'):
    reader(folder)


@pytest.mark.parametrize('name', READERS)
@pytest.mark.parametrize('file', [files.MODEL, files.WEIGHTS])
@FUZZ
@hypothesis.given(data=st.data())
def test_bytes(folder, model, name, file, data):
  files.write(folder, planes.network())
  content = bytearray((folder / file).read_bytes())
  for _ in range(data.draw(st.integers(1, 3))):
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
  end = data.draw(st.sampled_from([len(content), len(content) // 2]))
  (folder / file).write_bytes(content[:end])
  read(name, folder)
