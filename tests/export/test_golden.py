import os
import pathlib
import subprocess
import sys

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import schema
from bnn_jax.export import specs
from tests.contract import battery
from tests.contract import cases
from tests.contract import oracle
from tests.contract import stream_oracle
from tests.export import conv_cases
from tests.export import networks

BATTERY = battery.load()


def results(case: cases.Case):
  """What the golden convolution gives, as nested integers."""
  layer = conv_cases.layer(case)
  row, _ = schema._encode_layer(layer, (1,), 0)
  row['tensors'] = {
    name: np.asarray(getattr(layer, name), np.int64) for name in layer.widths()
  }
  return golden.conv(row, None, case.x.astype(np.int64)).tolist()


@pytest.mark.parametrize('name', BATTERY)
def test_stored_cases(name):
  case, expected = BATTERY[name]
  assert results(case) == expected.results


SHAPES = [
  *(shape for name, shape in cases.DENSE.items() if name != 'no batch'),
  *cases.CONV_1D.values(), *cases.CONV_2D.values(),
]


@hypothesis.given(st.sampled_from(SHAPES).flatmap(cases.cases))
@hypothesis.settings(max_examples=60, deadline=None)
def test_convolutions_against_the_oracle(case):
  run = oracle.matmul if case.w.ndim == 2 else oracle.conv
  outputs = run(case.x, case.w, case.machine, case.preload, **case.geometry)
  assert results(case) == oracle.results(outputs)


@hypothesis.given(
  st.integers(-(2**23), 2**23), st.integers(-8, 7),
  st.integers(-(2**15), 2**15 - 1), st.integers(2, 16),
)
@hypothesis.settings(max_examples=60, deadline=None)
def test_shift_batch_norm(a, s, b, bits):
  layer = {
    'name': 'norm', 'stream': {'bits': bits},
    'tensors': {'shift': np.array([s]), 'bias': np.array([b])},
  }
  found = golden.shift_batch_norm(layer, None, np.array([[a]]))
  assert found.tolist() == [[stream_oracle.shift_batch_norm(a, s, b, bits)]]


@hypothesis.given(
  st.integers(-128, 127), st.integers(0, 7), st.integers(-128, 127),
  st.integers(-128, 127),
)
@hypothesis.settings(max_examples=60, deadline=None)
def test_shift_prelu(y, k, g, h):
  layer = {
    'name': 'prelu', 'stream': {'bits': 8},
    'tensors': {'k': np.array([k]), 'g': np.array([g]), 'h': np.array([h])},
  }
  found = golden.shift_prelu(layer, None, np.array([[y]]))
  assert found.tolist() == [[stream_oracle.shift_prelu(y, k, g, h, 8)]]


def test_a_classifier_sums_over_positions():
  layer = {'name': 'classifier', 'tensors': {
    'weights': np.array([[1, 1, 0], [0, 1, 1]]), 'bias': np.array([3, -1]),
  }}
  r = np.array([[[1, 2, 3], [10, 20, 30]]])
  # Sums are 11, 22, 33.
  assert golden.classifier(layer, None, r).tolist() == [[3, 43]]


PLANE = np.array([
  [[1, -9], [2, 8], [3, 7], [90, 90]],
  [[-4, 6], [5, 5], [-7, -4], [90, 90]],
])[None]


@pytest.mark.parametrize('window, largest, means', [
  # Six positions; the last column is left over.
  ((2, 3), [[[5, 8]]], None),
  # Sums are 4 and 10, then 176 and 183.
  ((2, 2), [[[5, 8], [90, 90]]], [[[1, 2], [44, 45]]]),
  ((1, 4), [[[90, 90]], [[90, 90]]], [[[24, 24]], [[21, 24]]]),
])
def test_pools(window, largest, means):
  layer = {'name': 'pool', 'window': list(window)}
  assert golden.max_pool(layer, None, PLANE).tolist() == [largest]
  if means is None:
    with pytest.raises(golden.ModelError, match='layer pool, field window'):
      golden.average_pool(layer, None, PLANE)
  else:
    assert golden.average_pool(layer, None, PLANE).tolist() == [means]


def test_a_mean_is_rounded_down():
  layer = {'name': 'pool', 'window': [2]}
  r = np.array([[[-1, 1], [-2, 2]]])
  assert golden.average_pool(layer, None, r).tolist() == [[[-2, 1]]]


def test_reshape_keeps_the_order():
  layer = {'name': 'reshape', 'shape': [2, 6]}
  x = np.arange(24).reshape(2, 3, 2, 2)
  found = golden.reshape(layer, None, x)
  assert found[0].tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
  assert found[1, 0, 0] == 12


def test_operands_are_bits():
  layer = {
    'name': 'conv', 'kernel': [2], 'groups': 1, 'padding': [[1, 0]],
    'dilation': [1], 'strides': [1],
  }
  found = golden.operands(layer, np.array([[[True], [False], [True]]]))
  assert found.dtype == np.bool_
  assert found.tolist() == [
    [[[False, True]], [[True, False]], [[False, True]]]
  ]


def test_silence_is_no_bit():
  layer = {
    'name': 'encode', 'silence': [1, 2],
    'tensors': {'thresholds': np.array([[1, 9]])},
  }
  q = np.array([[[0], [5]]])
  assert golden.thermometer(layer, None, q).tolist() == [
    [[-1, -1], [-1, -1], [1, -1], [-1, -1], [-1, -1]]
  ]


@pytest.fixture(scope='module')
def export(tmp_path_factory) -> pathlib.Path:
  folder = tmp_path_factory.mktemp('golden') / 'export'
  files.write(folder, networks.network())
  return folder


def test_it_runs_where_nothing_but_numpy_can_be_imported(export, tmp_path):
  """As a file, with whatever else is installed made unimportable."""
  for name in ('jax', 'flax', 'bnn_jax', 'scipy', 'ml_collections'):
    (tmp_path / f'{name}.py').write_text('raise ImportError')
  q = networks.clips(7)
  np.save(tmp_path / 'q.npy', q)
  line = [sys.executable, golden.__file__, export, 'q.npy', 'logits.npy']
  done = subprocess.run(
    [str(part) for part in line], cwd=tmp_path, capture_output=True, text=True,
    env=os.environ | {'PYTHONPATH': str(tmp_path)},
  )
  assert done.returncode == 0, done.stderr
  logits = np.load(tmp_path / 'logits.npy')
  assert np.array_equal(logits, golden.logits(golden.read(export), q))
  assert len(np.unique(logits, axis=0)) == 7


def test_the_program_tells_errors_in_a_line(export, tmp_path):
  q = networks.clips(2)
  np.save(tmp_path / 'good.npy', q)
  np.save(tmp_path / 'none.npy', q[:0])
  np.save(tmp_path / 'scalar.npy', np.uint8(3))
  np.save(tmp_path / 'wide.npy', q.astype(np.int64))
  np.save(tmp_path / 'objects.npy', np.array([None]), allow_pickle=True)
  np.savez(tmp_path / 'archive.npy', q=q)
  (tmp_path / 'archive.npy.npz').rename(tmp_path / 'archive.npy')
  content = (tmp_path / 'good.npy').read_bytes()
  (tmp_path / 'cut.npy').write_bytes(content[:-1])
  (tmp_path / 'empty.npy').write_bytes(b'')
  # A header that states more clips than there is memory.
  large = content.replace(b'(2, 11, 6)', b'(9' + b'0' * 14 + b', 11, 6)')
  (tmp_path / 'large.npy').write_bytes(large)
  for clips, words in (
    ('missing', 'No such file'), ('none', 'there are no clips'),
    ('scalar', 'there are no clips'), ('wide', 'are not uint8 with 11 frames'),
    ('objects', 'Object arrays'), ('archive', 'magic string'), ('cut', ''),
    ('empty', ''), ('large', ''),
  ):
    path = str(tmp_path / f'{clips}.npy')
    with pytest.raises(SystemExit) as caught:
      golden.main([str(export), path, str(tmp_path / 'logits.npy')])
    message = str(caught.value)
    assert message.startswith(f'error: {path}: ') and words in message
    assert '\n' not in message
  assert not (tmp_path / 'logits.npy').exists()
  line = [str(export), str(tmp_path / 'good.npy')]
  with pytest.raises(SystemExit, match='error: /no/logits.npy: .*No such file'):
    golden.main([*line, '/no/logits.npy'])
  with pytest.raises(SystemExit, match='error: .*missing/model.json: File'):
    golden.main([str(export / 'missing'), *line])


def test_batches_are_independent(export, monkeypatch):
  model, q = golden.read(export), networks.clips(7)
  whole = golden.logits(model, q)
  layers = golden.intermediates(model, q)
  monkeypatch.setattr(golden, 'CLIPS', 3)
  assert np.array_equal(golden.logits(model, q), whole)
  assert np.array_equal(layers['classifier'], whole)
  again = golden.intermediates(model, q)
  assert all(np.array_equal(again[name], layers[name]) for name in layers)
  assert list(layers)[0] == specs.INPUT


def test_clips_that_do_not_fit(export):
  model = golden.read(export)
  for q in (networks.clips(2)[:, 1:], networks.clips(2).astype(int)):
    with pytest.raises(golden.ModelError, match='are not uint8 with 11 frames'):
      golden.logits(model, q)
