"""cnn-trad-fpool3 (Sainath and Parada, Interspeech 2015).

  python -m bnn_jax.main --config=configs/baselines/cnn_trad_fpool3.py

One size: 523,776 parameters, 38.01 million MACs.
To reach: 90.7 % (recalled from the paper of TC-ResNet, unverified) on Speech
Commands V1, 12 classes, by the lists of that paper; the paper of 2015 has
private data alone.
Recipe: Adam at 5e-4 and 1e-4 for 10,000 steps of 100 clips each; dropout 0.5;
shift of 10 %, noise in 0.8 of the clips up to 0.1.
Time: 0.9 s a step of 100 clips on one CPU core in float, 1.4 s in binary.
"""

import ml_collections

from configs.baselines import published


def get_config(string: str = '') -> ml_collections.ConfigDict:
  """The configuration; for options see `published`."""
  begun = published.start(string, 'cnn_trad_fpool3', ('trad-fpool3',))
  published.set_front_end(
    begun, window_ms=40.0, hop_ms=20.0, bins=40, mel_bins=64, lower_hz=80.0
  )
  published.set_hello_edge_recipe(begun, ((0.5, 0.2),))
  return begun.config.lock()
