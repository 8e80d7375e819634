"""Do shorter sums let the register be narrower, and what do they cost?

Convolutions of the size M, cut along their input channels into 1, 2, 4 and 8
parts of as many products together, behind exact and narrow registers. Settings
are named as those of `ablation_width`, for `experiments.plot_sweep`.
"""

# Parts of the stem by those of the convolutions behind it.
STEM_PARTS = {1: 4, 2: 8, 4: 20, 8: 40}
REGISTERS = tuple(
  (mode, bits)
  for mode, widths in (('wrap', (7, 6, 5)), ('saturate', (6, 5, 4)))
  for bits in widths
)


def sweep(add):
  """Adds the settings; 'parts1-exact' is the size M as it is."""
  add('default')
  for parts, stem in STEM_PARTS.items():
    shape = {
      'model.shape': f'96k3s4p{stem}-96x2k5p{parts}-128x2s2p{parts}',
    }
    add(f'parts{parts}-exact', 'variant=binary,accumulator_bits=16', shape)
    for mode, bits in REGISTERS:
      add(
        f'parts{parts}-{mode}{bits}',
        f'accumulator_bits={bits},overflow_mode={mode}', shape,
      )
