"""The table that `--mode=summary` prints of a network."""

from typing import Any

from rich import console as console_lib
from rich import segment

from bnn_jax.report import console as report_console
from bnn_jax.report import formats

Json = dict[str, Any]

# Columns that a line may have.
_WIDEST = 1000


def print_summary(profile: Json, console: console_lib.Console) -> None:
  """Prints what a network costs: a line for each layer, and totals.

  Layers that have no integer form are named behind them; what they multiply is
  counted all the same.

  Args:
    profile: as `results.json` holds it.
    console: where to.
  """
  layers = report_console.table('Layers', *_layers(profile))
  # A path that is broken can be neither read nor searched for.
  wide = console.options.update(max_width=_WIDEST)
  width = max(console.width, console.measure(layers, options=wide).maximum)
  lines = segment.Segments(console.render(layers, wide.update(width=width)))
  console.print(lines, soft_wrap=True, end='')
  console.print()
  console.print(report_console.table('All', ['', '', ''], _totals(profile)))
  for path, reason in profile['no_integers'].items():
    console.print(
      f'not exported: {path} {reason}.', highlight=False, markup=False,
      soft_wrap=True,
    )


def machine_readable(profile: Json) -> Json:
  """The same as one JSON object, with `params` and `macs` at its top."""
  totals = {key: profile[key] for key in profile if key != 'parameters'}
  return {'params': profile['parameters']} | totals


def _layers(profile: Json) -> tuple[list[str], list[list[str]]]:
  head = ['layer', 'output', 'parameters', 'MACs', 'bits', 'input bits',
          'register', 'safe']
  rows = [
    [layer['path'] or layer['kind'],
     '×'.join(map(str, layer['output_shape'])),
     formats.integer(layer['parameters']),
     formats.integer(layer['macs']),
     ' '.join(layer['macs_by_width']).replace('x', '×'),
     formats.integer(layer['activation_bits']),
     formats.integer(layer['accumulator_bits']),
     formats.integer(layer['safe_bits'])]
    for layer in profile['layers']
  ]
  return head, rows


def _totals(profile: Json) -> list[list[str]]:
  memory, activation = profile['memory_bits'], profile['activation_bits']
  return [
    ['parameters', formats.integer(profile['parameters']), ''],
    ['memory of parameters', f'{formats.integer(memory)} bits',
     formats.kilobytes(memory)],
    ['largest input of a layer', f'{formats.integer(activation)} bits',
     formats.kilobytes(activation)],
    ['MACs', formats.integer(profile['macs']), 'a clip'],
    *([f'  of bits {width.replace("x", "×")}', formats.integer(macs),
       'weight × input']
      for width, macs in profile['macs_by_width'].items()),
    ['ACE', formats.integer(profile['ace']), 'MACs × both bits (PokeBNN)'],
    ['bit operations', formats.integer(profile['bit_operations']),
     'ACE and the bits of additions (UNIQ)'],
  ]
