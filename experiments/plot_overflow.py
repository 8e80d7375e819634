"""The picture of docs/overflow.md: one sum in three registers.

It is made by

  python -m experiments.plot_overflow --out docs/images/overflow.svg
"""

import argparse
import pathlib

import jax.numpy as jnp
import matplotlib

matplotlib.use('Agg')
# Behind the choice of a backend that needs no display.
from matplotlib import pyplot as plt  # noqa: E402

from bnn_jax.nn import register  # noqa: E402

BITS = 4
# Two orders of the same twelve +1 and eight -1.
ORDERS = {
  'Products as they come': [1] * 10 + [-1] * 8 + [1] * 2,
  'The same products, other order': [1, -1] * 8 + [1] * 4,
}
STYLES = {'exact': ('#888888', '-'), 'wrap': ('#d1495b', '--'),
          'saturate': ('#00798c', '-')}


def trace(products: list[int], mode: str) -> list[int]:
  """What a register of `BITS` bits holds, product by product, from 0.

  Args:
    products: each -1 or +1.
    mode: 'exact', 'wrap' or 'saturate'.

  Returns:
    One value more than there are products.
  """
  machine = register.Accumulator(BITS, mode, 1)
  held = [0]
  for product in products:
    held.append(int(machine.register(jnp.asarray(held[-1] + product))))
  return held


def main() -> None:
  """Draws and writes the picture."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--out', type=pathlib.Path, required=True)
  out = parser.parse_args().out
  plt.rcParams['svg.hashsalt'] = 'overflow'
  figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
  machine = register.Accumulator(BITS)
  for axis, (title, products) in zip(axes, ORDERS.items(), strict=True):
    axis.axhspan(machine.minimum, machine.maximum, color='#eef3e6')
    for mode, (color, line) in STYLES.items():
      held = trace(products, mode)
      axis.plot(held, line, color=color, drawstyle='steps-post',
                label=f'{mode}: {held[-1]}')
    axis.set_title(title)
    axis.set_xlabel('cycle')
    axis.legend(loc='lower left', title='ends at')
  axes[0].set_ylabel(f'{BITS}-bit register')
  figure.tight_layout()
  temporary = out.with_suffix('.part')
  figure.savefig(temporary, format=out.suffix[1:], metadata={'Date': None})
  temporary.rename(out)


if __name__ == '__main__':
  main()
