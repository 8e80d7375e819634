"""Each way to get the C code wrong shows in the layer that it spoils first."""

import dataclasses

import numpy as np
import pytest

from bnn_jax.export import c_engine
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import print_c
from bnn_jax.export import specs
from tests.export import c_networks
from tests.export import networks
from tests.export import planes
from tests.export import test_print_c

pytestmark = test_print_c.pytestmark

register = c_networks.register
MODEL = c_networks.side_by_side([
  c_networks.Case(register(5), 40, (5,), padding=(2, 2), preload=True),
  c_networks.Case(register(4, 'wrap', 5, 'popcount'), 20, preload=True),
  c_networks.Case(register(4, simd=7, unit='popcount'), 12),
  c_networks.Case(register(9, simd=32), 40, preload=True),
  c_networks.Case(register(11, 'wrap', 7), 16, ones=True),
], 3)
Q = c_networks.clips(6)
SOURCES = print_c.sources(MODEL, keep=True)
NAMES = [layer.name for layer in MODEL.layers]


@pytest.fixture(scope='module')
def expected(tmp_path_factory):
  folder = tmp_path_factory.mktemp('c') / 'export'
  files.write(folder, MODEL)
  return golden.intermediates(golden.read(folder), Q)


def unequal(sources, target: str, expected) -> list[str]:
  """Names of the layers that differ."""
  options = (*test_print_c.options(target, '-O0'), '-w')
  found = c_engine.layers(MODEL, sources, Q, options)
  return [n for n in NAMES if not np.array_equal(found[n], expected[n])]


def changed(old: str, new: str, sources=SOURCES) -> dict[str, str]:
  text = sources[print_c.SOURCE]
  assert old in text, old
  return {**sources, print_c.SOURCE: text.replace(old, new)}


@pytest.mark.parametrize('target', ['plain', 'avx2'])
def test_the_right_code_agrees(target, expected):
  assert unequal(SOURCES, target, expected) == []


# The target, the layer that differs first, and what is replaced.
TEXTS = {
  'one bit more': ('plain', 'conv0', '.bits = 5,', '.bits = 6,'),
  'wraps for saturate': (
    'plain', 'conv0', '.saturates = 1,', '.saturates = 0,'),
  'saturates for wrap': (
    'plain', 'conv1', '.saturates = 0,', '.saturates = 1,'),
  'symmetric range': (
    'plain', 'conv0', 'low = (Sum)-(', 'low = (Sum)1 - (Sum)('),
  'sign of zero in q': (
    'plain', 'encode', 'q[f] >= thresholds', 'q[f] > thresholds'),
  'sign of zero in results': (
    'plain', 'conv0/bits', 'a[c] >= thresholds', 'a[c] > thresholds'),
  'sign of zero in the stream': (
    'plain', 'conv0/sign', '(r[c] - theta[c])', '(r[c] - theta[c] - 1)'),
  'shift rounds to the nearest': (
    'plain', 'conv0/norm', '(v >> shift)',
    '((v + ((Wide)1 << shift >> 1)) >> shift)'),
  'slope rounds towards zero': (
    'plain', 'conv0/act', '* slopes[c]) >> 7', '* slopes[c]) / 128'),
  'padding +1': (
    'plain', 'conv0', 'row[first / 8 + i] : 0', 'row[first / 8 + i] : 255'),
  'preload dropped': (
    'plain', 'conv0', 'preload ? preload[', 'preload ? 0 * preload['),
  'odd words forgotten': ('plain', 'conv1', '* v - c->offset', '* v'),
  'a vector does not saturate': (
    'avx2', 'conv0', 'max_bytes(min_bytes(sums.first, high), low)',
    'sums.first'),
  'nor at the second position': (
    'avx2', 'conv0', 'max_bytes(min_bytes(sums.second, high), low)',
    'sums.second'),
  'nor in 16 bits': (
    'avx2', 'conv3', 'max_shorts(min_shorts(sum, high), low)', 'sum'),
  'a vector drops the preload': (
    'avx2', 'conv0', 'preload ? load_bytes(preload)',
    'preload ? every_byte(0)'),
  'a vector takes each word for a full one': (
    'avx2', 'conv0', 'is_full ? c->full_bias : c->rest_bias', 'c->full_bias'),
  'a vector wraps at another bit': (
    'avx2', 'conv1', 'unused = 16 - c->bits', 'unused = 15 - c->bits'),
  'bytes count too far': ('avx2', 'conv4', 'COUNTED 31', 'COUNTED 32'),
}


@pytest.mark.parametrize('name', TEXTS)
def test_a_changed_line_shows(name, expected):
  target, layer, old, new = TEXTS[name]
  assert unequal(changed(old, new), target, expected)[:1] == [layer]


def sources(name: str, **fields) -> dict[str, str]:
  """The C code of a network with fields of one layer replaced."""
  return print_c.sources(networks.changed(MODEL, name, **fields), keep=True)


def layer(name: str):
  return MODEL.layers[NAMES.index(name)]


@pytest.mark.parametrize('target', ['plain', 'avx2'])
def test_order_shows_where_a_register_saturates(target, expected):
  """The same products, but the last tap first."""
  turned = dataclasses.replace(MODEL, layers=tuple(
    dataclasses.replace(one, weights=one.weights[:, ::-1])
    if isinstance(one, specs.Conv) else one for one in MODEL.layers
  ))
  mutant = changed(
    'tap / c->bin_taps * c->dilation', '(c->taps - 1 - tap) * c->dilation',
    print_c.sources(turned, keep=True),
  )
  found = [n for n in unequal(mutant, target, expected) if '/' not in n]
  assert found == ['conv0', 'conv2', 'conv3']


@pytest.mark.parametrize('target', ['plain', 'avx2'])
def test_word_boundaries_show_where_a_register_saturates(target, expected):
  for name, simd in (('conv0', 63), ('conv3', 33)):
    register = dataclasses.replace(layer(name).accumulator, simd=simd)
    mutant = sources(name, accumulator=register)
    assert unequal(mutant, target, expected)[0] == name
  register = dataclasses.replace(layer('conv4').accumulator, simd=9)
  assert not unequal(sources('conv4', accumulator=register), target, expected)


@pytest.mark.parametrize('name, field, change', [
  ('conv0', 'weights', 'flip'), ('conv1', 'weights', 'flip'),
  ('conv3', 'preload', 'raise'), ('encode', 'thresholds', 'raise'),
  ('conv1/bits', 'thresholds', 'raise'), ('conv0/sign', 'theta', 'raise'),
])
def test_one_changed_integer_shows(name, field, change, expected):
  values = getattr(layer(name), field).copy()
  place = values.size // 2
  compared = {'encode': Q[..., None], 'conv0/sign': expected['conv0/act']}
  if name in compared:
    # One that some clip meets, so that one more is too much.
    meets = (compared[name] == values).any((0, 1))
    place = int(meets.argmax())
    assert meets.flat[place]
  if change == 'flip':
    values.flat[place] ^= 1
  else:
    values.flat[place] += 1
  assert unequal(sources(name, **{field: values}), 'plain', expected)[0] == name


PLANES = planes.network(1)
PLANE_CLIPS = planes.clips(6)
PLANE_SOURCES = print_c.sources(PLANES, keep=True)


@pytest.fixture(scope='module')
def planes_expected(tmp_path_factory):
  folder = tmp_path_factory.mktemp('c') / 'export'
  files.write(folder, PLANES)
  return golden.intermediates(golden.read(folder), PLANE_CLIPS)


@pytest.mark.parametrize('layer, old, new', [
  ('encode', 'i < before * bytes', 'i < 0 * before'),
  ('image', 'to = i / joined', 'to = (count - 1 - i) / joined'),
  ('stem', 'tap % c->bin_taps * c->bin_d', 'tap / c->taps * c->bin_d'),
  ('stem', '- c->bin_before', '- c->before'),
  ('largest', 'x[c] > y[c]', 'x[c] < y[c]'),
  ('largest', 'position % bins * wide', 'position % bins'),
  ('depth', 'tap % c->bin_taps * c->bin_dilation', 'tap % c->bin_taps'),
  ('short', 't * frame_step', 't * bin_step'),
  ('mean', 'pool[c] >> shift', 'pool[c] / (1 << shift)'),
  ('mean', 'pool[c] >> shift', '(pool[c] + (1 << shift >> 1)) >> shift'),
  ('mean', 'i / wide * columns', 'i / wide'),
  ('cut', '(c < kept ? x[c] : 0)', 'x[c % kept]'),
])
def test_a_changed_line_of_planes_shows(layer, old, new, planes_expected):
  options = (*test_print_c.options('plain', '-O0'), '-w')
  sources = changed(old, new, PLANE_SOURCES)
  found = c_engine.layers(PLANES, sources, PLANE_CLIPS, options)
  first = next(
    one.name for one in PLANES.layers
    if not np.array_equal(found[one.name], planes_expected[one.name])
  )
  assert first == layer
