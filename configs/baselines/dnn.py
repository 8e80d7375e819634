"""DNN of Hello Edge (Zhang et al. 2017, arXiv 1711.07128).

The cheapest published method: what a claim of less computation must meet.

  python -m bnn_jax.main --config=configs/baselines/dnn.py:size=S,variant=float

Sizes S, M, L: 79,644, 198,924 and 495,744 parameters; 79,200, 198,144 and
494,424 MACs.
To reach: 84.6 %, 86.4 %, 86.7 % (recalled from the paper's table, unverified)
on Speech Commands V1, 12 classes; silence of pure zeros in its test.
Recipe: Adam at 5e-4, 1e-4 and 2e-5 for 10,000 steps of 100 clips each; shift
of 100 ms, background noise in 0.8 of the clips up to a volume of 0.1; no
dropout.
Time: 0.02 to 0.04 s a step of 100 clips on one CPU core for size S.
"""

import ml_collections

from configs.baselines import published


def get_config(string: str = '') -> ml_collections.ConfigDict:
  """The configuration; for options see `published`."""
  begun = published.start(string, 'dnn', ('S', 'M', 'L'))
  published.set_front_end(
    begun, window_ms=40.0, hop_ms=40.0, bins=10, upper_hz=4000.0
  )
  published.set_hello_edge_recipe(begun)
  return begun.config.lock()
