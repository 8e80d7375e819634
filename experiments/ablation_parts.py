"""Do shorter sums let the register be narrower, and what do they cost?

Convolutions of the size M, cut along their input channels into 1, 2, 4 and 8
parts of as many products together, behind exact and narrow registers. Settings
are named as those of `ablation_width`, for `experiments.plot_sweep`.
"""

# Times those of the size: the stem has 4, each convolution behind it one.
PARTS = (1, 2, 4, 8)
REGISTERS = tuple(
  (mode, bits)
  for mode, widths in (('wrap', (7, 6, 5)), ('saturate', (6, 5, 4)))
  for bits in widths
)


def sweep(add):
  """Adds the settings; 'parts1-exact' is the size M as it is."""
  add('default')
  for parts in PARTS:
    name = f'parts{parts}'
    exact = 'variant=binary,accumulator_bits=16'
    add(f'{name}-exact', f'{exact},parts={parts}')
    for mode, bits in REGISTERS:
      register = f'accumulator_bits={bits},overflow_mode={mode}'
      add(f'{name}-{mode}{bits}', f'{register},parts={parts}')
