"""The C code with NEON, every layer of it, emulated."""

import pathlib
import shutil
import subprocess

import numpy as np
import pytest

from bnn_jax.export import c_engine
from bnn_jax.export import c_types
from bnn_jax.export import check
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import print_c
from tests.export import planes
from tests.export import test_print_c

COMPILER, EMULATOR = 'aarch64-linux-gnu-gcc', 'qemu-aarch64'
PROGRAM = pathlib.Path(__file__).with_name('layers.c')
MODELS = {**test_print_c.MODELS, 'planes': planes.network(1)}

pytestmark = pytest.mark.skipif(
  not (shutil.which(COMPILER) and shutil.which(EMULATOR)),
  reason=f'Install {COMPILER} and {EMULATOR} to run NEON.',
)


def neon_layers(model, sources, q, folder) -> dict[str, np.ndarray]:
  """What every layer but the last gives."""
  for name, text in sources.items():
    (folder / name).write_text(text)
  subprocess.run(
    [COMPILER, '-std=c99', *test_print_c.STRICT, '-O1', '-static',
     f'-I{folder}', PROGRAM, folder / print_c.SOURCE, '-o', folder / 'layers'],
    check=True,
  )
  values = check.check(model)
  kinds = c_types.types(model, values)
  widths = {
    'result': c_types.bytes_of(kinds.result),
    'stream': c_types.bytes_of(kinds.stream),
  }
  names = [layer.name for layer in model.layers[:-1]]
  sizes = [c_engine.bytes_of(values[name], widths) for name in names]
  found = subprocess.run(
    [EMULATOR, folder / 'layers', *map(str, sizes)], input=q.tobytes(),
    capture_output=True, check=True,
  ).stdout
  assert found[:2] == bytes(widths.values())
  ends = np.cumsum([2, *sizes * len(q)])
  assert len(found) == ends[-1]
  pieces = iter(np.split(np.frombuffer(found, np.uint8), ends)[1:-1])
  rows = [
    [c_engine.array_of(values[name], next(pieces).tobytes(), widths)
     for name in names]
    for _ in q
  ]
  return {
    name: np.stack(row)
    for name, row in zip(names, zip(*rows, strict=True), strict=True)
  }


@pytest.mark.parametrize('name', MODELS)
def test_neon_gives_the_golden_integers(name, tmp_path):
  model = MODELS[name]
  q = planes.clips(3) if name == 'planes' else test_print_c.Q[:3]
  files.write(tmp_path / 'export', model)
  expected = golden.intermediates(golden.read(tmp_path / 'export'), q)
  sources = print_c.sources(model, keep=True)
  found = neon_layers(model, sources, q, tmp_path)
  assert len(found) == len(model.layers) - 1
  for layer, value in found.items():
    assert np.array_equal(value, expected[layer]), layer


def test_a_changed_line_of_neon_shows(tmp_path):
  model, q = MODELS['narrow'], test_print_c.Q[:3]
  files.write(tmp_path / 'export', model)
  expected = golden.intermediates(golden.read(tmp_path / 'export'), q)
  sources = print_c.sources(model, keep=True)
  text = sources[print_c.SOURCE]
  assert text.count(' == 1 && !c->rest_lanes;') == 1
  changed = text.replace(' == 1 && !c->rest_lanes;', ' == 1;')
  found = neon_layers(
    model, {**sources, print_c.SOURCE: changed}, q, tmp_path
  )
  differ = [
    layer for layer in found if '/' not in layer
    and not np.array_equal(found[layer], expected[layer])
  ]
  # Those whose rest begins within a byte.
  assert differ == ['conv34', 'conv35']
