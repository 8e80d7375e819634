"""BiFSMN and BiFSMNv2 (Qin et al. 2022 and 2023; arXiv 2202.06483, 2211.06987).

  python -m bnn_jax.main --config=configs/baselines/bifsmn.py:variant=paper

Sizes v1 and v2: 600,263 parameters, 5.43 million MACs, of which the published
binary networks have 0.115 million of reals, in the first and last layer. They
differ in variant 'paper' alone.
To reach: less than 3 points (v1) and 1.51 points (v2) under the own float
network on Speech Commands V1; there all other words are one class that nothing
balances, so that no accuracy of theirs compares with one of 12 balanced
classes.
Recipe: SGD with momentum 0.9 at 5e-3 and a cosine from a trained float
network's weights; 300 epochs of 96 clips; weight decay 1e-4, distillation;
changes of amplitude, speed and pitch, shift of 200 ms, noise up to 0.3 in 0.3
of the clips. Here from random weights, without distillation; clips are up to 3
dB quieter and up to a fifth quicker or slower, all of them.
Time: 0.15 s a step of 100 clips in float on one CPU core.

Its 32 frames of 128 ms lie 32 ms apart around their centres; here as many lie
within the clip, 450 samples apart. There thresholds and factors of v2 have a
tenth of the learning rate, here all of it. Here each step ends with the latent
weights clipped to [-1, 1], and their rate is `latent_learning_rate`, which this
file sets to the same 5e-3.
"""

import ml_collections

from configs.baselines import published


def get_config(string: str = '') -> ml_collections.ConfigDict:
  """The configuration; for options see `published`."""
  begun = published.start(
    string, 'bifsmn', ('v1', 'v2'), (*published.VARIANTS, 'paper')
  )
  published.set_front_end(
    begun, window_ms=128.0, hop_ms=28.125, bins=32, mel_bins=None
  )
  published.set_optimizer(
    begun, kind='sgd', learning_rate=5e-3, weight_decay=1e-4
  )
  published.set_batch_size(begun, 96)
  published.set_augmentation(
    begun, time_shift_ms=200.0, background_frequency=0.3,
    background_volume=0.3, attenuation_db=3.0, resample=0.2,
  )
  return begun.config.lock()
