"""What a network costs, layer by layer.

Multiply-accumulates are counted from the traced evaluation of a clip
(`bnn_jax.models.costs`), so any Flax network has a profile whose `__call__`
takes `[B, T, F]` and `train`.
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

from flax import traverse_util
import flax.linen as nn
import jax

from bnn_jax.models import costs
from bnn_jax.nn import activations
from bnn_jax.nn import constants
from bnn_jax.nn import integer
from bnn_jax.nn import layers
from bnn_jax.nn import marks
from bnn_jax.nn import pooling
from bnn_jax.nn import quantized_layers
from bnn_jax.nn import scaled_layers
from bnn_jax.nn import shift_norm
from bnn_jax.nn import twin_layers

REAL_BITS = 32


@dataclasses.dataclass(frozen=True)
class LayerProfile:
  """One module that multiplies, learns or is deployed as constants.

  Attributes:
    path: such as 'block0/conv'; '' for the network itself.
    kind: the module's class.
    output_shape: of one clip.
    parameters: that training learns, by number.
    memory_bits: of the parameters, as deployed.
    macs: multiply-accumulates for one clip.
    macs_by_width: the same by bits of weight and input, such as '1x1'.
    operands: K of one output, the most where sums differ; None without any.
    accumulator_bits: width of its register; None for real sums.
    safe_bits: narrowest register that no input can overflow; None likewise.
    activation_bits: memory of its input, as deployed; None where it has no
      products.
    taps: positions of its kernel; 1 for any other layer.
    groups: channel groups.
    parts: into which slices behind it cut its outputs.
    additions: numbers that are added to streams behind it, before the next
      layer with products.
  """

  path: str
  kind: str
  output_shape: tuple[int, ...]
  parameters: int
  memory_bits: int
  macs: int
  macs_by_width: dict[str, int]
  operands: int | None
  accumulator_bits: int | None
  safe_bits: int | None
  activation_bits: int | None
  taps: int
  groups: int
  parts: int = 1
  additions: int = 0


@dataclasses.dataclass(frozen=True)
class _Module:
  """What a call of a module shows.

  Attributes:
    kind: its class.
    x_shape: of its first argument.
    output_shape: of its last result.
    deployed: bits that it is deployed as; None without any constants.
    taps: positions of its kernel.
    groups: channel groups.
  """

  kind: str
  x_shape: tuple[int, ...]
  output_shape: tuple[int, ...]
  deployed: int | None
  taps: int
  groups: int


def profile(
  model: nn.Module, *, frames: int, bins: int, input_bits: int = 8
) -> dict[str, Any]:
  """Profiles a network.

  Args:
    model: the network.
    frames: T of its input.
    bins: F of its input.
    input_bits: of its quantized input.

  Returns:
    `parameters` (that training learns, by number), `memory_bits` (of what is
    deployed: the integers of a binarized layer in the width that they need,
    parameters of any other layer in 32 bits), `macs`, `macs_by_width`,
    `binary_macs` (of 1-bit weights), `real_macs` (all others), `ace` and
    `bit_operations` (see `costs.Product`), `activation_bits` (the largest of
    a layer), `layers`, a list of `LayerProfile` as dictionaries, and
    `no_integers`, why a layer cannot be exported, by its path.

  Raises:
    UserError: a loop of the network of which nothing tells how often it runs.
  """
  q = jax.ShapeDtypeStruct((1, frames, bins), 'uint8')
  variables = jax.eval_shape(
    lambda q: model.init(jax.random.key(0), q, train=False), q
  )
  modules: dict[str, _Module] = {}
  no_integers: dict[str, str] = {}

  def record(call, args, kwargs, context):
    """Marks the products of a module and keeps what it shows."""
    path = '/'.join(context.module.path)
    with marks.layer(path):
      output = call(*args, **kwargs)
    # A module of which only other methods are called has a row, too.
    if context.method_name == '__call__' or path not in modules:
      shown = _shown(context.module, (args, kwargs), output, input_bits)
      modules[path] = shown
    if reason := _no_integers(context.module):
      no_integers[path] = reason
    return output

  with nn.intercept_methods(record):
    traced = jax.make_jaxpr(
      lambda variables, q: model.apply(variables, q, train=False)
    )(variables, q)
  found = costs.products(traced)
  sizes = _sizes(variables.get('params', {}), modules)
  rows = [
    _row(path, module, sizes.get(path, 0),
         [product for product in found if product.layer == path])
    for path, module in modules.items()
  ]
  rows = _joined(rows)
  rows = [row for row in rows if row.macs or row.memory_bits]
  return {
    'parameters': sum(sizes.values()),
    'memory_bits': sum(row.memory_bits for row in rows),
    'macs': costs.total(found),
    'macs_by_width': costs.by_width(found),
    'binary_macs': costs.total([p for p in found if p.weight_bits == 1]),
    'real_macs': costs.total([p for p in found if p.weight_bits > 1]),
    'ace': sum(product.ace for product in found),
    'bit_operations': sum(product.bit_operations for product in found),
    'activation_bits': max((row.activation_bits or 0 for row in rows),
                           default=0),
    'layers': [dataclasses.asdict(row) for row in rows],
    'no_integers': no_integers,
  }


def _shown(
  module: nn.Module, arguments: Any, output: Any, input_bits: int
) -> _Module:
  x_shape = [*_shapes(arguments), (1,)][0]
  output_shape = [(1,), *_shapes(output)][-1]
  return _Module(
    kind=type(module).__name__,
    x_shape=x_shape[1:],
    output_shape=output_shape[1:],
    deployed=deployed_bits(module, x_shape, input_bits),
    taps=math.prod(_sizes_of(getattr(module, 'kernel_size', ()))),
    groups=getattr(
      module, 'groups', getattr(module, 'feature_group_count', 1)
    ),
  )


def _sizes_of(kernel: int | Sequence[int] | None) -> Sequence[int]:
  return (kernel,) if isinstance(kernel, int) else kernel or ()


def _joined(rows: Sequence[LayerProfile]) -> list[LayerProfile]:
  """Counts slices and additions where the products before them are."""
  slices: dict[str, int] = {}
  additions: dict[str, int] = {}
  product = None
  for row in rows:
    if row.macs:
      product = row.path
    elif product is not None and row.kind == 'Slice':
      slices[product] = slices.get(product, 0) + 1
    elif product is not None and row.kind == 'Add':
      added = additions.get(product, 0) + math.prod(row.output_shape)
      additions[product] = added
  return [
    dataclasses.replace(
      row, parts=slices.get(row.path, 1), additions=additions.get(row.path, 0)
    )
    for row in rows
  ]


def _shapes(tree: Any) -> list[tuple[int, ...]]:
  """Shapes of the arrays in it, but not of scalars."""
  shapes = [getattr(leaf, 'shape', ()) for leaf in jax.tree.leaves(tree)]
  return [tuple(shape) for shape in shapes if shape]


def _sizes(params: dict[str, Any], modules: dict[str, Any]) -> dict[str, int]:
  """Parameters by the path of the module that they belong to."""
  sizes: dict[str, int] = {}
  for path, value in traverse_util.flatten_dict(params).items():
    owners = ['/'.join(path[:end]) for end in range(len(path))]
    owner = [name for name in owners if name in modules][-1]
    sizes[owner] = sizes.get(owner, 0) + value.size
  return sizes


def _no_integers(module: nn.Module) -> str:
  """Why docs/arithmetic.md has no integers for a module; '' if it may have."""
  if isinstance(module, pooling.AveragePool | pooling.IntegerAveragePool):
    return pooling.no_integers(module.window)
  return getattr(module, 'NOT_EXPORTED', '')


def deployed_bits(
  layer: nn.Module, x_shape: Sequence[int], input_bits: int
) -> int | None:
  """Bits of the integers that a binarized layer is deployed as.

  Args:
    layer: any layer, bound.
    x_shape: `[..., C]` of its input.
    input_bits: of the network's quantized input.

  Returns:
    None for a layer that is deployed with its real parameters, or has none.
  """
  channels = x_shape[-1]
  match layer:
    case layers.BinaryConv():
      operands = math.prod(layer.kernel_size) * (channels // layer.groups)
      register = layer.accumulator.at('/'.join(layer.path))
      preload = register.bits if layer.learn_preload else 0
      return (operands + preload) * layer.features
    case shift_norm.ShiftBatchNorm():
      shift = (integer.SHIFT_MAX - integer.SHIFT_MIN).bit_length()
      bias = (constants.BIAS_MAX - constants.BIAS_MIN).bit_length()
      return channels * (shift + bias)
    case activations.ShiftPReLU():
      shift = constants.PRELU_SHIFT_MAX.bit_length()
      return channels * (shift + 2 * layer.stream.bits)
    case activations.RSign():
      # One value more than the stream has: the threshold that is never met.
      return channels * (layer.stream.bits + 1)
    case layers.Thermometer():
      return channels * layer.levels * input_bits
    case layers.BinaryClassifier():
      return layer.classes * (channels + constants.CLASSIFIER_BIAS_BITS)
    case twin_layers.SignClassifier():
      # A real bias for each class, and one factor.
      return layer.classes * channels + 32 * (layer.classes + 1)
    case quantized_layers.QuantizedConv():
      taps = math.prod(layer.kernel_size)
      # 8 bits a weight, and the step of each output.
      weights = 8 * taps * (channels // layer.groups)
      return (weights + REAL_BITS) * layer.features
    case scaled_layers.ScaledConv():
      return _scaled_bits(layer, channels // layer.groups)
  return None


def _scaled_bits(layer: scaled_layers.ScaledConv, channels: int) -> int:
  """Signs of the weights; real scales and bias."""
  pairs = channels * layer.features
  weights = math.prod(layer.kernel_size) * pairs
  if not layer.kernel_size:
    scales = layer.features
  elif layer.learned:
    scales = math.prod(layer.kernel_size[1:]) * pairs
  else:
    scales = pairs
  return weights + REAL_BITS * (scales + layer.bias * layer.features)


def _row(
  path: str, module: _Module, parameters: int, found: list[costs.Product]
) -> LayerProfile:
  registers = [p.register for p in found if p.register is not None]
  input_bits = max((product.input_bits for product in found), default=0)
  deployed = module.deployed
  return LayerProfile(
    path=path,
    kind=module.kind,
    output_shape=module.output_shape,
    parameters=parameters,
    memory_bits=REAL_BITS * parameters if deployed is None else deployed,
    macs=costs.total(found),
    macs_by_width=costs.by_width(found),
    operands=max((product.operands for product in found), default=None),
    accumulator_bits=max((r.bits for r in registers), default=None),
    safe_bits=max((r.safe_bits for r in registers), default=None),
    activation_bits=math.prod(module.x_shape) * input_bits if found else None,
    taps=module.taps,
    groups=module.groups,
  )
