"""How narrow can the register be, and what does each idea buy there?

Widths by modes, each by five trainings: plain (neither penalty nor gates), with
the penalty, with gates, with both, and with both on convolutions in parts, as
'parts4' of `ablation_parts`. Settings are named IDEA-MODE and BITS, which
`experiments.plot_sweep` reads. Beside them stand registers that never overflow,
'exact', the float twin, and 'exact' with multipliers in its normalization.
"""

REGISTERS = tuple(
  (mode, bits)
  for mode, widths in (('wrap', (8, 7, 6, 5)), ('saturate', (7, 6, 5, 4)))
  for bits in widths
)
# Penalty, share of the steps over which narrow registers come in, and shape.
IDEAS = {
  'plain': ('none', 0.0, ''),
  'hinge': ('hinge', 0.0, ''),
  'gates': ('none', 0.5, ''),
  'both': ('hinge', 0.5, ''),
  'parts': ('hinge', 0.5, '96k3s4p20-96x2k5p4-128x2s2p4'),
}


def sweep(add):
  """Adds the settings, and what they are compared with."""
  add('default')
  exact = 'variant=binary,accumulator_bits=16'
  add('exact', exact)
  add('float', 'variant=float')
  add('real_norm', exact, {'model.norm_variant': 'real'})
  for mode, bits in REGISTERS:
    for idea, (penalty, gates, shape) in IDEAS.items():
      add(
        f'{idea}-{mode}{bits}',
        f'accumulator_bits={bits},overflow_mode={mode},penalty={penalty}',
        {'training.gate_share': gates, 'model.shape': shape},
      )
