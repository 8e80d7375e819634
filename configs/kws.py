"""The main job: a binarized keyword spotter behind a narrow accumulator.

Claim: trained through the overflow of its accumulators, an all-binary network
loses no accuracy on a register of a few bits (Li et al., "Design and Training
of Binarized Neural Networks for Highly Efficient Accelerators", JCAD 2023).

  python -m bnn_jax.main --config=configs/kws.py

on one CPU core: under 20 minutes on the embedded synthetic corpus, of whose
testing split it then gets 89.8 % right (seed 0). Real clips, by
`--config=configs/kws.py:data=folder,data_dir=PATH`, take longer with their
number.
Options stand behind a colon, separated by commas; OPTIONS lists them. Every
other value is set by `--config.KEY=VALUE`.
"""

import ml_collections

from configs import parse

OPTIONS = {
  'smoke': parse.switch,
  'data': parse.choice('synthetic', 'folder', 'tfds'),
  'data_dir': parse.text,
  'test_dir': parse.text,
  'manual_dir': parse.text,
  'protocol': parse.choice('official', 'hello_edge', 'tc_resnet', 'bifsmn'),
  'classes': parse.choice(12, 35),
  'variant': parse.choice('overflow', 'binary', 'float'),
  'size': parse.choice('S', 'M', 'L'),
  'padding': parse.choice('same', 'valid'),
  'parts': parse.number(int, 1, 64),
  'accumulator_bits': parse.number(int, 2, 24),
  'overflow_mode': parse.choice('exact', 'wrap', 'saturate'),
  'simd': parse.number(int, 1, 2**20),
  'unit': parse.choice('dot', 'popcount'),
  'teacher': parse.text,
  'penalty': parse.choice('none', 'hinge', 'periodic', 'variance'),
  'seed': parse.number(int, 0, 2**32 - 1),
  'epochs': parse.number(int, 1, 10000),
}


def get_config(string: str = '') -> ml_collections.ConfigDict:
  """The configuration; `string` holds options, see the module's head."""
  options = parse.options(string, OPTIONS)
  config = ml_collections.ConfigDict()
  config.name = 'kws'
  # Of the weights, the order of the clips and their augmentation. The embedded
  # corpus has a seed of its own, so that all seeds train on the same clips.
  config.seed = options.get('seed', 0)
  config.data = _data(options)
  config.front_end = _front_end()
  config.augmentation = _augmentation(options)
  config.model = _model(options)
  config.accumulator = _accumulator(options)
  config.penalty = _penalty(options)
  config.optimizer = _optimizer()
  config.distillation = _distillation(options)
  config.collaboration = _collaboration()
  config.training = _training(options)
  if 'smoke' in options:
    _shrink(config, options)
  return config.lock()


def _data(options) -> ml_collections.ConfigDict:
  data = ml_collections.ConfigDict()
  # 'synthetic' (speech by espeak-ng, made on first use), 'folder' (the unpacked
  # Speech Commands archive, or anything laid out like it) or 'tfds' (version
  # 0.02 by tensorflow-datasets, prepared on first use).
  data.source = options.get('data', 'synthetic')
  # The folder of the data set; for 'synthetic' where to keep the corpus, ''
  # being the user's cache; for 'tfds' '' is ~/tensorflow_datasets.
  data.data_dir = options.get('data_dir', '')
  # A canonical test archive, which then is the testing split of 'folder'.
  data.test_dir = options.get('test_dir', '')
  # The downloaded official archives for 'tfds'; '' downloads them.
  data.manual_dir = options.get('manual_dir', '')
  # The rule for unknown words and silence, by the paper that tested so.
  data.protocol = options.get('protocol', 'official')
  # 'training', or 'fit' to choose settings: some training speakers are then
  # kept aside as the split 'dev', which validates and is judged by.
  data.training_split = 'training'
  # 12: ten commands, unknown and silence; 35: all words.
  data.classes = options.get('classes', 12)
  # Share of broken files above which training refuses to start.
  data.max_bad_share = 0.01
  # Voices of the synthetic corpus, and its seed.
  data.synthetic_speakers = 300
  data.synthetic_seed = 0
  return data


def _front_end() -> ml_collections.ConfigDict:
  front_end = ml_collections.ConfigDict()
  front_end.kind = 'log_mel'  # Or 'mfcc'.
  front_end.window_ms = 30.0
  front_end.hop_ms = 10.0
  front_end.mel_bins = 40
  front_end.coefficients = 40  # Of 'mfcc' only.
  front_end.lower_hz = 20.0
  front_end.upper_hz = 7600.0
  return front_end


def _augmentation(options) -> ml_collections.ConfigDict:
  # Less noise than kws_streaming's, which has it in 0.8 of the clips, of a
  # volume up to 0.1, and no masks: a binarized network of this size does not
  # fit what it is shown already, and gains from seeing it clean. The voices of
  # the embedded corpus differ in speed and level as it is.
  real = options.get('data', 'synthetic') != 'synthetic'
  augmentation = ml_collections.ConfigDict()
  augmentation.resample = 0.1 if real else 0.0
  augmentation.time_shift_ms = 100.0
  augmentation.attenuation_db = 10.0 if real else 0.0
  augmentation.background_frequency = 0.3
  augmentation.background_volume = 0.05
  augmentation.time_masks_number = 0
  augmentation.time_mask_max_size = 10
  augmentation.frequency_masks_number = 0
  augmentation.frequency_mask_max_size = 5
  return augmentation


def _model(options) -> ml_collections.ConfigDict:
  model = ml_collections.ConfigDict()
  model.name = 'speech_resnet'
  model.size = options.get('size', 'M')
  # Instead of a size: its stem and its stages, each with its channels, 'x' and
  # blocks, and then of kernel, stride, dilation, groups and parts those that
  # are not the default, as in '96k3s4p4-96x2k5-128x2s2'; '' for the size.
  model.shape = ''
  # Times the parts that size or shape cut each convolution into: sums of fewer
  # products, each with a normalization of its own, that meet in the stream.
  model.parts = options.get('parts', _parts(options))
  # 'float': the real-valued twin; 'binary': binary with registers that never
  # overflow; 'overflow': binary with the accumulator below.
  model.variant = options.get('variant', 'overflow')
  # 'same', or 'valid' for continuous listening: a window of a long stream then
  # has the logits that it has alone, since nothing is padded.
  model.padding = options.get('padding', 'same')
  # Bits of the quantized input, and thermometer thresholds a mel bin.
  model.input_bits = 8
  model.thermometer_levels = 8
  # Residual stream: width, and bits behind the point.
  model.stream_bits = 8
  model.stream_fraction_bits = 4
  # Shift batch norm: 'fused' (one power of two) or 'two_ap2'; or 'real', with
  # multipliers, to compare with and not to export.
  model.norm_variant = 'fused'
  # A start of their own for the registers of each channel.
  model.learn_preload = False
  # Pseudo-gradients: hard_tanh, approx_sign, swish_sign, ede, reste.
  model.weight_gradient = 'hard_tanh'
  model.activation_gradient = 'approx_sign'
  # 'ours'; of variant=binary also the signs, weights and normalizations of a
  # paper, to compare with and not to export: sign_ste, xnor_net, dorefa,
  # bi_real, ir_net, react_net, ab_bnn.
  model.rule = 'ours'
  return model


def _parts(options) -> int:
  """A range half as wide needs sums of half as many products."""
  whole = {'wrap': 8, 'saturate': 7}.get(_overflow(options))
  if whole is None:
    return 1
  bits = options.get('accumulator_bits', 7)
  # Counts of ones spread half as far as sums of products.
  bits += options.get('unit', 'dot') == 'popcount'
  return 2 ** min(max(whole - bits, 0), 3)


def _overflow(options) -> str:
  """What registers do beyond their range; 'exact' where they have none."""
  if options.get('variant', 'overflow') != 'overflow':
    return 'exact'
  return options.get('overflow_mode', 'wrap')


def _accumulator(options) -> ml_collections.ConfigDict:
  accumulator = ml_collections.ConfigDict()
  # Width of the register in bits, and what it does beyond its range. Set by the
  # options, model.parts and the penalty follow; by --config.KEY they do not.
  accumulator.bits = options.get('accumulator_bits', 7)
  accumulator.overflow_mode = options.get('overflow_mode', 'wrap')
  # Lanes summed before each addition (1: per MAC), and what is added.
  accumulator.simd = options.get('simd', 64)
  accumulator.unit = options.get('unit', 'dot')
  # 'straight_through', or 'clip' for 'saturate'.
  accumulator.gradient = 'straight_through'
  # Other widths for some layers: ('^stem$', 9) pairs of a regular expression
  # on the layer's path and bits.
  accumulator.layer_bits = ()
  return accumulator


def _penalty(options) -> ml_collections.ConfigDict:
  penalty = ml_collections.ConfigDict()
  # On exact sums: 'none', 'hinge', 'periodic' (for wrap) or 'variance'. Where
  # nothing overflows there is nothing to punish, and a register that saturates
  # keeps the sign of its sum, so that a network learns to live with it.
  overflow = _overflow(options)
  penalty.kind = options.get(
    'penalty', 'hinge' if overflow == 'wrap' else 'none'
  )
  # Share of the register's range that costs nothing.
  penalty.margin = 0.9
  # lambda(step): rises linearly to its peak over the first share of the steps,
  # holds, and falls to `final` times its peak over the last share.
  penalty.weight = 1.0 if overflow == 'saturate' else 3.0
  penalty.rise_share = 0.2
  penalty.fall_share = 0.2
  penalty.final = 1.0
  # Each layer's share of lambda rises while more of its sums than `bound`
  # overflow, and falls while fewer do, by up to `gain` (of its logarithm) a
  # step; gain 0 leaves all layers the same lambda.
  penalty.bound = 0.001
  penalty.gain = 0.0
  return penalty


def _optimizer() -> ml_collections.ConfigDict:
  optimizer = ml_collections.ConfigDict()
  # 'adamw', 'sgd' (with momentum) or 'novograd', for real parameters and for
  # latent weights, which are clipped to [-1, 1] and act through their signs.
  optimizer.kind = 'adamw'
  optimizer.momentum = 0.9  # Of 'sgd' and 'novograd'.
  optimizer.learning_rate = 0.008
  optimizer.latent_learning_rate = 0.008
  optimizer.weight_decay = 0.0
  optimizer.gradient_norm = 5.0
  # Take the mean of each channel's latent weights away after each step.
  optimizer.balance_weights = False
  # Of the steps. Then the rate falls: 'cosine', to 0; 'step', as `drops` says;
  # 'exponential', over all steps to `final_share` of its peak; or 'hold', after
  # `hold_share` of the steps at its peak, by a parabola to `final_share`.
  optimizer.warmup_share = 0.05
  optimizer.schedule = 'cosine'
  # ((0.5, 0.1), ): from half of the steps on a tenth of the peak.
  optimizer.drops = ()
  optimizer.hold_share = 0.0
  optimizer.final_share = 0.0
  optimizer.label_smoothing = 0.1
  return optimizer


def _distillation(options) -> ml_collections.ConfigDict:
  distillation = ml_collections.ConfigDict()
  # Workdir of a trained network to learn from beside the labels, such as one
  # of variant=float; '' for none.
  distillation.teacher = options.get('teacher', '')
  # Share of the loss that compares with the teacher, at this temperature.
  distillation.weight = 0.5
  distillation.temperature = 2.0
  return distillation


def _collaboration() -> ml_collections.ConfigDict:
  collaboration = ml_collections.ConfigDict()
  # Weights of what an exact branch, the same weights on registers that never
  # overflow, adds to the loss until statistics are frozen; without any of them
  # there is no such branch. Its own cross entropy costs a backward pass more.
  collaboration.cross_entropy_weight = 0.0
  # The distillation of its logits, at this temperature.
  collaboration.logits_weight = 0.0
  collaboration.temperature = 2.0
  # The cross entropy of what signs read against the bits that it makes there.
  collaboration.bits_weight = 0.0
  return collaboration


def _training(options) -> ml_collections.ConfigDict:
  training = ml_collections.ConfigDict()
  # The embedded corpus shows that the program works; real speech is worth more.
  few = options.get('data', 'synthetic') == 'synthetic'
  training.epochs = options.get('epochs', 40 if few else 100)
  training.batch_size = 100
  # Batch-norm statistics are frozen for this last share of the steps.
  training.frozen_share = 0.1
  # Over this first share of the steps, ever more channels of ever more batches
  # pass a narrow register instead of an exact one; 0: all of them at once;
  # 1e9: none, so that the network is not trained for its register.
  training.gate_share = 0.5
  # Ranges that start `range_start` times as wide as the registers', 1 for none,
  # and shrink to them: a layer's while fewer of its sums than `range_bound`
  # leave it, and all of them by this share of the steps. In place of gates
  # where `gate_share` is 0, otherwise beside them.
  training.range_start = 1.0
  training.range_share = 0.5
  training.range_bound = 0.01
  # Steps between two lines of metrics, and epochs between two validations and
  # checkpoints.
  training.log_steps = 20
  training.validation_epochs = 2
  training.checkpoint_epochs = 2
  # Clips of the training split from which the input quantization is fitted.
  training.input_clips = 2000
  return training


def _shrink(config: ml_collections.ConfigDict, options) -> None:
  """A run that shows the whole job in under a minute, and no accuracy."""
  config.name = 'kws_smoke'
  config.data.synthetic_speakers = 24
  config.model.size = options.get('size', 'S')
  config.model.parts = options.get('parts', 1)
  config.training.epochs = options.get('epochs', 3)
  config.training.validation_epochs = 1
  config.training.checkpoint_epochs = 1
  config.training.log_steps = 5
  config.training.input_clips = 200
