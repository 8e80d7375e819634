"""Accuracy against bit operations, a point for each network of a comparison."""

from collections.abc import Sequence
import pathlib
from typing import Any

import matplotlib

matplotlib.use('Agg')
# Behind the choice of a backend that needs no display.
from matplotlib import pyplot as plt  # noqa: E402

from experiments import plot_sweep  # noqa: E402

_MARKERS = 'os^Dv*'


def draw(rows: Sequence[dict[str, Any]], title: str) -> plt.Figure:
  """A color and a marker for each variant; a full one is trained enough.

  Args:
    rows: of `compare_table.rows`; those without an accuracy are left out.
    title: above the picture.
  """
  figure, axis = plt.subplots(figsize=(8, 5), layout='constrained')
  judged = [row for row in rows if row['accuracy'] is not None]
  variants = list(dict.fromkeys(row['variant'] for row in judged))
  for i, variant in enumerate(variants):
    color = plot_sweep.COLORS[i % len(plot_sweep.COLORS)]
    marker = _MARKERS[i % len(_MARKERS)]
    axis.plot([], [], color=color, marker=marker, linestyle='', label=variant)
    for row in judged:
      if row['variant'] == variant:
        _point(axis, row, color, marker)
  axis.set_xscale('log')
  axis.set_xlabel('bit operations a clip')
  axis.set_ylabel('accuracy on validation and test, %')
  axis.set_title(title)
  axis.grid(color='#eeeeee')
  if judged:
    axis.legend(frameon=False)
  return figure


def _point(axis, row, color, marker) -> None:
  place = row['bit_operations'], row['accuracy']
  hollow = not {
    'undertrained', 'float not run', 'did not learn'
  }.isdisjoint(row['marks'])
  axis.errorbar(
    *place, yerr=row['deviation'] or 0.0, color=color, marker=marker,
    markersize=6, capsize=2, linestyle='', fillstyle='none' if hollow else None,
  )
  # Methods of one size are named by it.
  size = '' if row['method'].endswith(row['size']) else f' {row["size"]}'
  axis.annotate(
    row['method'] + size, place, xytext=(4, 3), textcoords='offset points',
    fontsize=6, color=color,
  )


def write(figure: plt.Figure, path: pathlib.Path) -> None:
  """Writes a picture of the kind that the path's ending says."""
  plt.rcParams['svg.hashsalt'] = path.stem
  temporary = path.with_name(f'.{path.name}.part')
  figure.savefig(temporary, format=path.suffix[1:], metadata={'Date': None})
  temporary.rename(path)
  plt.close(figure)
