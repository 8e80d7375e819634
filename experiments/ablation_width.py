"""How narrow can the register be, and what does each idea buy there?

Widths by modes, each as by default ('ours': convolutions in parts, gates, and a
penalty where it wraps), and by trainings of whole convolutions that are plain
(neither penalty nor gates), with the penalty, with gates and with both.
Settings are named IDEA-MODE and BITS, which `experiments.plot_sweep` reads.
Beside them stand registers that never overflow, 'exact', the float twin, and
'exact' with multipliers in its normalization.
"""

REGISTERS = tuple(
  (mode, bits)
  for mode, widths in (('wrap', (8, 7, 6, 5)), ('saturate', (7, 6, 5, 4)))
  for bits in widths
)
# Penalty, and share of the steps over which narrow registers come in.
IDEAS = {
  'plain': ('none', 0.0),
  'hinge': ('hinge', 0.0),
  'gates': ('none', 0.5),
  'both': ('hinge', 0.5),
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
    add(f'ours-{mode}{bits}', register)
    for idea, (penalty, gates) in IDEAS.items():
      add(
        f'{idea}-{mode}{bits}', f'{register},penalty={penalty},parts=1',
        {'training.gate_share': gates},
      )
