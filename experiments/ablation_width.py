"""How narrow can the register be, and what does each idea buy there?

Widths by modes, each as by default ('ours': convolutions in parts, gates, and a
penalty where it wraps), with each of these left out, and plain, with none of
them. Settings are named IDEA-MODE and BITS, which `experiments.plot_sweep`
reads. Beside them stand registers that never overflow, 'exact', the float twin,
and 'exact' with multipliers in its normalization.
"""

REGISTERS = tuple(
  (mode, bits)
  for mode, widths in (('wrap', (8, 7, 6, 5)), ('saturate', (7, 6, 5, 4)))
  for bits in widths
)
AT_ONCE = {'training.gate_share': 0.0}
# What is changed of the default.
IDEAS = {
  'ours': ('', {}),
  'no_parts': (',parts=1', {}),
  'no_penalty': (',penalty=none', {}),
  'no_gates': ('', AT_ONCE),
  'plain': (',parts=1,penalty=none', AT_ONCE),
}


def sweep(add):
  """Adds the settings, and what they are compared with."""
  add('default')
  exact = 'variant=binary,accumulator_bits=16'
  add('exact', exact)
  add('float', 'variant=float')
  add('real_norm', exact, {'model.norm_variant': 'real'})
  for mode, bits in REGISTERS:
    register = f'accumulator_bits={bits},overflow_mode={mode}'
    for idea, (options, overrides) in IDEAS.items():
      add(f'{idea}-{mode}{bits}', f'{register}{options}', overrides)
