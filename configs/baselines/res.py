"""Res (Tang and Lin 2018, arXiv 1710.10361).

  python -m bnn_jax.main --config=configs/baselines/res.py:size=res8

Sizes res8, res15, res26 and each with -narrow: 110,307, 237,882 and 438,357
parameters (narrow 19,905, 42,648 and 78,387); 37.2, 958.8 and 439.0 million
MACs (narrow 7.0, 171.3 and 78.7). The paper of BC-ResNet quotes 894 million for
res15, by another count.
To reach: 95.8 % for res15 (as quoted there), 90.1 % for res8-narrow
(second-hand); 94.1 %, 94.0 %, 95.2 % and 93.3 % for res8, res15-narrow, res26
and res26-narrow (recalled, unverified) on Speech Commands V1, 12 classes;
unknown words are not split by speakers there.
Recipe: SGD with momentum 0.9 at 0.1, divided by 10 at 3,000 and 6,000 steps, of
some 9,000 in 26 epochs of 64 clips each; weight decay 1e-5; shift of 100 ms,
noise in 0.8 of the clips up to 0.1.
Time: 2 s (res8) and 18 s (res15) a step of 100 clips on one CPU core; res15
needs a GPU.

Its 101 frames lie 10 ms apart around their centres; here as many lie within
the clip, 155 samples apart.
"""

import ml_collections

from configs.baselines import published

SIZES = (
  'res8', 'res15', 'res26', 'res8-narrow', 'res15-narrow', 'res26-narrow',
)


def get_config(string: str = '') -> ml_collections.ConfigDict:
  """The configuration; for options see `published`."""
  begun = published.start(string, 'res', SIZES)
  published.set_front_end(
    begun, window_ms=30.0, hop_ms=9.6875, bins=40, upper_hz=4000.0
  )
  published.set_momentum_recipe(begun, weight_decay=1e-5)
  published.set_batch_size(begun, 64)
  if begun.size.startswith('res15'):
    # 45 channels at 101 x 40 positions sum to 2^23 in a stream of 8 bits.
    begun.config.model.stream_bits = 6
    begun.config.model.stream_fraction_bits = 2
  return begun.config.lock()
