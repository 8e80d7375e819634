"""DS-CNN of Hello Edge (Zhang et al. 2017, arXiv 1711.07128).

  python -m bnn_jax.main --config=configs/baselines/ds_cnn.py:size=S

Sizes S, M, L: 23,180, 136,580 and 413,736 parameters; 2.66, 9.82 and 28.33
million MACs.
To reach: 95.4 % for L (the paper's abstract), 94.4 % for S (second-hand) and
94.9 % for M (recalled, unverified) on Speech Commands V1, 12 classes; silence
of pure zeros in its test.
Recipe: as of `configs.baselines.dnn`.
Time: 0.6 s a step of 100 clips on one CPU core for size S in float.
"""

import ml_collections

from configs.baselines import published


def get_config(string: str = '') -> ml_collections.ConfigDict:
  """The configuration; for options see `published`."""
  begun = published.start(string, 'ds_cnn', ('S', 'M', 'L'))
  published.set_front_end(
    begun, window_ms=40.0, hop_ms=20.0, bins=10, upper_hz=4000.0
  )
  published.set_hello_edge_recipe(begun)
  return begun.config.lock()
