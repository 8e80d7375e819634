from bnn_jax.accelerator import areas
from experiments import array_costs
from experiments import synthesis_parts


def row(taps=3, channels=32, outputs=16, positions=8):
  macs = taps * channels * outputs * positions
  return {
    'path': 'conv', 'macs': macs, 'macs_by_width': {'1x1': macs},
    'operands': taps * channels, 'output_shape': (positions, outputs),
    'taps': taps, 'groups': 1, 'parts': 1, 'additions': 0,
    'activation_bits': positions * channels,
  }


def test_the_best_number_of_units():
  parts = areas.read(synthesis_parts.RESULTS / 'synthesis_osu018.json')
  # A pass of 96 words leaves a single unit time for all 16 elements.
  array, found = array_costs.best_units(
    [row()], 1, array_costs.USUAL, parts
  )
  assert array.lanes == 1 and found.total_cycles > 8 * 96
  # One of two words leaves none, and the elements wait for fewer units.
  array, waiting = array_costs.best_units(
    [row(taps=1)], 16, array_costs.USUAL, parts
  )
  assert array.lanes >= 4 and waiting.area > found.area


def test_prints_every_array(capsys):
  array_costs.main(['--size', 'S'])
  lines = capsys.readouterr().out.splitlines()
  machines = len(array_costs.MACHINES)
  assert len(lines) == machines * (len(array_costs.SIMD) + 1)
  assert lines[-machines].startswith('best 16 bits, full')
  assert 'area x time +0.0%, time +0.0%' in lines[-machines]
  assert all('area x time -' in line for line in lines[1 - machines:])
