"""How far a linear classifier gets on a data set: whether it is a trivial one.

  python -m experiments.linear_baseline [--config OPTIONS] [--json FILE]

Logistic regression on the standardized MFCC of whole clips, trained on the
training split without augmentation. OPTIONS are those of configs/kws.py, such
as data=folder,data_dir=PATH; the embedded corpus by default.
"""

import argparse
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from sklearn import linear_model
from sklearn import pipeline as pipeline_lib
from sklearn import preprocessing

from bnn_jax import errors
from bnn_jax import features
from bnn_jax.data import pipeline
from bnn_jax.data import source as source_lib
from bnn_jax.training import setup
from configs import kws

COEFFICIENTS = 13
_BATCH = 100
# Inverse of the penalty on weights: there are nearly as many as clips.
_INVERSE_PENALTY = 0.001


def accuracies(config: ml_collections.ConfigDict) -> dict[str, float]:
  """Trains the classifier and judges it on the test splits."""
  config = config.copy_and_resolve_references()
  config.front_end.kind = 'mfcc'
  config.front_end.coefficients = COEFFICIENTS
  front_end = setup.front_end(config)
  classifier = pipeline_lib.make_pipeline(
    preprocessing.StandardScaler(),
    linear_model.LogisticRegression(C=_INVERSE_PENALTY, max_iter=200),
  )
  classifier.fit(*_read(setup.open_split(config, 'training'), front_end))
  return {
    split: classifier.score(*_read(setup.open_split(config, split), front_end))
    for split in setup.test_splits(config)
  }


def _read(
  source: source_lib.Source, front_end: features.FrontEnd
) -> tuple[np.ndarray, np.ndarray]:
  """Features `[n, T * F]` and labels `[n]` of a split."""
  extract = jax.jit(lambda audio: features.extract(audio, front_end))
  x, labels = [], []
  for batch in pipeline.evaluation_batches(source, batch_size=_BATCH):
    mask = batch['mask']
    x.append(np.asarray(extract(jnp.asarray(batch['audio'])))[mask])
    labels.append(batch['label'][mask])
  joined = np.concatenate(x)
  return joined.reshape(len(joined), -1), np.concatenate(labels)


def main(argv: list[str]) -> None:
  """Reads the options, prints a line for each split."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--config', default='', metavar='OPTIONS')
  parser.add_argument('--json', type=pathlib.Path, metavar='FILE')
  options = parser.parse_args(argv)
  found = accuracies(kws.get_config(options.config))
  for split, accuracy in found.items():
    print(f'{split}: {100 * accuracy:.2f} %')
  if options.json:
    options.json.write_text(json.dumps(found, indent=1) + '\n')


if __name__ == '__main__':
  try:
    main(sys.argv[1:])
  except errors.UserError as error:
    sys.exit(f'error: {error}')
