"""The readers refuse any altered export with their one error.

One whose digest was made anew may also be read, as that of another network.
FUZZ_SECONDS=600 python -m pytest tests/export/test_fuzz.py looks for longer:
for so many seconds in each test.
"""

from collections.abc import Callable
import copy
import json
import os
import time

import hypothesis
from hypothesis import strategies as st
import pytest

from bnn_jax import errors
from bnn_jax.export import files
from bnn_jax.export import golden
from tests.export import planes
from tests.export import sealing

READERS = {
  'files': (files.read, errors.UserError),
  'golden': (golden.read, golden.ModelError),
}
FUZZ = hypothesis.settings(
  max_examples=60, deadline=None,
  suppress_health_check=list(hypothesis.HealthCheck),
)
SECONDS = float(os.environ.get('FUZZ_SECONDS', 0))
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


def examine(property_of: Callable) -> None:
  """Draws data for a property once, or for all of FUZZ_SECONDS."""
  end = time.monotonic() + SECONDS
  # Each call begins with another seed.
  check = FUZZ(hypothesis.given(data=st.data())(property_of))
  check()
  while time.monotonic() < end:
    check()


def read(name, folder) -> str | None:
  """The message of a refusal."""
  reader, refusal = READERS[name]
  try:
    reader(folder)
  except refusal as error:
    assert str(folder) in str(error)
    return str(error)
  return None


def altered_model(model, data):
  """The document with one or two fields replaced or removed."""
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
  return altered


def as_text(value) -> str:
  """The value, of which 1, 1.0 and true are not equal."""
  return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize('name', READERS)
def test_description(folder, model, name):
  def property_of(data):
    altered = altered_model(model, data)
    (folder / files.MODEL).write_text(json.dumps(altered))
    refused = read(name, folder) is not None
    assert refused == (as_text(altered) != as_text(model))

  examine(property_of)


@pytest.mark.parametrize('name', READERS)
def test_description_with_its_digest(folder, model, name):
  def property_of(data):
    altered = sealing.sealed(altered_model(model, data), folder)
    (folder / files.MODEL).write_text(json.dumps(altered))
    assert 'digest' not in (read(name, folder) or '')

  examine(property_of)


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
  altered = sealing.sealed(altered, folder)
  (folder / files.MODEL).write_text(json.dumps(altered))
  reader, refusal = READERS[name]
  with pytest.raises(refusal, match='field (padding|shape|channels)'):
    reader(folder)


@pytest.mark.parametrize('name', READERS)
@pytest.mark.parametrize('file', [files.MODEL, files.WEIGHTS])
def test_bytes(folder, model, name, file):
  files.write(folder, planes.network())
  whole = (folder / file).read_bytes()

  def property_of(data):
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
      place = data.draw(st.integers(0, len(content) - 1))
      content[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.sampled_from([len(content), len(content) // 2]))
    (folder / file).write_bytes(content[:end])
    if read(name, folder) is None:
      assert_same(folder, model)

  examine(property_of)


def assert_same(folder, model) -> None:
  """What is read is what was written; a damaged space or header is none."""
  content = (folder / files.MODEL).read_bytes()
  assert as_text(json.loads(content)) == as_text(model)
  assert files.read(folder).layers[-1].bias.tolist() == (
    planes.network().layers[-1].bias.tolist()
  )
