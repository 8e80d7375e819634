import itertools
import re
import subprocess

import numpy as np
import pytest

from bnn_jax.export import c_memory
from bnn_jax.export import check
from bnn_jax.export import print_c
from bnn_jax.export import specs
from tests.export import c_networks
from tests.export import networks
from tests.export import planes
from tests.export import test_print_c

MODEL = networks.network()
VALUES = check.check(MODEL)


def test_places_of_a_small_network():
  memory = c_memory.allocate(MODEL, VALUES, keep=False)
  # 11 frames of 18 bits; 3 frames of 24 results; what `dense/norm` gives lies
  # behind `point/add`, which is read after it.
  assert memory.sizes == {'bits': 33, 'result': 72, 'stream': 48 + 36 + 72}
  assert memory.offsets['encode'] == memory.offsets['first'] == 0
  # An activation takes its input's place, and a sum that of one of its own.
  assert memory.offsets['wide/norm'] == memory.offsets['wide/act'] == 0
  assert memory.offsets['depth/norm'] == 48
  assert memory.offsets['depth/add'] == 0
  assert memory.offsets['dense/norm'] == 48 + 36


@pytest.mark.parametrize('model', [
  MODEL, c_networks.side_by_side(c_networks.CASES), planes.network(),
], ids=['blocks', 'side by side', 'planes'])
def test_no_array_is_overwritten_before_its_last_reader(model):
  values = check.check(model)
  offsets = c_memory.allocate(model, values, keep=False).offsets
  last = {name: i for i, one in enumerate(model.layers) for name in one.inputs}
  order = {one.name: i for i, one in enumerate(model.layers)}
  for a, b in itertools.combinations(offsets, 2):
    if values[a].kind != values[b].kind or last.get(a, 0) < order[b]:
      continue
    dies = last[a] == order[b] and offsets[a] == offsets[b]
    reader = model.layers[order[b]]
    alike = specs.Add | specs.ShiftPReLU | specs.Reshape
    if dies and isinstance(reader, alike) and values[b].kind == 'stream':
      assert c_memory.size(values[a]) == c_memory.size(values[b])
      continue
    first = range(offsets[a], offsets[a] + c_memory.size(values[a]))
    second = range(offsets[b], offsets[b] + c_memory.size(values[b]))
    assert first.stop <= second.start or second.stop <= first.start, (a, b)


def test_a_stream_with_other_axes_stays_where_it_is():
  model = planes.network()
  offsets = c_memory.allocate(model, check.check(model), keep=False).offsets
  assert offsets['frames'] == offsets['point/norm']
  assert offsets['joined'] != offsets['split']
  call = print_c.sources(model)[print_c.SOURCE].split('run_reshape_19(', 1)[1]
  assert 'reshape_stream' not in call[: call.index('}')]


def test_kept_arrays_share_nothing():
  memory = c_memory.allocate(MODEL, VALUES, keep=True)
  for kind in c_memory.REGIONS:
    names = [n for n in memory.offsets if VALUES[n].kind == kind]
    sizes = [c_memory.size(VALUES[n]) for n in names]
    assert memory.sizes[kind] == sum(sizes)
    starts = [memory.offsets[n] for n in names]
    assert starts == np.cumsum([0, *sizes[:-1]]).tolist()


@test_print_c.pytestmark
@pytest.mark.parametrize('name', test_print_c.MODELS)
def test_the_stated_memory_is_that_of_the_compiler(name, tmp_path):
  model = test_print_c.MODELS[name]
  print_c.write_sources(model, tmp_path)
  source = (tmp_path / print_c.SOURCE).read_text()
  (tmp_path / 'size.c').write_text(
    source + '#include <stdio.h>\n'
    'int main(void) { printf("%zu\\n", sizeof(memory)); return 0; }\n'
  )
  subprocess.run(
    ['cc', '-std=c99', '-DBNN_PLAIN', 'size.c', '-o', 'size'], cwd=tmp_path,
    check=True,
  )
  size = int(subprocess.run(
    [tmp_path / 'size'], capture_output=True, check=True
  ).stdout)
  stated = print_c.memory(model)
  assert size <= stated <= size + 8
  header = (tmp_path / print_c.HEADER).read_text()
  assert re.search(r'#define BNN_MEMORY (\d+)\n', header)[1] == str(stated)
