"""TC-ResNet (Choi et al. 2019, arXiv 1904.03814).

  python -m bnn_jax.main --config=configs/baselines/tc_resnet.py:size=8

Sizes 8, 8-1.5, 14, 14-1.5: 65,168, 144,264, 135,856 and 303,000 parameters;
1.52, 3.28, 3.03 and 6.68 million MACs.
To reach: 96.6 % for 14-1.5 (as quoted by the paper of BC-ResNet), 96.1 % for 8
(second-hand), 96.2 % for 8-1.5 and 14 (recalled, unverified) on Speech Commands
V1, 12 classes, by fixed lists of 22,246 / 3,093 / 3,081 clips, with silence of
pure zeros in the test.
Recipe: SGD with momentum 0.9 at 0.1, divided by 10 at 10,000 and 20,000 of
30,000 steps of 100 clips; weight decay 1e-3, dropout 0.5; shift of 10 %, noise
in 0.8 of the clips up to 0.1.
Time: under 0.4 s a step of 100 clips on one CPU core for size 8.
"""

import ml_collections

from configs.baselines import published


def get_config(string: str = '') -> ml_collections.ConfigDict:
  """The configuration; for options see `published`."""
  begun = published.start(string, 'tc_resnet', ('8', '8-1.5', '14', '14-1.5'))
  published.set_front_end(
    begun, window_ms=30.0, hop_ms=10.0, bins=40, mel_bins=64, lower_hz=80.0
  )
  published.set_momentum_recipe(begun, weight_decay=1e-3)
  return begun.config.lock()
