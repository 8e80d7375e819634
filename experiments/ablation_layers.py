"""What do layers buy that overflow less: preload, balance, parts?

Preload and balance alone, together and not at all; then convolutions of the
size M cut into ever more parts, whose sums are as much shorter.
"""

NONE = {
  'model.learn_preload': False, 'optimizer.balance_weights': False,
}
IDEAS = {
  'preload': {'model.learn_preload': True},
  'balanced': {'optimizer.balance_weights': True},
}
# Parts of the stem and of the convolutions of both stages.
PARTS = ((1, 1, 1), (2, 1, 1), (4, 1, 1), (4, 2, 2), (4, 4, 4), (8, 4, 4))


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
  for parts in PARTS:
    stem, first, second = parts
    add(f'parts_{stem}_{first}_{second}', overrides={
      'model.shape':
        f'96k3s4p{stem}-96x2k5p{first}-128x2s2p{second}',
    })
