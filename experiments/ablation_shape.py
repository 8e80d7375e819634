"""Which shape makes the most of a budget of binary products?

Around the size M; the names say what differs from it.
"""

SHAPES = {
  'narrow': '64k3s4p4-64x2k5-96x2s2',
  'wide': '128k3s4p4-128x2k5-160x2s2',
  'shallow': '96k3s4p4-96x1k5-128x1s2',
  'deep_narrow': '80k3s4p4-80x3k5-96x3s2',
  'shallow_wide': '128k3s4p4-128x1k5-160x1s2',
  'deep': '96k3s4p4-96x4k5-128x4s2',
  'kernel_3': '96k3s4p4-96x2k3-128x2s2',
  'kernel_7': '96k3s4p4-96x2k7-128x2s2',
  'kernel_3_deep': '96k3s4p4-96x3k3-128x3s2',
  'stem_kernel_5': '96k5s4p4-96x2k5-128x2s2',
  'stem_stride_2': '96k3s2p4-96x2k5-128x2s2',
  'stem_stride_3': '96k3s3p4-96x2k5-128x2s2',
  'no_second_stride': '96k3s4p4-96x2k5-128x2',
  'groups_2': '96k3s4p4-128x2k5g2-192x2s2g2',
  'dilated': '96k3s4p4-96x2k5-128x2s2d2',
}


def sweep(add):
  """Adds the settings."""
  add('default')
  for size in 'SML':
    add(f'size_{size}', f'size={size}')
  for name, shape in SHAPES.items():
    # Groups are short sums already, and are not cut.
    options = 'parts=1' if name == 'groups_2' else ''
    add(name, options, {'model.shape': shape})
