"""Over how many of the steps should narrow registers come in?

Of whole convolutions, of which more sums overflow than by default.
"""

WHOLE = 'parts=1'


def sweep(add):
  """Adds the settings; with a share of 0 all registers are narrow at once."""
  add('default')
  for share in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9):
    add(f'share_{share:g}', WHOLE, {'training.gate_share': share})
  add('share_0.5-no_penalty', f'{WHOLE},penalty=none')
  for frozen in (0.0, 0.1, 0.2, 0.4):
    add(f'frozen_{frozen:g}', WHOLE, {'training.frozen_share': frozen})
