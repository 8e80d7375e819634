"""Which pseudo-gradients of signs, and of a saturating register?"""

SIGNS = ('hard_tanh', 'approx_sign', 'swish_sign', 'ede', 'reste')


def sweep(add):
  """Adds the settings: each for weights, and each for activations."""
  add('default')
  for name in SIGNS:
    add(f'weights_{name}', overrides={'model.weight_gradient': name})
  for name in SIGNS:
    add(f'activations_{name}', overrides={'model.activation_gradient': name})
  for name in ('straight_through', 'clip'):
    add(
      f'saturate6_{name}', 'accumulator_bits=6,overflow_mode=saturate',
      {'accumulator.gradient': name},
    )
