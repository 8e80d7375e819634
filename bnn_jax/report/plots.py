"""Plots of the training metrics, as SVG that takes its colours from the page.

Matplotlib draws with placeholder colours, which become the style sheet's
variables, so one picture serves light, dark and print.
"""

from collections.abc import Sequence
import io
import re
from typing import Any

import matplotlib
from matplotlib import axes
from matplotlib import colors
from matplotlib import figure
from matplotlib import ticker
import numpy as np

# Colours that nothing else has, and the variables they become.
_VARIABLES = {
  '#010203': '--ink',
  '#010204': '--muted',
  '#010205': '--rule',
  '#010206': '--first',
  '#010207': '--second',
  '#010208': '--third',
}
_INK, _MUTED, _RULE, _FIRST, _SECOND, _THIRD = _VARIABLES
_LINES = ((_FIRST, '-'), (_SECOND, '-'), (_THIRD, '--'))
_SETTINGS: Any = {
  'svg.fonttype': 'none',
  'font.size': 9,
  'text.color': _INK,
  'axes.edgecolor': _MUTED,
  'axes.labelcolor': _MUTED,
  'axes.facecolor': 'none',
  'axes.linewidth': 0.7,
  'axes.spines.top': False,
  'axes.spines.right': False,
  'xtick.color': _MUTED,
  'ytick.color': _MUTED,
  'grid.color': _RULE,
  'grid.linewidth': 0.6,
}
# Of the heat map; its opacity tells the value, so it suits any background.
_HEAT = '#e0651a'
_RAREST = 1e-5
# More points than a plot has pixels' worth only make the file larger.
_POINTS = 300
_COLUMNS = 60

# A curve: its name, the metrics it is read from, the key there.
Curve = tuple[str, Sequence[dict[str, Any]], str]


def curves(
  name: str,
  drawn: Sequence[Curve],
  *,
  scale: float = 1.0,
  log: bool = False,
) -> str | None:
  """Draws metrics over epochs.

  Args:
    name: of the plot, one word; also makes its identifiers unique.
    drawn: up to three curves; metrics that lack a key are left out.
    scale: factor of the values, 100 for percent.
    log: logarithmic values; what is not positive is then left out.

  Returns:
    An `<svg>` element, or None if there is nothing to draw.
  """
  found = [(label, *_points(lines, key)) for label, lines, key in drawn]
  found = [(label, x, scale * y) for label, x, y in found if x.size]
  if not found:
    return None
  with matplotlib.rc_context(_SETTINGS):
    picture = figure.Figure(figsize=(4.6, 2.7), layout='constrained')
    ax = picture.add_subplot()
    for (label, x, y), (color, style) in zip(found, _LINES, strict=False):
      y = np.where(y > 0, y, np.nan) if log else y
      marker = 'o' if x.size < 40 else ''
      ax.plot(
        x, y, style, marker=marker, markersize=2.5, color=color, linewidth=1.4,
        label=label,
      )
    if log:
      _scale_log(ax, np.concatenate([y for _, _, y in found]))
    _finish_curves(ax)
    return _svg(picture, name)


def overflow_map(name: str, lines: Sequence[dict[str, Any]]) -> str | None:
  """Draws each layer's share of overflowing sums over epochs.

  Args:
    name: as for `curves`.
    lines: training metrics, evenly spaced, with 'overflow', layer to share.

  Returns:
    An `<svg>` element, or None if no metric has an 'overflow'.
  """
  lines = [line for line in lines if line.get('overflow')]
  if not lines:
    return None
  layers, shares = _shares(lines)
  epochs = (0.0, max(lines[-1]['epoch'], 1e-9))
  with matplotlib.rc_context(_SETTINGS):
    picture = figure.Figure(
      figsize=(11.5, 0.7 + 0.22 * len(layers)), layout='constrained'
    )
    ax, bar = picture.subplots(1, 2, width_ratios=(60, 1))
    limits = _range(shares)
    _draw_map(ax, _opacities(shares, limits), layers, epochs)
    _draw_scale(bar, limits)
    return _svg(picture, name)


def _points(lines: Sequence[dict[str, Any]], key: str) -> tuple[Any, Any]:
  """Returns epochs and values, neighbours averaged where there are many."""
  pairs = [(line['epoch'], line[key]) for line in lines
           if line.get(key) is not None]
  values = np.array(pairs, np.float64).reshape(-1, 2)
  if len(values) > _POINTS:
    values = np.stack(
      [part.mean(axis=0) for part in np.array_split(values, _POINTS)]
    )
  return values[:, 0], values[:, 1]


def _scale_log(ax: axes.Axes, y: np.ndarray) -> None:
  """Takes whole decades, so that there are two labels at the least."""
  positive = np.log10(y[np.isfinite(y) & (y > 0)])
  if positive.size:
    low, high = np.floor(positive.min()), np.ceil(positive.max())
    ax.set_yscale('log')
    ax.set_ylim(10**low, 10 ** max(high, low + 1))


def _finish_curves(ax: axes.Axes) -> None:
  ax.yaxis.set_major_formatter(ticker.FuncFormatter(_number))
  ax.yaxis.set_minor_formatter(ticker.NullFormatter())
  ax.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
  ax.grid(axis='y')
  ax.set_axisbelow(True)
  ax.tick_params(which='both', length=0)
  ax.spines['left'].set_visible(False)
  ax.set_xlabel('epoch')
  ax.set_xlim(left=0)
  ax.margins(x=0.02)
  if len(ax.lines) > 1:
    ax.legend(
      loc='lower left', bbox_to_anchor=(-0.02, 1.0), ncols=3, frameon=False,
      handlelength=1.4, columnspacing=1.4, borderaxespad=0.2,
    )


def _number(value: float, _: Any = None) -> str:
  return f'{value:.4g}'


def _shares(lines: Sequence[dict[str, Any]]) -> tuple[list[str], np.ndarray]:
  """Returns layers in order of appearance and `[layers, columns]` means."""
  layers = list(
    dict.fromkeys(layer for line in lines for layer in line['overflow'])
  )
  values = np.array(
    [[line['overflow'].get(layer, 0.0) for line in lines] for layer in layers]
  )
  parts = np.array_split(values, min(_COLUMNS, len(lines)), axis=1)
  return layers, np.stack([part.mean(axis=1) for part in parts], axis=1)


def _range(shares: np.ndarray) -> tuple[float, float]:
  """Returns powers of ten around what occurs, at least one apart."""
  positive = shares[np.isfinite(shares) & (shares > 0)]
  low, high = (positive.min(), positive.max()) if positive.size else (1, 1)
  bottom = np.floor(np.log10(max(low, _RAREST)))
  top = min(np.ceil(np.log10(max(high, _RAREST))), 0)
  return float(10 ** min(bottom, top - 1)), float(10**top)


def _opacities(
  shares: np.ndarray, limits: tuple[float, float]
) -> np.ndarray:
  """Returns `[..., 4]`: the rarest overflow is faint, none is transparent."""
  image = np.empty((*shares.shape, 4))
  image[..., :3] = colors.to_rgb(_HEAT)
  low, high = np.log10(limits)
  powers = np.log10(np.clip(np.nan_to_num(shares), *limits))
  opacity = 0.06 + 0.94 * (powers - low) / (high - low)
  image[..., 3] = np.where(shares > 0, opacity, 0)
  return image


def _draw_map(
  ax: axes.Axes,
  image: np.ndarray,
  layers: list[str],
  epochs: tuple[float, float],
) -> None:
  edges = (*epochs, len(layers) - 0.5, -0.5)
  ax.imshow(image, interpolation='none', aspect='auto', extent=edges)
  ax.set_yticks(range(len(layers)), layers, parse_math=False)
  ax.xaxis.set_major_locator(ticker.MaxNLocator(10, integer=True))
  ax.set_xlabel('epoch')
  ax.tick_params(length=0)
  ax.hlines(
    np.arange(len(layers) - 1) + 0.5, *epochs, color=_RULE, linewidth=0.6
  )
  ax.spines[['left', 'bottom']].set_visible(False)


def _draw_scale(ax: axes.Axes, limits: tuple[float, float]) -> None:
  low, high = np.log10(limits)
  image = _opacities(np.logspace(low, high, 64)[:, None], limits)
  ax.imshow(
    image, interpolation='none', aspect='auto', origin='lower',
    extent=(0, 1, low, high),
  )
  decades = np.arange(round(low), round(high) + 1)
  labels = [f'{_number(100 * 10.0**decade)} %' for decade in decades]
  ax.set_yticks(decades, [f'≤ {labels[0]}', *labels[1:]])
  ax.set_xticks([])
  ax.yaxis.tick_right()
  ax.tick_params(length=0)
  ax.spines[['left', 'bottom']].set_visible(False)


def _svg(picture: figure.Figure, name: str) -> str:
  """Returns the bare element, without references to the outside."""
  file = io.StringIO()
  nothing = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
  with matplotlib.rc_context({'svg.hashsalt': name}):
    picture.savefig(file, format='svg', transparent=True, metadata=nothing)
  svg = file.getvalue()
  svg = svg[svg.index('<svg'):]
  svg = re.sub(r'\b(id="|href="#|url\(#)', rf'\g<1>{name}-', svg)
  svg = re.sub(r' xmlns(:xlink)?="[^"]*"', '', svg)
  for color, variable in _VARIABLES.items():
    svg = svg.replace(color, f'var({variable})')
  return svg
