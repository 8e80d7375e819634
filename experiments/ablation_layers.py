"""What do a learned preload and balanced weights buy, which overflow less?

Each alone, both together and neither; `ablation_parts` asks of shorter sums.
"""

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
  add('neither', overrides=NONE)
  add('all', overrides=everything)
  for name, changes in IDEAS.items():
    add(f'only_{name}', overrides=NONE | changes)
