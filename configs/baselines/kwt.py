"""KWT, the keyword transformer (Berg et al. 2021, arXiv 2104.00769).

  python -m bnn_jax.main --config=configs/baselines/kwt.py:size=1

Sizes 1, 2, 3: 607,308, 2,394,252 and 5,360,844 parameters; 73.7, 264.2 and
571.5 million MACs.
To reach: 97.7 %, 98.2 % and 98.7 % on Speech Commands V2, 12 classes (the
authors' code).
Recipe: AdamW at 1e-3 with weight decay 0.1, warm-up of 10 epochs and a cosine;
23,438 steps of 512 clips; label smoothing 0.1; shift, resampling by 0.15,
noise, two masks of 25 frames and two of 7 bins.
Time: on one CPU core, size 1 takes 1 s a step of 100 clips in float and 2.5 s
in binary; a GPU is the place for it.
"""

import ml_collections

from configs.baselines import published


def get_config(string: str = '') -> ml_collections.ConfigDict:
  """The configuration; for options see `published`."""
  begun = published.start(string, 'kwt', ('1', '2', '3'))
  published.set_front_end(
    begun, window_ms=30.0, hop_ms=10.0, bins=40, mel_bins=80
  )
  published.set_optimizer(
    begun, learning_rate=1e-3, weight_decay=0.1, warmup_share=0.07,
    label_smoothing=0.1,
  )
  published.set_batch_size(begun, 512)
  published.set_noise(begun)
  published.set_augmentation(begun, resample=0.15)
  published.set_masks(begun, time=25, frequency=7)
  return begun.config.lock()
