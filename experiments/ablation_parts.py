"""Do shorter sums let the register be narrower, and what do they cost?

Convolutions of the size M, cut along their input channels into 1, 2, 4 and 8
parts of as many products together, behind exact and narrow registers. Settings
are named as those of `ablation_width`, for `experiments.plot_sweep`.
"""

# Parts of the stem, and of each convolution behind it.
PARTS = {
  'parts1': (4, 1), 'parts2': (8, 2), 'parts4_stem8': (8, 4),
  'parts4': (20, 4), 'parts8': (40, 8),
}
REGISTERS = tuple(
  (mode, bits)
  for mode, widths in (('wrap', (7, 6, 5)), ('saturate', (6, 5, 4)))
  for bits in widths
)


def sweep(add):
  """Adds the settings; 'parts1-exact' is the size M as it is."""
  add('default')
  for name, (stem, others) in PARTS.items():
    shape = {
      'model.shape': f'96k3s4p{stem}-96x2k5p{others}-128x2s2p{others}',
    }
    add(f'{name}-exact', 'variant=binary,accumulator_bits=16', shape)
    for mode, bits in REGISTERS:
      add(
        f'{name}-{mode}{bits}',
        f'accumulator_bits={bits},overflow_mode={mode}', shape,
      )
