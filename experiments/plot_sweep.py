"""Accuracy against accumulator bits, of each mode with and without each idea.

  python -m experiments.plot_sweep --results DIR --out docs/images/width.svg

Reads settings of the ablation 'width' that are named IDEA-MODE and BITS, such
as 'hinge-wrap7', and 'exact'.
"""

import argparse
import pathlib
import re
from typing import Any

import matplotlib

matplotlib.use('Agg')
# Behind the choice of a backend that needs no display.
from matplotlib import pyplot as plt  # noqa: E402

from bnn_jax import errors  # noqa: E402
from experiments import collect  # noqa: E402
from experiments import program

COLORS = ('#8a939e', '#00798c', '#d1495b', '#1b1f24', '#edae49', '#66a182')
Curves = dict[str, dict[str, list[tuple[int, float, float]]]]


def curves(rows: list[dict[str, Any]]) -> Curves:
  """(bits, mean, deviation) in percent, ascending, by mode and idea.

  Args:
    rows: of `collect.table`; those named otherwise are left out.

  Raises:
    UserError: none is named so.
  """
  found: Curves = {}
  for row in rows:
    match = re.fullmatch(r'(.+)-(wrap|saturate)(\d+)', row['setting'])
    if match:
      idea, mode, bits = match.groups()
      found.setdefault(mode, {}).setdefault(idea, []).append((
        int(bits), 100 * row['accuracy_deployed'],
        100 * (row['deviation_deployed'] or 0.0),
      ))
  if not found:
    raise errors.UserError(
      'no setting is named IDEA-MODE and BITS, such as hinge-wrap7; sweep '
      'experiments/ablation_width.py first.'
    )
  return {
    mode: {idea: sorted(points) for idea, points in ideas.items()}
    for mode, ideas in found.items()
  }


def draw(by_mode: Curves, exact: float | None) -> plt.Figure:
  """One panel a mode; `exact`, in percent, is a level line."""
  figure, axes = plt.subplots(
    1, len(by_mode), figsize=(4.5 * len(by_mode), 3.4), sharey=True,
    squeeze=False, layout='constrained',
  )
  ideas = list(dict.fromkeys(i for found in by_mode.values() for i in found))
  for axis, (mode, found) in zip(axes[0], by_mode.items(), strict=True):
    if exact is not None:
      axis.axhline(exact, color='#bbbbbb', linestyle='--', label='exact')
    for idea, points in found.items():
      bits, mean, deviation = zip(*points, strict=True)
      color = COLORS[ideas.index(idea) % len(COLORS)]
      axis.errorbar(bits, mean, deviation, color=color, marker='o',
                    markersize=4, capsize=2, label=idea)
    axis.set_title(mode)
    axis.set_xlabel('accumulator bits')
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(axis='y', color='#eeeeee')
  axes[0][0].set_ylabel('accuracy, deployed, %')
  axes[0][-1].legend(frameon=False)
  return figure


def main(arguments: list[str]) -> None:
  """Draws and writes the picture."""
  parser = argparse.ArgumentParser(prog='plot_sweep', description=__doc__)
  parser.add_argument('--results', type=pathlib.Path, required=True)
  parser.add_argument('--out', type=pathlib.Path, required=True)
  parser.add_argument('--ablation', default='width')
  parser.add_argument('--splits', default='dev', help='as judged, by commas')
  options = parser.parse_args(arguments)
  found = collect.good(
    options.results, options.ablation, options.splits.split(',')
  )
  rows = [collect.row(setting, lines, {}, options.results)
          for setting, lines in found.items()]
  levels = [row['accuracy_deployed'] for row in rows
            if row['setting'] == 'exact']
  plt.rcParams['svg.hashsalt'] = 'sweep'
  figure = draw(curves(rows), 100 * levels[0] if levels else None)
  temporary = options.out.with_suffix('.part')
  figure.savefig(
    temporary, format=options.out.suffix[1:], metadata={'Date': None}
  )
  temporary.rename(options.out)


if __name__ == '__main__':
  program.run(main)
