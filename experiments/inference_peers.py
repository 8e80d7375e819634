"""Peers' files as functions that compute one clip, by their own runtimes."""

from collections.abc import Callable
import importlib
from importlib import util
import pathlib
import sys

import numpy as np

# What runs a file, by the end of its name.
RUNTIMES = {
  'float.tflite': 'LiteRT float', 'int8.tflite': 'LiteRT int8',
  'float.onnx': 'ONNX Runtime float', 'int8.onnx': 'ONNX Runtime int8',
  'binary.tflite': 'larq-compute-engine',
}
_LARQ = 'larq_compute_engine/tflite/python/interpreter_wrapper_lite.so'
PACKAGES = {
  'LiteRT': 'ai_edge_litert', 'ONNX Runtime': 'onnxruntime',
  'larq-compute-engine': 'larq_compute_engine',
}


def runtime(path: pathlib.Path) -> str:
  """A name in `RUNTIMES`.

  Args:
    path: of a file that `bench_peers` wrote.
  """
  return RUNTIMES[path.name.rsplit('-', 1)[1]]


def package(name: str) -> str:
  """What a runtime imports.

  Args:
    name: see `runtime`.
  """
  return PACKAGES[name.removesuffix(' float').removesuffix(' int8')]


def load(path: pathlib.Path) -> Callable[[], object]:
  """A function that computes one clip on one thread.

  Args:
    path: the file.

  Returns:
    It takes nothing: its input is in place.

  Raises:
    ImportError: the runtime is not installed.
  """
  name = runtime(path)
  if name.startswith('ONNX'):
    return _onnx(path)
  if name.startswith('LiteRT'):
    module = importlib.import_module('ai_edge_litert.interpreter')
    interpreter = module.Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    form = interpreter.get_input_details()[0]
    clip = np.ones(form['shape'], form['dtype'])
    interpreter.set_tensor(form['index'], clip)
    return interpreter.invoke
  return _larq(path)


def _onnx(path):
  ort = importlib.import_module('onnxruntime')
  options = ort.SessionOptions()
  options.intra_op_num_threads = options.inter_op_num_threads = 1
  session = ort.InferenceSession(
    str(path), options, providers=['CPUExecutionProvider'])
  form = session.get_inputs()[0]
  binding = session.io_binding()
  binding.bind_cpu_input(form.name, np.ones(form.shape, np.float32))
  binding.bind_output(session.get_outputs()[0].name)
  return lambda: session.run_with_iobinding(binding)


def _larq(path):
  """Its interpreter alone; its package would import TensorFlow."""
  for folder in map(pathlib.Path, sys.path):
    found = folder / _LARQ
    if found.exists():
      break
  else:
    raise ImportError(f'no {_LARQ}')
  spec = util.spec_from_file_location(found.stem, found)
  module = util.module_from_spec(spec)
  spec.loader.exec_module(module)
  # One thread; not its reference, nor the indirect product, nor XNNPACK, with
  # which it is slower.
  interpreter = module.LiteInterpreter(
    path.read_bytes(), 1, False, False, False)
  clip = [np.ones(interpreter.input_shapes[0], np.float32)]
  return lambda: interpreter.predict(clip)
