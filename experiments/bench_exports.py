"""New networks of ours, and front ends, as the C sources that are timed.

  python -m experiments.bench_exports FOLDER

writes FOLDER/S, M and L, each an export of untrained weights, whose time is
that of trained ones, with its sources in C; and FOLDER/frames_49, the front end
with the 49 frames of DS-CNN (Zhang et al. 2017).
"""

import argparse
import pathlib

import jax
import numpy as np
import optax

from bnn_jax import features
from bnn_jax.data import labels
from bnn_jax.export import exporter
from bnn_jax.export import files
from bnn_jax.export import print_c as print_network
from bnn_jax.frontend import print_c as print_front_end
from bnn_jax.frontend import tables
from bnn_jax.jobs import c_sources
from bnn_jax.models import speech_resnet
from bnn_jax.nn import accumulator
from bnn_jax.nn import integer
from bnn_jax.training import evaluator
from bnn_jax.training import state as state_lib

CLASSES, LEVELS = 12, 8
REGISTER = accumulator.Accumulator(6, 'saturate', 64)
# Close to what a fit to Speech Commands gives.
QUANTIZATION = features.Quantization(-13.5, -4, 8)
FRONT_END = features.FrontEnd(upper_hz=7600.0)
SHAPE = {'frames': 98, 'bins': FRONT_END.mel_bins}
FRAMES_49 = features.FrontEnd(window_ms=40.0, hop_ms=20.0)


def main() -> None:
  """Writes the folder that the command line names."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('folder', type=pathlib.Path)
  write(parser.parse_args().folder)


def write(folder: pathlib.Path) -> None:
  """Writes all of them.

  Args:
    folder: made where it is missing.
  """
  folder.mkdir(parents=True, exist_ok=True)
  for size in speech_resnet.SIZES:
    model = network(size)
    files.write(folder / size, model, c_sources.writer(model))
  path = folder / 'frames_49' / print_network.FOLDER
  path.mkdir(parents=True, exist_ok=True)
  print_front_end.write_sources(
    tables.make_tables(FRAMES_49, QUANTIZATION), path
  )


def network(size: str):
  """A new network of ours.

  Args:
    size: a name in `speech_resnet.SIZES`.

  Returns:
    Its exported form.
  """
  model = speech_resnet.build(
    size, 'overflow', CLASSES, accumulator=REGISTER,
    stream=integer.StreamFormat(8, 4), levels=LEVELS, norm_variant='fused',
    weight_gradient='hard_tanh', activation_gradient='approx_sign',
  )
  fresh = state_lib.create(model, optax.sgd(0.1), seed=0, **SHAPE)
  state = evaluator.deployer(model, **SHAPE)(
    fresh.replace(inputs=jax.tree_util.tree_map_with_path(
      _spread, fresh.inputs))
  )
  return exporter.export(
    model, state.variables(), **SHAPE, input_bits=QUANTIZATION.bits,
    lo=QUANTIZATION.lo, exponent=QUANTIZATION.exponent,
    front_end={
      name: getattr(FRONT_END, name) for name in FRONT_END.__dataclass_fields__
    },
    class_names=labels.class_names(CLASSES), provenance={'step': 0},
  )


def _spread(path, value):
  """Thresholds over the range of q; whatever else there is as it is."""
  if 'thresholds' not in str(path):
    return value
  levels = np.linspace(120, 230, LEVELS).astype(np.asarray(value).dtype)
  return np.broadcast_to(levels, value.shape)


if __name__ == '__main__':
  main()
