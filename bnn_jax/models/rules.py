"""The binarization rules of published papers, on our network.

Is it the method or the network that gains? Here the network is ours, and with
it the thermometers of its input, the shortcut around every convolution and the
+-1 weights of its classifier; signs, weights, normalization and activation are
those of a paper. Sums are exact and the stream is real, so nothing is exported.

- 'sign_ste' (Hubara et al. 2016, arXiv 1602.02830): signs of weights and
  inputs, backward a clipped identity.
- 'xnor_net' (Rastegari et al. 2016, 1603.05279): each output's weights times
  their mean magnitude. The scale of inputs is left out.
- 'dorefa' (Zhou et al. 2016, 1606.06160): a layer's weights times their mean
  magnitude, backward the identity; inputs are bits, clip(x, 0, 1) rounded.
- 'bi_real' (Liu et al. 2018, 1808.00278): weights as 'xnor_net', but backward
  without the magnitude, as the released code has it; inputs backward by a
  triangle.
- 'ir_net' (Qin et al. 2020, 1909.10788): signs of standardized weights times a
  power of two; both signs backward by EDE, which sharpens. No Hardtanh.
- 'react_net' (Liu et al. 2020, 2003.03488): as 'bi_real', with learned
  thresholds of inputs and RPReLU. Neither distribution loss nor two steps.
- 'ab_bnn' (Ma et al. 2024, 2403.03739): signs of standardized weights times
  their mean magnitude and a learned gain; a quarter of the sum is added, with
  no normalization; RPReLU with powers of two for slopes. One step, not two. The
  mean magnitude and the gain are a real scale of each output, where the paper
  multiplies nothing, and its mask layer is left out.

All but 'ab_bnn' have a real batch normalization behind each convolution.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import flax.linen as nn

from bnn_jax import errors
from bnn_jax.nn import binarize
from bnn_jax.nn import float_layers
from bnn_jax.nn import layers
from bnn_jax.nn import rule_layers
from bnn_jax.nn import rule_weights
from bnn_jax.nn import twin_layers

OURS = 'ours'
Constructor = Callable[..., nn.Module]


@dataclasses.dataclass(frozen=True)
class Rule:
  """The layers in which papers differ.

  Attributes:
    conv: constructor of the convolutions.
    sign: of the signs in front of them.
    norm: of the normalizations behind them.
    activation: of the activations of the stream.
  """

  conv: Constructor
  sign: Constructor
  norm: Constructor = float_layers.BatchNorm
  activation: Constructor = rule_layers.Unchanged


def _conv(weights: Any, **fields: Any) -> Constructor:
  return functools.partial(rule_layers.RuleConv, weights=weights, **fields)


def _sign(slope: str | Any, **fields: Any) -> Constructor:
  if isinstance(slope, str):
    slope = binarize.SLOPES[slope]
  return functools.partial(rule_layers.RuleSign, slope, **fields)


RULES: dict[str, Rule] = {
  'sign_ste': Rule(_conv(rule_weights.plain), _sign('hard_tanh')),
  'xnor_net': Rule(_conv(rule_weights.scaled), _sign('hard_tanh')),
  'dorefa': Rule(
    _conv(rule_weights.layer_scaled), _sign(rule_layers.window, threshold=0.5)
  ),
  'bi_real': Rule(_conv(rule_weights.magnitude_aware), _sign('approx_sign')),
  'ir_net': Rule(_conv(rule_weights.balanced), _sign('ede')),
  'react_net': Rule(
    _conv(rule_weights.magnitude_aware), _sign('approx_sign', learned=True),
    activation=rule_layers.RPReLU,
  ),
  'ab_bnn': Rule(
    _conv(rule_weights.normalizer_free, learn_gain=True),
    _sign(rule_layers.sigmoid, learned=True),
    norm=functools.partial(rule_layers.Factor, 0.25),
    activation=functools.partial(rule_layers.RPReLU, shifts=True),
  ),
}


def constructors(
  rule: str, classes: int, levels: int
) -> dict[str, Any]:
  """The constructors that a network with a real stream takes as its fields.

  Args:
    rule: a name in `RULES`.
    classes: N.
    levels: thermometer thresholds of each mel bin.

  Raises:
    UserError: a rule that does not exist.
  """
  if rule not in RULES:
    raise errors.UserError(
      f'model.rule={rule!r} does not exist; choose one of '
      f'{", ".join((OURS, *RULES))}.'
    )
  found = RULES[rule]
  return {
    'encode': functools.partial(layers.Thermometer, levels),
    'conv': found.conv, 'norm': found.norm, 'activation': found.activation,
    'sign': found.sign, 'add': float_layers.Add,
    'classifier': functools.partial(twin_layers.SignClassifier, classes),
  }
