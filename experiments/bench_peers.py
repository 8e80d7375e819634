"""Published networks as files of LiteRT, ONNX Runtime and larq-compute-engine.

  python -m experiments.bench_peers FOLDER

writes DS-CNN-S and DS-CNN-L (Zhang et al. 2017, 49 frames of 10 MFCC) and
TC-ResNet8 (Choi et al. 2019, 98 frames of 40), each as .tflite and .onnx, in
float32 and in int8 with int8 input and output, and the convolutions of size M
of our own network for larq-compute-engine. The weights are random, of which
time does not depend; batch normalization is folded into them, as converters do.
Needs tensorflow with tf_keras, onnx and onnxruntime; larq and
larq_compute_engine for the last one.
"""

import argparse
import pathlib

import numpy as np

from experiments import peer_layers
from experiments import peer_onnx
from experiments import peer_tflite


def main() -> None:
  """Writes the folder that the command line names."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('folder', type=pathlib.Path)
  folder = parser.parse_args().folder
  folder.mkdir(parents=True, exist_ok=True)
  for name, net in peer_layers.NETS.items():
    weights = peer_layers.weights(net, np.random.default_rng(0))
    peer_tflite.write(folder, name, net, weights)
    peer_onnx.write(folder, name, net, weights)
  peer_tflite.write_larq(folder)


if __name__ == '__main__':
  main()
