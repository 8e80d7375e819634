"""What our network costs on arrays, by width of word and accumulator.

  python -m experiments.array_costs --library osu018 --size M

needs no training and no tools: operations follow from the shapes, and cells
from experiments/results/synthesis_<library>.json. Every line is the array of 16
elements whose number of shared units is best for it by area times time; the
last lines compare the best width of each accumulator with that of the usual
array, 16 bits with full batch normalization.
"""

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
import itertools
import pathlib
from typing import Any
from typing import NamedTuple

from bnn_jax.accelerator import areas
from bnn_jax.accelerator import cost
from bnn_jax.models import profile
from bnn_jax.models import speech_resnet
from bnn_jax.nn import accumulator
from bnn_jax.nn import integer
from experiments import program
from experiments import synthesis_parts

SIMD = (1, 8, 16, 32, 64)
UNITS = (1, 2, 4, 8, 16)
FRAMES, BINS = 98, 40


class Machine(NamedTuple):
  """Accumulator and kinds of normalization, of which the better one counts."""

  bits: int
  norms: tuple[str, ...]
  overflow_mode: str = 'wrap'

  def __str__(self):
    return f'{self.bits:>2} bits, {self.norms[0]}'


USUAL = Machine(16, ('full', 'full_deep'))
MACHINES = (
  USUAL, Machine(16, ('shift',)), Machine(8, ('shift',)),
  Machine(6, ('shift',)), Machine(16, ('threshold',)),
  Machine(8, ('threshold',)), Machine(6, ('threshold',)),
)


def main(arguments: Sequence[str]) -> None:
  """Prints all arrays, and the best ones as shares of the usual one."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--library', default='osu018')
  parser.add_argument('--size', default='M')
  parser.add_argument(
    '--results', type=pathlib.Path, default=synthesis_parts.RESULTS
  )
  options = parser.parse_args(arguments)
  rows = profile.profile(network(options.size), frames=FRAMES, bins=BINS)
  parts = areas.read(options.results / f'synthesis_{options.library}.json')
  best: dict[Machine, cost.Cost] = {}
  for simd, machine in itertools.product(SIMD, MACHINES):
    array, found = best_units(rows['layers'], simd, machine, parts)
    print(f'{simd:>3} lanes, {machine!s:<19}{array.lanes:>3} units '
          f'{found.area:>9.0f} um2 {found.clock:5.2f} ns '
          f'{found.total_cycles:>7} cycles {1e6 * found.time:7.1f} us '
          f'{found.area_time:9.4g} um2 s {1e-6 * found.cells_energy:8.3g} uJ '
          f'{1e-6 * found.operations.total:6.1f} M operations')
    if machine not in best or found.area_time < best[machine].area_time:
      best[machine] = found
  base = best[USUAL]
  for machine, found in best.items():
    print(f'best {machine!s:<19}area x time '
          f'{found.area_time / base.area_time - 1:+.1%}, time '
          f'{found.time / base.time - 1:+.1%}, energy '
          f'{found.cells_energy / base.cells_energy - 1:+.1%}, operations '
          f'{found.operations.total / base.operations.total - 1:+.1%}')


def network(size: str) -> speech_resnet.SpeechResNet:
  """Our network; its registers do not matter to what it computes."""
  return speech_resnet.build(
    size, 'overflow', 12, accumulator=accumulator.Accumulator(8, 'wrap'),
    stream=integer.StreamFormat(), levels=8, norm_variant='fused',
    weight_gradient='hard_tanh', activation_gradient='approx_sign',
  )


def best_units(
  rows: Sequence[Mapping[str, Any]], simd: int, machine: Machine,
  parts: areas.Areas, numbers: tuple[int, ...] = UNITS,
) -> tuple[cost.Array, cost.Cost]:
  """The array with the smallest area times time, and its costs.

  Args:
    rows: `layers` of the network's profile.
    simd: lanes of a word.
    machine: its accumulator and units.
    parts: measured.
    numbers: of units that 16 elements may have.
  """
  arrays = [
    cost.Array(
      simd=simd, bits=machine.bits, overflow_mode=machine.overflow_mode,
      norm=norm, lanes=units,
    )
    for norm, units in itertools.product(machine.norms, numbers)
  ]
  found = [(array, cost.evaluate(rows, array, parts)) for array in arrays]
  return min(found, key=lambda pair: pair[1].area_time)


if __name__ == '__main__':
  program.run(main)
