import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import integer
from bnn_jax.export import specs
from tests.contract import battery
from tests.export import conv_cases
from tests.export import networks
from tests.export import planes

BATTERY = battery.load()


@pytest.mark.parametrize('name', BATTERY)
def test_stored_cases(name):
  case, expected = BATTERY[name]
  conv = functools.partial(integer._conv, conv_cases.layer(case))
  found = jax.jit(conv)(jnp.asarray(case.x, int))
  assert found.dtype == jnp.int32
  assert found.tolist() == expected.results


@pytest.mark.parametrize('make, register', [
  (networks, specs.Accumulator(3, 'wrap', 1, 'dot')),
  (networks, specs.Accumulator(4, 'saturate', 7, 'popcount')),
  (networks, specs.Accumulator(5, 'saturate', 64, 'dot')),
  (networks, specs.Accumulator(3, 'wrap', 33, 'popcount')),
  (networks, specs.Accumulator(4, 'exact', 5, 'popcount')),
  (planes, specs.Accumulator(4, 'saturate', 7, 'popcount')),
  (planes, specs.Accumulator(3, 'wrap', 64, 'dot')),
], ids=str)
def test_every_layer_is_that_of_the_golden_model(make, register, tmp_path):
  model = make.network(3, register)
  files.write(tmp_path / 'export', model)
  q = make.clips(20)
  expected = golden.intermediates(golden.read(tmp_path / 'export'), q)
  found = integer.intermediates(files.read(tmp_path / 'export'), q)
  assert found.keys() == expected.keys()
  for name, value in expected.items():
    assert np.array_equal(found[name], value), name
  assert len(np.unique(expected['classifier'], axis=0)) > 5


def test_crop(tmp_path):
  model = networks.unpadded(3)
  files.write(tmp_path / 'export', model)
  q = networks.clips(20, frames=networks.WINDOW)
  expected = golden.intermediates(golden.read(tmp_path / 'export'), q)
  cropped = expected['wide/act'][:, 1:-2]
  assert np.array_equal(expected['crop'], cropped)
  found = integer.intermediates(files.read(tmp_path / 'export'), q)
  for name, value in expected.items():
    assert np.array_equal(found[name], value), name


def test_batches(monkeypatch):
  model, q = networks.network(), networks.clips(7)
  expected = integer.intermediates(model, q)['classifier']
  monkeypatch.setattr(integer, 'BATCH', 4)
  found = integer.compiled(model)(q)
  assert found.dtype == np.int32
  assert np.array_equal(found, expected)


def test_large_results_saturate_as_without_a_limit():
  stream = specs.Stream(16, 0)
  shift = np.arange(-8, 8)
  bias = np.where(shift % 2, -(2**15), 2**15 - 1)
  layer = specs.ShiftBatchNorm('norm', ('x',), stream, shift, bias)
  a = np.repeat([-(2**24), -(2**18), -70000, 0, 70000, 2**18, 2**24 - 1], 16)
  a = a.reshape(-1, 16)
  found = integer._apply(layer, None, jnp.asarray(a))
  row = {'name': 'norm', 'stream': {'bits': 16},
         'tensors': {'shift': shift, 'bias': bias}}
  expected = golden.shift_batch_norm(row, None, a.astype(np.int64))
  assert found.tolist() == expected.tolist()
