"""Each way to get one implementation wrong makes the comparison fail.

A mutant is the golden model with a line of its source replaced, or an export
of which one integer was changed, for one engine alone.
"""

import pathlib
import types

import numpy as np
import pytest

from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import integer
from bnn_jax.export import specs
from bnn_jax.jobs import verify
from tests.export import networks
from tests.export import planes

SOURCE = pathlib.Path(golden.__file__).read_text()
CLIPS = [f'testing[{i}]' for i in range(60)]
NETWORKS = {
  'saturate': (networks, specs.Accumulator(4, 'saturate', 5, 'dot')),
  'wrap': (networks, specs.Accumulator(4, 'wrap', 5, 'popcount')),
  'planes': (planes, specs.Accumulator(4, 'saturate', 5, 'dot')),
}


class Run:
  """A network, its export, and what the integer path makes of it."""

  def __init__(self, make, register: specs.Accumulator, folder: pathlib.Path):
    self.model, self.q = make.network(1, register), make.clips(len(CLIPS))
    self.folder = folder
    files.write(folder, self.model)
    self.layers = integer.intermediates(self.model, self.q)

  def told(self, layers) -> list[str]:
    """What the comparison tells of another engine's layers."""
    lines: list[str] = []
    made = {'integer': self.layers, 'mutant': layers}

    def of_clip(engine, q):
      clip = int((self.q == q).all((1, 2)).argmax())
      return {n: v[clip : clip + 1] for n, v in made[engine].items()}

    names = [layer.name for layer in self.model.layers]
    equal = verify.compare_logits(
      {engine: values[names[-1]] for engine, values in made.items()},
      of_clip, self.q, names, CLIPS, lines.append,
    )
    assert equal == (len(lines) == 1)
    assert equal == lines[0].endswith(': mismatches: 0 of 240')
    return lines


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  folder = tmp_path_factory.mktemp('mutations')
  return {
    name: Run(*made, folder / name) for name, made in NETWORKS.items()
  }


def engine(*replacements: tuple[str, str]) -> types.ModuleType:
  """The golden model with pieces of its source replaced."""
  source = SOURCE
  for old, new in replacements:
    assert source.count(old) == 1, old
    source = source.replace(old, new)
  module = types.ModuleType('mutant')
  exec(compile(source, 'mutant', 'exec'), module.__dict__)
  return module


@pytest.mark.parametrize('name', NETWORKS)
def test_the_right_engine_agrees(runs, name):
  run = runs[name]
  layers = golden.intermediates(golden.read(run.folder), run.q)
  assert run.told(layers) == [
    'integer vs mutant: mismatches: 0 of 240'
  ]


# The network, the layer that differs first, and what is replaced.
SOURCES = {
  'words in the other order': (
    'saturate', 'stem', ('for word in cut:', 'for word in cut[::-1]:')),
  'taps in the other order': (
    'saturate', 'stem', ('concatenate(split,', 'concatenate(split[::-1],')),
  'words cross taps': (
    'saturate', 'stem',
    ('if channels < simd:', 'if True:'),
    ('simd // channels * channels', 'simd'),
    ("[len(word) for word in cut] == layer['words']", 'True')),
  'one lane more in a word': (
    'saturate', 'stem',
    ("channels, accumulator['simd'])", "channels, accumulator['simd'] + 1)"),
    ("[len(word) for word in cut] == layer['words']", 'True')),
  'one bit more': (
    'saturate', 'stem',
    ("accumulator['bits'], acc", "accumulator['bits'] + 1, acc")),
  'one bit less in wrap': (
    'wrap', 'stem',
    ("accumulator['bits'], acc", "accumulator['bits'] - 1, acc")),
  'saturates for wrap': (
    'wrap', 'stem',
    ('return (v + half) % (2 * half) - half',
     'return np.clip(v, -half, half - 1)')),
  'wraps for saturate': (
    'saturate', 'stem',
    ('return np.clip(v, -half, half - 1)',
     'return (v + half) % (2 * half) - half')),
  'symmetric range': (
    'saturate', 'stem', ('np.clip(v, -half,', 'np.clip(v, 1 - half,')),
  'sign of zero': (
    'saturate', 'first', ('np.where(x >= threshold', 'np.where(x > threshold')
  ),
  'shift rounds to the nearest': (
    'saturate', 'dense/norm',
    ('a >> np.maximum(-s, 0)',
     '(a + (1 << np.maximum(-s, 0) >> 1)) >> np.maximum(-s, 0)')),
  'slope rounds towards zero': (
    'saturate', 'wide/act', ("z >> _by_channel(layer, 'k', y)",
                             "-(-z >> _by_channel(layer, 'k', y))")),
  'padding +1': ('saturate', 'stem', ('PADDING = -1', 'PADDING = 1')),
  'preload dropped': (
    'saturate', 'stem',
    ("acc += layer['tensors']", "acc += 0 * layer['tensors']")),
  'odd words forgotten': (
    'wrap', 'stem',
    ("return odd if layer['accumulator']", "return 0 if layer['accumulator']")),
  'half rounded up': (
    'wrap', 'stem', ('equal - lanes // 2', 'equal - (lanes + 1) // 2')),
  'sum does not saturate': (
    'saturate', 'depth/add',
    ("return saturate(r + y, layer['stream']['bits'])", 'return r + y')),
  'shortcut from the second position': (
    'saturate', 'short', ('slice(before, size - after, stride)',
                          'slice(size - after - 1, None, -stride)')),
  'another part': (
    'saturate', 'dense/part1', ('return x[..., start:stop]',
                                'return x[..., :stop - start]')),
  'mean rounds to the nearest': (
    'planes', 'mean', ('windows(layer, r).sum(axis=-2) // count',
                       '(windows(layer, r).sum(axis=-2) + count // 2) // count')
  ),
  'mean rounds towards zero': (
    'planes', 'mean', ('windows(layer, r).sum(axis=-2) // count',
                       '(windows(layer, r).sum(axis=-2) / count).astype(int)')),
  'smallest for largest': (
    'planes', 'largest', ('.max(axis=-2)', '.min(axis=-2)')),
  'windows overlap': (
    'planes', 'largest', ('slice(i, size // wide * wide, wide)',
                          'slice(i, size // wide + i)')),
  'axes in the other order': (
    'planes', 'image', ('x.reshape(len(x), *',
                        'np.swapaxes(x, 1, -1).reshape(len(x), *')),
  'frequency before time': (
    'planes', 'stem', ("itertools.product(*map(range, layer['kernel']))",
                       "[p[::-1] for p in itertools.product("
                       "*map(range, layer['kernel'][::-1]))]")),
  'silence is loud': (
    'planes', 'encode', ('silence, (0, 0)]',
                         'silence, (0, 0)], constant_values=255')),
  'bias dropped': (
    'saturate', 'classifier', ('(2 * weights - 1).T + bias',
                               '(2 * weights - 1).T')),
}


@pytest.mark.parametrize('name', SOURCES)
def test_a_changed_rule_is_caught(runs, name):
  register, layer, *replacements = SOURCES[name]
  run, mutant = runs[register], engine(*replacements)
  model = golden.read(run.folder)
  lines = run.told(mutant.intermediates(model, run.q))
  assert 'mismatches: 0 of' not in lines[0]
  assert f', layer {layer}, index ' in lines[1]
  assert lines[1].startswith('  first: clip testing[')


def flipped(array: np.ndarray, place: int) -> np.ndarray:
  changed = array.copy()
  changed.flat[place] ^= 1
  return changed


def raised(array: np.ndarray, place: int) -> np.ndarray:
  changed = array.copy()
  changed.flat[place] += 1
  return changed


INTEGERS = [
  ('stem', 'weights', flipped, 1),
  ('wide', 'weights', flipped, 1),
  ('depth', 'weights', flipped, 1),
  ('dense', 'weights', flipped, 13),
  ('classifier', 'weights', flipped, 1),
  ('encode', 'thresholds', raised, 1),
  ('first', 'thresholds', raised, 1),
  ('depth/sign', 'theta', raised, 7),
  ('stem', 'preload', raised, 1),
  ('wide/norm', 'shift', raised, 1),
  ('wide/norm', 'bias', raised, 1),
  ('wide/act', 'g', raised, 1),
  ('wide/act', 'h', raised, 1),
  ('classifier', 'bias', raised, 1),
]


@pytest.mark.parametrize('name, field, change, place', INTEGERS)
def test_one_changed_integer_is_caught(
  runs, tmp_path, name, field, change, place
):
  run = runs['saturate']
  layer = next(one for one in run.model.layers if one.name == name)
  altered = networks.changed(
    run.model, name, **{field: change(getattr(layer, field), place)}
  )
  files.write(tmp_path / 'export', altered)
  layers = golden.intermediates(golden.read(tmp_path / 'export'), run.q)
  lines = run.told(layers)
  assert 'mismatches: 0 of' not in lines[0]
  assert f', layer {name}, index ' in lines[1]
