"""CRNN in the sizes of Hello Edge (Zhang et al. 2017, arXiv 1711.07128).

  python -m bnn_jax.main --config=configs/baselines/crnn.py:size=S

Sizes S, M, L: 75,432, 189,032 and 485,004 parameters; 1.50, 3.80 and 9.63
million MACs.
To reach: 94.0 % for S (second-hand), 94.4 % for M and 95.0 % for L (recalled,
unverified) on Speech Commands V1, 12 classes; silence of pure zeros in its
test.
Recipe: as of `configs.baselines.dnn`.
Time: 0.05 to 0.2 s a step of 100 clips on one CPU core for size S in float.
"""

import ml_collections

from configs.baselines import published


def get_config(string: str = '') -> ml_collections.ConfigDict:
  """The configuration; for options see `published`."""
  begun = published.start(string, 'crnn', ('S', 'M', 'L'))
  published.set_front_end(
    begun, window_ms=40.0, hop_ms=20.0, bins=10, upper_hz=4000.0
  )
  published.set_hello_edge_recipe(begun)
  return begun.config.lock()
