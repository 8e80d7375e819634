"""Parts whose areas and paths are easy to add up, and a layer on them."""

import pathlib

from bnn_jax.accelerator import areas
from experiments import array_costs

BITS = (16, 8, 7)
# um2 of a unit of 16 bits, and ns; narrower ones take their share.
UNITS = {
  'full': (1600.0, 3.0), 'full_deep': (3200.0, 2.0), 'shift': (160.0, 1.0),
  'threshold': (16.0, 1.0),
}


def _row(area, path, **key):
  """Of 1 mW, so that a cycle takes as many pJ as ns."""
  return key | {'area': area, 'path': path, 'power': 1.0}


def _elements(simd, bits):
  """16 of (lanes + 5 bits) um2, with a path of bits / 4 ns."""
  return _row(
    16.0 * (simd + 5 * bits), bits / 4, simd=simd, bits=bits, pes=16,
    overflow_mode='wrap',
  )


# Nothing is added for registers that wait for a shared unit.
PARTS = areas.Areas(
  pathlib.Path('synthesis_cells.json'), library='cells', tools={}, rows={
    'elements': [
      _elements(simd, bits) for simd in array_costs.SIMD for bits in BITS
    ],
    'units': [
      _row(area * bits / 16, path * bits / 16, norm=norm, bits=bits)
      for norm, (area, path) in UNITS.items() for bits in BITS
    ],
    'shared': [_elements(1, 8)],
  },
)


def layer(path='conv', outputs=16, positions=10, taps=3, channels=16, **fields):
  macs = outputs * positions * taps * channels
  return {
    'path': path, 'macs': macs, 'macs_by_width': {'1x1': macs},
    'operands': taps * channels, 'output_shape': (positions, outputs),
    'taps': taps, 'groups': 1, 'parts': 1, 'additions': 0,
    'activation_bits': positions * channels,
  } | fields
