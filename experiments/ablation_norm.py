"""What does a normalization without multipliers cost?

On the default's register, and on one that never overflows. 'real' multiplies,
and rounds into the same stream. When should real scales harden into powers of
two? 'hard' ones are powers from the first step on.
"""

VARIANTS = ('fused', 'two_ap2', 'real')
HARDENING = {
  'hard': (0.0, 0.0), 'soft_0_0.9': (0.0, 0.9), 'soft_0.2_0.7': (0.2, 0.7),
  'soft_0.5_0.9': (0.5, 0.9), 'soft_0.9_0.9': (0.9, 0.9),
}


def sweep(add):
  """Adds the settings, and streams of other formats."""
  add('default')
  for name in VARIANTS:
    add(f'{name}', overrides={'model.norm_variant': name})
    add(f'{name}-exact', 'variant=binary', {'model.norm_variant': name})
  for name, shares in HARDENING.items():
    add(f'{name}-exact', 'variant=binary', {'training.hardening': shares})
  for bits, fraction in ((6, 3), (7, 4), (8, 3), (8, 5), (10, 6)):
    add(f'stream_{bits}_{fraction}', overrides={
      'model.stream_bits': bits, 'model.stream_fraction_bits': fraction,
    })
