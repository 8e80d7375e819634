"""Peers' networks as .tflite, in float32 and int8, and a binary one."""

import os
import pathlib

import numpy as np

from experiments import peer_layers

CALIBRATION_CLIPS = 20
# Convolutions of size M of `bnn_jax.models.speech_resnet`: the parts of the
# first, and (channels, kernel, stride) of the others.
PARTS, PART_CHANNELS, FRAMES = 4, 80, 98
STEM = (96, 3, 4)
BLOCKS = ((96, 5, 1), (96, 5, 1), (128, 3, 2), (128, 3, 1))
LARQ = 'M-binary'


def write(
  folder: pathlib.Path, name: str, net: peer_layers.Net,
  weights: list[tuple[np.ndarray, np.ndarray]],
) -> None:
  """Writes NAME-float.tflite and NAME-int8.tflite.

  Args:
    folder: an existing folder.
    name: of the network.
    net: the network.
    weights: see `peer_layers.weights`.
  """
  tf = _tensorflow()
  model = _keras(net, weights)
  converter = tf.lite.TFLiteConverter.from_keras_model(model)
  (folder / f'{name}-float.tflite').write_bytes(converter.convert())
  random = np.random.default_rng(1)
  converter = tf.lite.TFLiteConverter.from_keras_model(model)
  converter.optimizations = [tf.lite.Optimize.DEFAULT]
  converter.representative_dataset = lambda: (
    [random.normal(0, 1, (1, *net.shape)).astype(np.float32)]
    for _ in range(CALIBRATION_CLIPS)
  )
  converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
  converter.inference_input_type = tf.int8
  converter.inference_output_type = tf.int8
  (folder / f'{name}-int8.tflite').write_bytes(converter.convert())


def write_larq(folder: pathlib.Path) -> None:
  """Writes M-binary.tflite for larq-compute-engine.

  The convolutions of our size M, with the normalizations, residual sums and
  PReLUs of its blocks; padding of +1, which that engine computes fastest.

  Args:
    folder: an existing folder.
  """
  _tensorflow()
  import larq_compute_engine

  data = larq_compute_engine.convert_keras_model(_larq())
  (folder / f'{LARQ}.tflite').write_bytes(data)


def _tensorflow():
  """TensorFlow with the Keras that larq and the converter know."""
  os.environ['TF_USE_LEGACY_KERAS'] = '1'
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  import tensorflow as tf

  return tf


def _keras(net, weights):
  import tf_keras

  layers = tf_keras.layers
  made = [layers.Input(net.shape, batch_size=1)]
  for conv, source, pair in zip(
    net.convs, net.sources(), weights[:-1], strict=True
  ):
    common = {'strides': conv.stride, 'padding': 'same', 'weights': pair}
    if conv.outputs:
      y = layers.Conv2D(conv.outputs, conv.kernel, **common)(made[source])
    else:
      y = layers.DepthwiseConv2D(conv.kernel, **common)(made[source])
    if conv.add is not None:
      y = layers.Add()([y, made[conv.add]])
    made.append(layers.ReLU()(y))
  y = layers.GlobalAveragePooling2D()(made[-1])
  logits = layers.Dense(peer_layers.CLASSES, weights=weights[-1])(y)
  return tf_keras.Model(made[0], logits)


def _larq():
  """Size M in larq."""
  import larq
  import tf_keras

  layers = tf_keras.layers

  def binary(x, channels, kernel, stride):
    y = larq.layers.QuantConv2D(
      channels, (kernel, 1), strides=(stride, 1), padding='same',
      pad_values=1.0, use_bias=False, input_quantizer='ste_sign',
      kernel_quantizer='ste_sign', kernel_constraint='weight_clip',
    )(x)
    return layers.BatchNormalization()(y)

  x = layers.Input((FRAMES, 1, PARTS * PART_CHANNELS), batch_size=1)
  parts = [
    binary(x[..., i * PART_CHANNELS:(i + 1) * PART_CHANNELS], *STEM)
    for i in range(PARTS)
  ]
  y = layers.PReLU(shared_axes=(1, 2))(layers.Add()(parts))
  for channels, kernel, stride in BLOCKS:
    shortcut = y
    if stride > 1:
      shortcut = layers.AveragePooling2D((1, 1), (stride, 1))(shortcut)
    missing = channels - shortcut.shape[-1]
    if missing:
      # As ours: new channels begin at 0.
      shortcut = layers.Concatenate()([shortcut, 0 * shortcut[..., :missing]])
    y = layers.Add()([shortcut, binary(y, channels, kernel, stride)])
    y = layers.PReLU(shared_axes=(1, 2))(y)
  y = layers.GlobalAveragePooling2D()(y)
  return tf_keras.Model(x, layers.Dense(peer_layers.CLASSES)(y))
