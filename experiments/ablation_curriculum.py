"""Should ranges shrink by measurement, or channels come in by gates?

Of whole convolutions at 7 bits, of which more sums overflow than by default,
and of those in parts at 6, which do not learn whole.
"""

REGISTERS = {7: 'accumulator_bits=7,parts=1', 6: 'accumulator_bits=6'}


def sweep(add):
  """Adds the settings: both ways, and neither, at two widths."""
  add('default')
  for bits, options in REGISTERS.items():
    add(f'wrap{bits}-neither', options, {'training.gate_share': 0.0})
    add(f'wrap{bits}-gates', options)
    for start in (4.0, 16.0):
      add(f'wrap{bits}-start_{start:g}', options, {
        'training.gate_share': 0.0, 'training.range_start': start,
      })
    for bound in (0.001, 0.1):
      add(f'wrap{bits}-bound_{bound:g}', options, {
        'training.gate_share': 0.0, 'training.range_start': 4.0,
        'training.range_bound': bound,
      })
    add(f'wrap{bits}-both', options, {'training.range_start': 4.0})
