"""MHAtt-RNN (Rybakov et al. 2020, arXiv 2005.06720).

  python -m bnn_jax.main --config=configs/baselines/mhatt_rnn.py:size=paper

Sizes paper and new (the authors' later experiments): 743,025 and 756,689
learned parameters, and 22 running statistics that the published counts hold;
20.5 and 42.5 million MACs.
To reach: 98.0 % on V2 and 97.2 % on V1, 12 classes, for paper (as quoted by the
paper of BC-ResNet); 98.4 % on V2 for new (its published experiments).
Recipe: Adam from 1e-3, falling exponentially to 2e-5 (paper) or by steps to
1e-4 (new); 80,000 or 120,000 steps of 100 clips; dropout 0.2; shift of 100 ms,
resampling by 0.15, noise in 0.8 of the clips up to 0.1, two masks of 10 or 25
frames and two of 5 or 7 bins.
Time: 0.6 to 0.9 s a step of 100 clips on one CPU core for size paper.
"""

import ml_collections

from configs.baselines import published


def get_config(string: str = '') -> ml_collections.ConfigDict:
  """The configuration; for options see `published`."""
  begun = published.start(string, 'mhatt_rnn', ('paper', 'new'))
  if begun.size == 'paper':
    published.set_front_end(begun, window_ms=40.0, hop_ms=20.0, bins=20)
    published.set_masks(begun, time=10, frequency=5)
    published.set_optimizer(begun, schedule='exponential', final_share=0.02)
  else:
    published.set_front_end(
      begun, window_ms=30.0, hop_ms=10.0, bins=40, mel_bins=80
    )
    published.set_masks(begun, time=25, frequency=7)
    drops = ((0.333, 0.5), (0.667, 0.2), (0.833, 0.1))
    published.set_optimizer(begun, schedule='step', drops=drops)
  published.set_optimizer(begun, learning_rate=1e-3)
  published.set_noise(begun)
  published.set_augmentation(begun, resample=0.15)
  return begun.config.lock()
