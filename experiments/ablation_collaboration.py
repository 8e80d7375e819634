"""What may an exact branch of the same weights tell the one that overflows?

Its logits, the bits of its signs, its own cross entropy, and all of them: on
the default's register, and on 6 bits that wrap, with convolutions in parts.
"""

BRANCHES = {
  'none': {},
  'logits': {'logits_weight': 0.5},
  'bits': {'bits_weight': 1.0},
  'entropy': {'entropy_weight': 0.5},
  'all': {'logits_weight': 0.5, 'bits_weight': 1.0, 'entropy_weight': 0.5},
}
# Options and shape.
NETWORKS = {
  'wrap7': ('accumulator_bits=7', ''),
  'parts-wrap6': ('accumulator_bits=6', '96k3s4p20-96x2k5p4-128x2s2p4'),
}


def sweep(add):
  """Adds the settings."""
  add('default')
  for register, (options, shape) in NETWORKS.items():
    for branch, weights in BRANCHES.items():
      overrides = {
        f'collaboration.{name}': weight for name, weight in weights.items()
      }
      add(f'{register}-{branch}', options, overrides | {'model.shape': shape})
