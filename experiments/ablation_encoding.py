"""How finely should the input be encoded?"""


def sweep(add):
  """Adds the settings: thermometer levels, input bits, mel bins."""
  add('default')
  for levels in (2, 4, 6, 8, 12, 16):
    add(f'levels_{levels}', overrides={'model.thermometer_levels': levels})
  for bits in (4, 6, 8):
    add(f'input_bits_{bits}', overrides={'model.input_bits': bits})
  for kind, bins in (('log_mel', 20), ('log_mel', 32), ('mfcc', 40)):
    add(f'{kind}_{bins}', overrides={
      'front_end.kind': kind, 'front_end.mel_bins': bins,
      'front_end.coefficients': min(bins, 40),
    })
