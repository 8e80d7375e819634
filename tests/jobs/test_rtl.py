import dataclasses
import types

import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.accelerator import memories
from bnn_jax.accelerator import spec as spec_lib
from bnn_jax.export import files
from bnn_jax.export import specs
from bnn_jax.jobs import rtl
from tests.accelerator import installed
from tests.accelerator import speech
from tests.export import networks

# As in tests/accelerator/test_simulator.py, which builds the same program.
REGISTER = specs.Accumulator(5, 'wrap', 16, 'dot')
SPEC = spec_lib.AcceleratorSpec(pes=8)
MODEL = speech.network(REGISTER)


@pytest.fixture
def run(tmp_path, monkeypatch):
  """Runs the job on an export of random weights and random clips."""
  path = tmp_path / 'export'
  files.write(path, MODEL)
  random = np.random.default_rng(0)
  shape = 3, speech.FRAMES, speech.BINS
  q = random.integers(0, 256, shape).astype(np.uint8)
  clips = [f'testing[{i}]' for i in range(3)]
  monkeypatch.setattr(rtl.verify, 'quantized', lambda *_: (q, clips))
  monkeypatch.setattr(rtl.export_job, 'export_path', lambda *_: path)

  def run(**options):
    lines: list[str] = []
    equal = rtl.run(None, tmp_path, SPEC, tell=lines.append, **options)
    return equal, lines

  return run


@installed.needs()
def test_all_integers_are_equal(run, tmp_path):
  equal, lines = run(deep=True)
  assert equal
  assert lines[0] == f'memories: {tmp_path}/export-rtl'
  assert (tmp_path / 'export-rtl' / 'weights.hex').exists()
  assert lines[1] == 'RTL vs golden: mismatches: 0 of 9'
  assert lines[2] == 'RTL vs golden, decisions: mismatches: 0 of 3'
  assert lines[3].startswith('RTL vs golden, all layers: mismatches: 0 of ')
  assert lines[4].startswith('of these, not computed and taken as equal: 0 (')
  assert lines[5] == 'RTL vs schedule, cycles: mismatches: 0 of 3'
  assert lines[6] == (
    'cycles per inference: 287 (stem 122, one 91, two 55, classifier 19)'
  )
  # 190 words of 287 cycles; 15984 products of 287 * 8 * 16.
  assert lines[7].startswith('utilization: array busy 66.2%, ')
  assert ' with operands 43.5% ' in lines[7]
  assert ': weights read 190, input read ' in lines[8]


def test_frames_that_no_convolution_reads_are_counted(monkeypatch):
  seen = np.array([[True], [False]])
  layer = types.SimpleNamespace(seen=seen, values=np.zeros((1, 2, 5)))
  result = types.SimpleNamespace(layers={'encode': layer})
  monkeypatch.setattr(rtl.simulator, 'run', lambda *_, deep: result)
  assert rtl._skipped(None, np.zeros((3, 2, 5))) == 3 * 5


@installed.needs()
@pytest.mark.parametrize('field, line', [
  ('decisions', 'RTL vs golden, decisions: mismatches: 1 of 3'),
  ('cycles', 'RTL vs schedule, cycles: mismatches: 1 of 3'),
])
def test_decisions_and_cycles_are_compared(run, monkeypatch, field, line):
  simulate = rtl.simulator.run

  def changed(*arguments, **options):
    result = simulate(*arguments, **options)
    values = getattr(result, field).copy()
    values[1] += 1
    return dataclasses.replace(result, **{field: values})

  monkeypatch.setattr(rtl.simulator, 'run', changed)
  equal, lines = run()
  assert not equal
  place = lines.index(line)
  assert lines[place + 1].startswith('  first: clip testing[1]: ')


@installed.needs()
def test_the_first_difference_is_named(run, monkeypatch):
  one = next(layer for layer in MODEL.layers if layer.name == 'one')
  weights = one.weights.copy()
  weights[3] = 1 - weights[3]
  wrong = networks.changed(MODEL, 'one', weights=weights)
  fill = memories.fill
  monkeypatch.setattr(
    rtl.memories_lib, 'fill', lambda model, spec: fill(wrong, spec)
  )
  equal, lines = run()
  assert not equal
  assert lines[1].startswith('RTL vs golden: mismatches: ')
  assert ': mismatches: 0 of' not in lines[1]
  assert lines[2].startswith(
    '  first: clip testing[0], layer one, index [0, 3]: '
  )


def test_no_export(run, tmp_path):
  (tmp_path / 'export').rename(tmp_path / 'elsewhere')
  with pytest.raises(errors.UserError, match='--mode=export'):
    run()


def test_without_tools_the_launcher_is_named(run, monkeypatch):
  monkeypatch.setenv('PATH', '')
  with pytest.raises(
    errors.UserError,
    match='verilator, make, g.. cannot be found; .* ./launch.sh rtl-tools',
  ):
    run()
