"""What does a normalization without multipliers cost?

On the default's register, and on one that never overflows. 'real' multiplies,
and rounds into the same stream.
"""

EXACT = 'variant=binary,accumulator_bits=16'
VARIANTS = ('fused', 'two_ap2', 'real')


def sweep(add):
  """Adds the settings, and streams of other formats."""
  add('default')
  for name in VARIANTS:
    add(f'{name}', overrides={'model.norm_variant': name})
    add(f'{name}-exact', EXACT, {'model.norm_variant': name})
  for bits, fraction in ((6, 3), (7, 4), (8, 3), (8, 5), (10, 6)):
    add(f'stream_{bits}_{fraction}', overrides={
      'model.stream_bits': bits, 'model.stream_fraction_bits': fraction,
    })
