"""The whole accelerator against the golden model, every layer's integers."""

import shutil

import numpy as np
import pytest

from bnn_jax.accelerator import fields
from bnn_jax.accelerator import memories
from bnn_jax.accelerator import schedule
from bnn_jax.accelerator import simulator
from bnn_jax.accelerator import spec as spec_lib
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import specs
from tests.accelerator import installed
from tests.accelerator import speech
from tests.export import networks

pytestmark = installed.needs()
CLIPS = 6
Spec = spec_lib.AcceleratorSpec

# Every kind of layer, groups, dilation, preloads, taps that share a word.
NETWORKS = [
  (specs.Accumulator(4, 'saturate', 5, 'dot'), Spec(pes=4)),
  (specs.Accumulator(3, 'wrap', 8, 'popcount'), Spec(pes=1, span=1)),
  (specs.Accumulator(3, 'saturate', 1, 'popcount'), Spec(pes=2)),
  (specs.Accumulator(5, 'exact', 64, 'dot'), Spec(pes=16, span=3)),
]
# A unit for each element, or for several; a pass that is not full; several
# bins of a word, or several words of a bin.
SPEECH = [
  (specs.Accumulator(5, 'wrap', 16, 'dot'), Spec(pes=8)),
  (specs.Accumulator(4, 'saturate', 4, 'dot'), Spec(pes=4)),
  (specs.Accumulator(6, 'wrap', 2, 'dot'), Spec(pes=8, lanes=2)),
]


def golden_layers(folder, model, q):
  files.write(folder / 'export', model)
  return golden.intermediates(golden.read(folder / 'export'), q)


def differences(model, result, expected) -> dict[str, int]:
  """Unequal integers of each layer that has any."""
  found = {}
  for layer in model.layers[:-1]:
    values, seen = result.layers[layer.name]
    assert seen.any()
    found[layer.name] = int(((values != expected[layer.name]) & seen).sum())
  last = expected[model.layers[-1].name]
  found[model.layers[-1].name] = int((result.logits != last).sum())
  return {name: count for name, count in found.items() if count}


def compare(folder, model, spec, q):
  filled = memories.fill(model, spec)
  result = simulator.run(filled, q, deep=True)
  expected = golden_layers(folder, model, q)
  assert differences(model, result, expected) == {}
  assert result.decisions.tolist() == result.logits.argmax(axis=1).tolist()
  cycles = schedule.cycles(model, spec)
  assert result.cycles.tolist() == [sum(cycles.values())] * len(q)
  return filled, result


@pytest.mark.parametrize('register, spec', NETWORKS)
def test_every_kind_of_layer(tmp_path, register, spec):
  for seed in range(3):
    model = networks.network(seed, register)
    compare(tmp_path, model, spec, networks.clips(CLIPS, seed))


def clips(seed: int) -> np.ndarray:
  random = np.random.default_rng(seed)
  shape = CLIPS, speech.FRAMES, speech.BINS
  return random.integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize('register, spec', SPEECH)
def test_speech_network(tmp_path, register, spec):
  for seed in range(3):
    model = speech.network(register, seed)
    compare(tmp_path, model, spec, clips(seed))


def test_counts(tmp_path):
  register, spec = SPEECH[0]
  model = speech.network(register)
  filled, result = compare(tmp_path, model, spec, clips(0))
  # Positions, passes and words of the parts and blocks.
  words = 2 * (7 * 2 * 3) + 7 * 2 * 5 + 4 * 3 * 3
  assert result.used['array busy'] == CLIPS * words
  assert result.used['weights read'] == CLIPS * words
  # 4 channels at a time, so 3 chunks of a position, in the last block 5. The
  # first part has no activation, the last block's sum alone is kept, and the
  # shortcut has no more than 3 chunks.
  assert filled.layout.lanes == 4
  assert result.used['norms read'] == CLIPS * (3 * 7 * 3 + 4 * 5)
  assert result.used['prelus read'] == CLIPS * (2 * 7 * 3 + 4 * 5)
  assert result.used['stream written'] == CLIPS * (3 * 7 * 3)
  assert result.used['stream read'] == CLIPS * (2 * 7 * 3 + 4 * 3)
  assert result.used['classes read'] == CLIPS * 3 * 5


def test_a_mutation_is_caught(tmp_path, monkeypatch):
  # Nobody wants the program again.
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  register, spec = SPEECH[0]
  model = speech.network(register)
  sources = tmp_path / 'rtl'
  shutil.copytree(fields.RTL, sources)
  text = (sources / 'lane.v').read_text()
  assert text.count('value >= theta') == 1
  text = text.replace('value >= theta', 'value > theta')
  (sources / 'lane.v').write_text(text)
  q = clips(0)
  result = simulator.run(
    memories.fill(model, spec), q, deep=True, sources=sources
  )
  found = differences(model, result, golden_layers(tmp_path, model, q))
  assert 'sign' in found and 'act' not in found


def test_clips_do_not_see_each_other():
  register, spec = SPEECH[0]
  filled = memories.fill(speech.network(register), spec)
  q = clips(0)
  together = simulator.run(filled, q).logits
  for i in range(CLIPS):
    alone = simulator.run(filled, q[i : i + 1]).logits
    assert alone.tolist() == together[i : i + 1].tolist()
