"""How well an exported network hears in noise, and how often it hears nothing.

  python -m experiments.robustness --workdir=DIR [--json FILE]

Accuracy on the testing split as it is and with background noise at 10 and 0 dB,
with the float front end and with the one in integers; words that listening
tells on background noise alone, per hour. The training hears other parts of the
same recordings of noise; `--background` names a folder of others.
"""

import argparse
import pathlib
from typing import Any

import ml_collections
import numpy as np

from bnn_jax import errors
from bnn_jax import features
from bnn_jax.data import noisy
from bnn_jax.data import source as source_lib
from bnn_jax.data import wav
from bnn_jax.export import files
from bnn_jax.export import integer
from bnn_jax.export import specs
from bnn_jax.frontend import fixed_point
from bnn_jax.jobs import export
from bnn_jax.jobs import front_end
from bnn_jax.jobs import listen
from bnn_jax.jobs import spotter as spotter_lib
from bnn_jax.training import evaluator
from bnn_jax.training import setup
from bnn_jax.training import workdir
from experiments import program

RATIOS_DB = (None, 10.0, 0.0)
# Of the data set, not heard in training.
SPLITS = ('validation', 'testing')


def accuracies(
  model: specs.Model, source: source_lib.Source
) -> dict[str, float]:
  """Accuracy with each front end, and the share of equal q.

  Args:
    model: the network.
    source: the clips.
  """
  form = model.input
  split = evaluator.quantize_split(
    source, {'lo': form.lo, 'exponent': form.exponent},
    front_end=features.FrontEnd(**model.front_end), input_bits=form.bits,
  )
  tables = front_end.tables(model)
  fixed = np.concatenate([
    fixed_point.compute(source[i].audio[None], tables)
    for i in range(len(source))
  ])
  logits = integer.compiled(model)

  def accuracy(q):
    return float(np.mean(logits(q).argmax(-1) == split.labels))

  return {
    'float': accuracy(split.q),
    'fixed_point': accuracy(fixed),
    'equal_q': float(np.mean(split.q == fixed)),
  }


def false_accepts(
  model: specs.Model, recordings: list[np.ndarray], threshold: float
) -> dict[str, Any]:
  """Words that listening tells in recordings without any.

  Args:
    model: the network.
    recordings: int16 samples, each heard alone.
    threshold: the lowest score that counts.
  """
  words = []
  for samples in recordings:
    spotter = spotter_lib.Spotter(model, threshold=threshold)
    for block in listen.blocks(samples):
      words += [found.word for found in spotter.push(block)]
  hours = sum(map(len, recordings)) / source_lib.SAMPLE_RATE / 3600
  return {
    'threshold': threshold,
    'hours': hours,
    'words': words,
    'per_hour': len(words) / hours,
  }


def measure(
  config: ml_collections.ConfigDict, model: specs.Model, *,
  threshold: float, background: str,
) -> dict[str, Any]:
  """All numbers, for JSON."""
  testing = setup.open_split(config, 'testing')
  clips: dict[str, Any] = {}
  found = {'clips': len(testing), 'accuracy': clips}
  for ratio in RATIOS_DB:
    source = testing if ratio is None else noisy.NoisySource(testing, ratio)
    name = 'clean' if ratio is None else f'{ratio:g} dB'
    clips[name] = row = accuracies(model, source)
    print(
      f'{name:>6}: {row["float"]:7.2%} float, {row["fixed_point"]:7.2%} fixed '
      f'point; {row["equal_q"]:.3%} of q equal', flush=True,
    )
  heard = false_accepts(model, noise(config, background), threshold)
  print(
    f'{len(heard["words"])} words in {3600 * heard["hours"]:.0f} s of noise: '
    f'{heard["per_hour"]:.1f} false accepts an hour at threshold {threshold}'
  )
  return found | {'false_accepts': heard}


def noise(
  config: ml_collections.ConfigDict, folder: str
) -> list[np.ndarray]:
  """Recordings of a folder; '' are those of the data that no training hears.

  Raises:
    UserError: there are none.
  """
  if folder:
    paths = sorted(pathlib.Path(folder).glob('*.wav'))
    recordings = [wav.read(path) for path in paths]
  else:
    splits = (setup.open_split(config, name) for name in SPLITS)
    recordings = [part for split in splits for part in split.background]
  if not recordings:
    raise errors.UserError(
      'there is no background noise; name a folder of wav files with '
      '--background.'
    )
  return recordings


def main(arguments: list[str]) -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(prog='robustness', description=__doc__)
  parser.add_argument('--workdir', type=pathlib.Path, required=True)
  parser.add_argument('--json', type=pathlib.Path)
  parser.add_argument('--threshold', type=float, default=0.6)
  parser.add_argument('--background', default='')
  options = parser.parse_args(arguments)
  config = ml_collections.ConfigDict(workdir.read_config(options.workdir))
  model = files.read(export.existing_path(config, options.workdir))
  found = measure(
    config, model, threshold=options.threshold, background=options.background
  )
  if options.json:
    workdir.write_json(options.json, found)


if __name__ == '__main__':
  program.run(main)
