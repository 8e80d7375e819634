"""What do a learned preload and balanced weights buy, which overflow less?

Each alone, both together and neither, of whole convolutions, of which more sums
overflow than by default; `ablation_parts` asks of shorter sums.
"""

WHOLE = 'parts=1'

NONE = {
  'model.learn_preload': False, 'optimizer.balance_weights': False,
}
IDEAS = {
  'preload': {'model.learn_preload': True},
  'balanced': {'optimizer.balance_weights': True},
}


def sweep(add):
  """Adds the settings."""
  add('default')
  everything = dict(NONE)
  for changes in IDEAS.values():
    everything |= changes
  add('neither', WHOLE, NONE)
  add('all', WHOLE, everything)
  for name, changes in IDEAS.items():
    add(f'only_{name}', WHOLE, NONE | changes)
