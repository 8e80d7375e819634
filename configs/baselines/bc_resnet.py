"""BC-ResNet (Kim et al. 2021, arXiv 2106.04140).

  python -m bnn_jax.main --config=configs/baselines/bc_resnet.py:size=1

Sizes 1, 1.5, 2, 3, 6, 8: 9,232, 17,154, 27,284, 54,168, 187,812 and 321,068
parameters; 2.48, 4.61, 7.32, 14.5, 50.3 and 85.9 million MACs. The paper counts
3.1, 5.5, 8.5, 16.2, 53.1 and 89.1 million multiplications, those of
normalizations among them.
To reach (the paper): 96.6 %, 97.2 %, 97.3 %, 97.6 %, 97.9 % and 98.0 % on V1;
96.9 %, 97.6 %, 97.8 %, 98.2 %, 98.6 % and 98.7 % on V2; 12 classes, official
test archives.
Recipe: SGD with momentum 0.9 at 0.1, warm-up of 5 epochs and a cosine; 200
epochs of 100 clips; weight decay 1e-3, dropout 0.1; shift of 100 ms and noise
up to 0.1 in 0.8 of the clips, two masks of 20 frames and two of 1, 3, 5, 7 and
7 bins (none of either for size 1). Here shift and noise come apart.
Time: 1.1 s a step of 100 clips on one CPU core for size 1 in binary.

Its 101 frames lie 10 ms apart around their centres; here as many lie within
the clip, 155 samples apart.
"""

import ml_collections

from configs.baselines import published

# Bins that a mask hides at most; size 1 has no masks.
_MASKS = {'1.5': 1, '2': 3, '3': 5, '6': 7, '8': 7}


def get_config(string: str = '') -> ml_collections.ConfigDict:
  """The configuration; for options see `published`."""
  begun = published.start(string, 'bc_resnet', ('1', *_MASKS))
  published.set_front_end(
    begun, window_ms=30.0, hop_ms=9.6875, bins=40, mel_bins=None
  )
  published.set_optimizer(
    begun, kind='sgd', learning_rate=0.1, weight_decay=1e-3, warmup_share=0.025
  )
  published.set_noise(begun)
  if begun.size in _MASKS:
    published.set_masks(begun, time=20, frequency=_MASKS[begun.size])
  return begun.config.lock()
