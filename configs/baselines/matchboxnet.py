"""MatchboxNet (Majumdar and Ginsburg 2020, arXiv 2004.08531).

  python -m bnn_jax.main --config=configs/baselines/matchboxnet.py:size=3x1x64

Sizes 3x1x64 and 3x2x64: 74,892 and 90,444 parameters for 12 classes (77,214 and
92,766 for 30); 9.19 and 11.13 million MACs (9.20 and 11.14).
To reach: 97.2 % and 97.5 % on V1, 96.9 % and 97.2 % on V2 (as quoted by the
paper of BC-ResNet), but of all 30 or 35 words; for 12 classes 98.0 % on V2, of
ds_tc_resnet, the same network in kws_streaming (its published experiments).
Recipe: NovoGrad (0.95, 0.5) at 0.05, warm-up 5 %, hold 45 %, polynomial decay;
200 epochs of 128 clips; weight decay 1e-3; shift of 5 ms, white noise, two
masks of 25 frames and two of 15 bins, five rectangles cut out. Here neither
white noise nor rectangles.
Time: 0.3 s a step of 100 clips in float on one CPU core for size 3x1x64.
"""

import ml_collections

from configs.baselines import published


def get_config(string: str = '') -> ml_collections.ConfigDict:
  """The configuration; for options see `published`."""
  begun = published.start(string, 'matchboxnet', ('3x1x64', '3x2x64'))
  published.set_front_end(
    begun, window_ms=25.0, hop_ms=10.0, bins=64, mel_bins=64
  )
  published.set_optimizer(
    begun, kind='novograd', momentum=0.95, learning_rate=0.05,
    weight_decay=1e-3, warmup_share=0.05, schedule='hold', hold_share=0.45,
    final_share=0.02,
  )
  published.set_batch_size(begun, 128)
  published.set_augmentation(begun, time_shift_ms=5.0)
  published.set_masks(begun, time=25, frequency=15)
  return begun.config.lock()
