"""Peers' networks as .onnx, in float32 and quantized to int8."""

import pathlib

import numpy as np

from experiments import peer_layers

OPSET, IR_VERSION = 17, 8
CALIBRATION_CLIPS = 20


def write(
  folder: pathlib.Path, name: str, net: peer_layers.Net,
  weights: list[tuple[np.ndarray, np.ndarray]],
) -> None:
  """Writes NAME-float.onnx and NAME-int8.onnx.

  Args:
    folder: an existing folder.
    name: of the network.
    net: the network.
    weights: see `peer_layers.weights`.
  """
  import onnx
  from onnxruntime import quantization

  path = folder / f'{name}-float.onnx'
  onnx.save(_model(net, weights), path)
  quantization.quantize_static(
    path, folder / f'{name}-int8.onnx', _reader(net), per_channel=True,
  )


def _reader(net: peer_layers.Net):
  """Random clips, from which ranges are found."""
  from onnxruntime import quantization

  class Reader(quantization.CalibrationDataReader):

    def __init__(self):
      random = np.random.default_rng(1)
      shape = 1, net.shape[2], *net.shape[:2]
      self._clips = iter([
        {'layer0': random.normal(0, 1, shape).astype(np.float32)}
        for _ in range(CALIBRATION_CLIPS)
      ])

    def get_next(self):
      return next(self._clips, None)

  return Reader()


def _model(net, weights):
  from onnx import TensorProto
  from onnx import helper
  from onnx import numpy_helper

  nodes, arrays = [], []

  def constant(name, array):
    arrays.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
    return name

  shapes = net.shapes()
  for i, (conv, source) in enumerate(
    zip(net.convs, net.sources(), strict=True)
  ):
    kernel, bias = weights[i]
    # [N, C, *kernel]; a depthwise one has one input channel an output.
    order = (3, 2, 0, 1) if conv.outputs else (2, 3, 0, 1)
    last = f'layer{i + 1}'
    names = [f'conv{i + 1}', last]
    if conv.add is not None:
      names.insert(1, f'sum{i + 1}')
    nodes.append(helper.make_node(
      'Conv',
      [f'layer{source}', constant(f'w{i}', kernel.transpose(order)),
       constant(f'b{i}', bias)],
      names[:1], kernel_shape=list(conv.kernel), strides=list(conv.stride),
      auto_pad='SAME_UPPER', group=1 if conv.outputs else shapes[source][-1],
    ))
    if conv.add is not None:
      nodes.append(
        helper.make_node('Add', [names[0], f'layer{conv.add}'], names[1:2]))
    nodes.append(helper.make_node('Relu', names[-2:-1], [last]))
  kernel, bias = weights[-1]
  nodes += [
    helper.make_node('GlobalAveragePool', [last], ['mean']),
    helper.make_node('Flatten', ['mean'], ['flat']),
    helper.make_node(
      'Gemm', ['flat', constant('w', kernel), constant('b', bias)], ['logits']),
  ]
  kind = TensorProto.FLOAT
  graph = helper.make_graph(
    nodes, 'net',
    [helper.make_tensor_value_info(
      'layer0', kind, [1, net.shape[2], *net.shape[:2]])],
    [helper.make_tensor_value_info('logits', kind, [1, peer_layers.CLASSES])],
    arrays,
  )
  return helper.make_model(
    graph, opset_imports=[helper.make_opsetid('', OPSET)],
    ir_version=IR_VERSION,
  )
