"""Which overflow penalty, how strong, from which share of the range on?

And does a share of lambda for each layer, by its overflow, do better? Of whole
convolutions, of which more sums overflow than by default.
"""

WHOLE = 'parts=1'


def sweep(add):
  """Adds the settings: each kind, weight, margin and end alone."""
  add('default')
  for kind in ('none', 'hinge', 'periodic', 'variance'):
    add(f'kind_{kind}', f'{WHOLE},penalty={kind}')
  for weight in (0.3, 1.0, 3.0, 10.0, 30.0):
    add(f'weight_{weight:g}', WHOLE, {'penalty.weight': weight})
  for margin in (0.5, 0.7, 0.8, 0.9, 1.0):
    add(f'margin_{margin:g}', WHOLE, {'penalty.margin': margin})
  for final in (0.0, 0.3, 1.0, 3.0):
    add(f'final_{final:g}', WHOLE, {'penalty.final': final})
  for bound in (0.0001, 0.001, 0.01):
    for gain in (0.01, 0.03):
      add(
        f'bound_{bound:g}-gain_{gain:g}', WHOLE,
        {'penalty.bound': bound, 'penalty.gain': gain},
      )
