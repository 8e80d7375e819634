"""What may an exact branch of the same weights tell the one that overflows?

Its logits, the bits of its signs, its own cross entropy, and all of them: on 7
bits that wrap with whole convolutions, of which more sums overflow, with and
without gates, and on 6 bits as by default.
"""

BRANCHES = {
  'none': {},
  'logits': {'logits_weight': 0.5},
  'bits': {'bits_weight': 1.0},
  'cross_entropy': {'cross_entropy_weight': 0.5},
  'all': {
    'logits_weight': 0.5, 'bits_weight': 1.0, 'cross_entropy_weight': 0.5,
  },
}
# Options, and share of the steps over which narrow registers come in.
REGISTERS = {
  'wrap7': ('accumulator_bits=7,parts=1', 0.5),
  'wrap7_no_gates': ('accumulator_bits=7,parts=1', 0.0),
  'wrap6': ('accumulator_bits=6', 0.5),
}


def sweep(add):
  """Adds the settings."""
  add('default')
  for register, (options, gates) in REGISTERS.items():
    for branch, weights in BRANCHES.items():
      overrides = {
        f'collaboration.{name}': weight for name, weight in weights.items()
      }
      add(
        f'{register}-{branch}', options,
        overrides | {'training.gate_share': gates},
      )
