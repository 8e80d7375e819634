import io

from rich import console as console_lib

from bnn_jax.report import summary

PROFILE = {
  'parameters': 12, 'memory_bits': 200, 'macs': 3030,
  'macs_by_width': {'1x1': 3000, '32x32': 30}, 'binary_macs': 3000,
  'real_macs': 30, 'ace': 33720, 'bit_operations': 45678,
  'activation_bits': 4000,
  'layers': [
    {'path': 'a/' * 40 + 'conv', 'kind': 'BinaryConv', 'output_shape': [9, 4],
     'parameters': 12, 'memory_bits': 12, 'macs': 3000,
     'macs_by_width': {'1x1': 3000}, 'operands': 3, 'accumulator_bits': 7,
     'safe_bits': 5, 'activation_bits': 4000},
    {'path': '', 'kind': 'Network', 'output_shape': [4], 'parameters': 0,
     'memory_bits': 188, 'macs': 30, 'macs_by_width': {'32x32': 30},
     'operands': 2, 'accumulator_bits': None, 'safe_bits': None,
     'activation_bits': 64},
  ],
  'no_integers': {'gru': 'has gates'},
}


def test_lines_hold_the_numbers_whatever_the_width():
  file = io.StringIO()
  summary.print_summary(PROFILE, console_lib.Console(file=file, width=80))
  rows = [line.split() for line in file.getvalue().splitlines()]
  assert [
    'a/' * 40 + 'conv', '9×4', '12', '3,000', '1×1', '4,000', '7', '5'
  ] in rows
  assert ['Network', '4', '0', '30', '32×32', '64', '–', '–'] in rows
  assert 'of bits 1×1 3,000 weight × input'.split() in rows
  assert ['MACs', '3,030', 'a', 'clip'] in rows
  assert 'ACE 33,720 MACs × both bits (PokeBNN)'.split() in rows
  assert rows[-2][:3] == ['bit', 'operations', '45,678']
  assert rows[-1] == 'not exported: gru has gates.'.split()


def test_machine_readable():
  found = summary.machine_readable(PROFILE)
  assert found['params'] == 12 and found['macs'] == 3030
  assert 'parameters' not in found
  assert found['layers'] == PROFILE['layers']
