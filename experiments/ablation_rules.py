"""Is the gain from the method or from the network?

Our network and our recipe throughout; the rule of binarization is that of a
paper, see `bnn_jax.models.rules`. 'wrap7' is trained through the overflow of
its register, its convolutions in parts, 'wrap7_whole' without these;
'wrap7_untrained' is whole and meets the register only when it is judged.
"""

RULES = (
  'sign_ste', 'xnor_net', 'dorefa', 'bi_real', 'ir_net', 'react_net', 'ab_bnn',
)
WRAP = 'accumulator_bits=7,overflow_mode=wrap'


def sweep(add):
  """Adds the settings: real, each paper's, and ours."""
  add('float', 'variant=float')
  for name in RULES:
    add(name, 'variant=binary', {'model.rule': name})
  add('exact', 'variant=binary,accumulator_bits=16')
  add('wrap7', WRAP)
  add('wrap7_whole', f'{WRAP},parts=1')
  add(
    'wrap7_untrained', f'{WRAP},penalty=none,parts=1',
    {'training.gate_share': 1e9},
  )
