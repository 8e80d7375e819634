"""How narrow can the register be, and what do penalty and gates buy there?

Widths by modes, each by four trainings: plain (neither), with the penalty, with
gates, and with both. Settings are named IDEA-MODE and BITS, which
`experiments.plot_sweep` reads.
"""

REGISTERS = tuple(
  (mode, bits)
  for mode, widths in (('wrap', (8, 7, 6, 5)), ('saturate', (7, 6, 5, 4)))
  for bits in widths
)
IDEAS = {
  'plain': ('none', 0.0), 'hinge': ('hinge', 0.0), 'gates': ('none', 0.5),
  'both': ('hinge', 0.5),
}


def sweep(add):
  """Adds the settings, and 'exact', which cannot overflow."""
  add('default')
  add('exact', 'variant=binary')
  for mode, bits in REGISTERS:
    for idea, (penalty, gates) in IDEAS.items():
      add(
        f'{idea}-{mode}{bits}',
        f'accumulator_bits={bits},overflow_mode={mode},penalty={penalty}',
        {'training.gate_share': gates},
      )
