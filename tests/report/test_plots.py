import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from bnn_jax.report import plots

LINES = [{'epoch': float(e), 'a': 1 / (e + 1), 'b': 0.0} for e in range(10)]
MAP = [
  {'epoch': e + 1.0, 'overflow': {'stem': 0.1, 'a<b$x$/conv': 0.0}}
  for e in range(10)
]


def parse(svg):
  return ElementTree.fromstring(re.sub(r'xlink:href', 'href', svg))


def texts(svg):
  return [''.join(node.itertext()) for node in parse(svg).iter('text')]


def drawn_lines(svg):
  """The curves: unlike a legend's clipped, of more points than a grid's."""
  groups = [group.findall('path') for group in parse(svg).iter('g')
            if '-line2d_' in group.get('id', '')]
  return [paths[0].get('d') for paths in groups
          if paths and paths[0].get('clip-path')
          and len(re.findall('[ML]', paths[0].get('d'))) > 2]


@pytest.mark.parametrize('svg', [
  plots.curves('loss', [('one', LINES, 'a'), ('two', LINES, 'b')]),
  plots.overflow_map('map', MAP),
])
def test_picture_stands_alone_and_takes_the_colours_of_the_page(svg):
  assert svg.startswith('<svg') and svg.rstrip().endswith('</svg>')
  assert 'http' not in svg
  assert '#0102' not in svg
  assert 'var(--muted)' in svg


def test_each_curve_is_drawn_once():
  drawn = [('one', LINES, 'a'), ('two', LINES, 'b'), ('none', LINES, 'c')]
  svg = plots.curves('loss', drawn)
  assert len(drawn_lines(svg)) == 2
  assert {'one', 'two'} <= set(texts(svg))
  assert 'none' not in texts(svg)


def test_curve_passes_through_its_points():
  lines = [{'epoch': x, 'a': y} for x, y in ((0, 0), (1, 3), (2, 2))]
  curve = drawn_lines(plots.curves('c', [('a', lines, 'a')]))[0]
  xy = np.array(re.findall(r'[ML] (\S+) (\S+)', curve), float)
  # The picture's y points downwards.
  assert xy[:, 0] - xy[0, 0] == pytest.approx((xy[2, 0] - xy[0, 0]) * np.array(
    [0, 0.5, 1]))
  assert xy[0, 1] - xy[:, 1] == pytest.approx((xy[0, 1] - xy[1, 1]) * np.array(
    [0, 1, 2 / 3]))


def test_identifiers_differ_between_plots():
  def ids(name):
    return set(re.findall(r'id="([^"]*)"',
                          plots.curves(name, [('a', LINES, 'a')])))
  assert ids('x') and not ids('x') & ids('y')


def test_references_are_to_own_identifiers():
  svg = plots.curves('loss', [('one', LINES, 'a')])
  ids = set(re.findall(r'\bid="([^"]*)"', svg))
  used = re.findall(r'href="#([^"]*)"', svg) + re.findall(r'url\(#(.*?)\)', svg)
  assert used and set(used) <= ids


@pytest.mark.parametrize('values', [[0.0, 0.0], [np.nan, 1.0], [-1.0, 0.0]])
def test_log_scale_without_positive_values(values):
  lines = [{'epoch': float(i), 'a': v} for i, v in enumerate(values)]
  assert plots.curves('c', [('a', lines, 'a')], log=True)


@pytest.mark.parametrize('values, labels', [
  ([0.03, 0.04], ['0.01', '0.1']), ([0.1, 0.1], ['0.1', '1']),
  ([0.02, 5.0], ['0.01', '0.1', '1', '10']),
])
def test_log_scale_is_labelled_however_narrow(values, labels):
  lines = [{'epoch': float(i), 'a': v} for i, v in enumerate(values)]
  found = texts(plots.curves('c', [('a', lines, 'a')], log=True))
  assert found[found.index('epoch') + 1:] == labels


def test_nothing_to_draw():
  assert plots.curves('c', [('a', [], 'a'), ('b', LINES, 'zzz')]) is None
  assert plots.overflow_map('m', LINES) is None
  assert plots.overflow_map('m', []) is None


def test_many_points_are_averaged():
  lines = [{'epoch': float(i), 'a': float(i % 2)} for i in range(6000)]
  x, y = plots._points(lines, 'a')
  assert x.size == 300
  assert x[0] == 9.5
  assert (y == 0.5).all()


def test_layers_keep_their_order_and_names():
  found = texts(plots.overflow_map('m', MAP))
  assert found.index('stem') < found.index('a<b$x$/conv')


def test_columns_of_the_map_are_means():
  lines = [{'epoch': i / 10, 'overflow': {'a': i % 2, 'b': 0.25}}
           for i in range(240)]
  layers, shares = plots._shares(lines)
  assert layers == ['a', 'b']
  np.testing.assert_array_equal(shares, np.full((2, 60), [[0.5], [0.25]]))


def test_layer_that_appears_late_starts_at_zero():
  _, shares = plots._shares([{'overflow': {'a': 1.0}},
                             {'overflow': {'a': 1.0, 'b': 0.5}}])
  assert shares.tolist() == [[1.0, 1.0], [0.0, 0.5]]


def test_opacity_is_logarithmic_and_zero_without_overflow():
  shares = np.array([0.0, 1e-9, 1e-4, 1e-2, 1.0, np.nan])
  opacity = plots._opacities(shares, (1e-4, 1.0))[:, 3]
  np.testing.assert_allclose(opacity, [0, 0.06, 0.06, 0.53, 1, 0])


@pytest.mark.parametrize('shares, limits', [
  ([0.03, 0.2], (1e-2, 1.0)), ([0.0], (0.1, 1.0)), ([1e-9], (1e-6, 1e-5)),
  ([0.05], (1e-2, 1e-1)), ([1e-9, 1.0], (1e-5, 1.0)),
])
def test_range_of_the_map(shares, limits):
  assert plots._range(np.array(shares)) == pytest.approx(limits)


def test_settings_of_others_stay():
  before = dict(matplotlib.rcParams)
  plots.curves('c', [('a', LINES, 'a')])
  assert dict(matplotlib.rcParams) == before
