"""Over how many of the steps should narrow registers come in?"""


def sweep(add):
  """Adds the settings; with a share of 0 all registers are narrow at once."""
  add('default')
  for share in (0.0, 0.1, 0.25, 0.5, 0.75, 1.0):
    add(f'share_{share:g}', overrides={'training.gate_share': share})
  add('share_0.5-no_penalty', 'penalty=none', {'training.gate_share': 0.5})
  for frozen in (0.0, 0.1, 0.2, 0.4):
    add(f'frozen_{frozen:g}', overrides={'training.frozen_share': frozen})
