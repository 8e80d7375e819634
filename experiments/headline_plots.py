"""Pictures of the headline, as SVG."""

from collections.abc import Mapping
from collections.abc import Sequence
import itertools
import math
import pathlib

import matplotlib
from matplotlib import figure

from experiments import headline_compare
from experiments import headline_costs

_COLORS = ('#8a939e', '#00798c', '#d1495b', '#1b1f24', '#edae49', '#66a182')
_COLUMNS = 3
_STEPS = ('twin', 'network', 'width', 'shift BN', 'ours')


def lanes(
  path: pathlib.Path, title: str,
  found: Mapping[str, Mapping[int, headline_costs.Point]],
) -> None:
  """Area times time of one network by lanes of a word, a line each machine.

  Args:
    path: of the picture.
    title: of the network.
    found: points by label of the machine and lanes.
  """
  picture = figure.Figure(figsize=(5.0, 3.4), layout='constrained')
  axis = picture.add_subplot()
  for i, (label, points) in enumerate(found.items()):
    values = [point.area_time for point in points.values()]
    axis.plot(
      list(points), values, color=_COLORS[i % len(_COLORS)], marker='o',
      markersize=4, label=label,
    )
    best = headline_costs.best(points)
    axis.plot(
      best.array.simd, best.area_time, 'o', markersize=9,
      markerfacecolor='none', color=_COLORS[i % len(_COLORS)],
    )
  axis.set(title=title, xlabel='lanes of a word', ylabel='area x time, um2 s')
  axis.set_xscale('log', base=2)
  axis.set_yscale('log')
  axis.set_xticks([*next(iter(found.values()))])
  axis.xaxis.set_major_formatter('{x:.0f}')
  axis.grid(axis='y', color='#eeeeee')
  axis.legend(frameon=False)
  _write(picture, path)


def waterfall(
  path: pathlib.Path,
  comparisons: Sequence[headline_compare.Comparison],
) -> None:
  """From each twin's cost to ours: by network, width and units.

  Args:
    path: of the picture.
    comparisons: with twins; those without a match are left out.
  """
  matched = [each for each in comparisons if each.match]
  rows = math.ceil(len(matched) / _COLUMNS)
  picture = figure.Figure(
    figsize=(3.4 * _COLUMNS, 2.4 * rows), layout='constrained'
  )
  grid = picture.subplots(rows, _COLUMNS, squeeze=False)
  for axis in grid.flat[len(matched):]:
    axis.set_axis_off()
  for axis, each in zip(grid.flat, matched, strict=False):
    _panel(axis, each)
  _write(picture, path)


def _panel(axis, comparison: headline_compare.Comparison) -> None:
  """One twin: its bar, changes that hang between two levels, and our bar."""
  assert comparison.match
  levels = [1.0, *comparison.match.waterfall.values()]
  bars = [
    (0.0, levels[0], '100', _COLORS[0]),
    *(
      (before, level, f'{100 * (level - before):+.1f}',
       _COLORS[2] if level > before else _COLORS[1])
      for before, level in itertools.pairwise(levels)
    ),
    (0.0, levels[-1], f'{100 * levels[-1]:.1f}', _COLORS[3]),
  ]
  for i, (bottom, top, words, color) in enumerate(bars):
    axis.bar(i, 100 * (top - bottom), bottom=100 * bottom, color=color)
    axis.annotate(
      words, (i, 100 * max(top, bottom)), ha='center', va='bottom', fontsize=8
    )
  axis.set_xticks(range(len(_STEPS)), _STEPS, fontsize=8)
  axis.set_ylim(0, 115 * max(levels))
  axis.set_title(f'{comparison.twin.name}: {comparison.match.ours}', fontsize=9)
  axis.set_ylabel('area x time, %', fontsize=8)
  axis.spines[['top', 'right']].set_visible(False)


def _write(picture: figure.Figure, path: pathlib.Path) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_suffix('.part')
  with matplotlib.rc_context({'svg.hashsalt': path.stem}):
    picture.savefig(temporary, format='svg', metadata={'Date': None})
  temporary.rename(path)
