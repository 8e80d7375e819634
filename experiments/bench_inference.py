"""One clip at a time, here and in the runtimes of others.

  experiments/bench_inference.sh FOLDER
  python -m experiments.bench_inference --exports E --peers P --json FILE

The first line makes what the second one reads. One thread; all networks take
turns in one run. The weights are new ones, which time does not depend on.

A row has `network`, `runtime`, `macs`, `median_us` and `p99_us` of the network,
`clip_median_us` and `clip_p99_us` with a front end before it, `model_bytes`,
`memory_bytes` and `accuracy` (percent, or null where it is not trained). Of C,
model_bytes are code and constants and memory_bytes the static arrays; of others
the file, without the runtime, and a lower bound, the most that input and output
of one layer take (null for larq-compute-engine). Before the networks of others
stands our front end in C with their frames, but without the cosine transform of
their MFCC.

`rooflines` tells, for each of our networks and sets of instructions, the time
of its convolutions (`convolutions_us`), their products a microsecond
(`bits_per_us`), and what the same instructions reach between registers:
`popcount_bits_per_us` counting alone, `product_bits_per_us` with the exclusive
or and the addition that a product and a sum take. The shares are ratios to
these.
`ratios` divides two medians. `left_out` says what could not be run, and why.
"""

import argparse
import ctypes
import json
import os
import pathlib
import platform
import tempfile
import time
from typing import Any

import numpy as np

from bnn_jax import errors
from experiments import inference_c
from experiments import inference_peers
from experiments import inference_table
from experiments import peer_layers

# Runs of a network before the next one's turn, of which the first are left out,
# since the caches hold what ran before.
TURN, COLD = 24, 4
# A clip of a second.
SAMPLES = 16000
PEERS_OF_M = 'DS-CNN-S', 'DS-CNN-L', 'TC-ResNet8'


def main() -> None:
  """Reads the command line, measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--json', type=pathlib.Path, help='file to write')
  parser.add_argument('--exports', type=pathlib.Path,
                      help='of experiments.bench_exports; made if not named')
  parser.add_argument('--peers', type=pathlib.Path,
                      help='of experiments.bench_peers')
  parser.add_argument('--accuracy', nargs='*', default=[],
                      help='percent by network, such as M=92.4')
  parser.add_argument('--rounds', type=int, default=50)
  options = parser.parse_args()
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    exports = options.exports or _new_exports(folder / 'exports')
    result = measure(
      exports, options.peers, folder, options.rounds,
      _accuracies(options.accuracy),
    )
  inference_table.show(result)
  if options.json:
    temporary = options.json.with_suffix('.part')
    temporary.write_text(json.dumps(result, indent=1) + '\n')
    temporary.rename(options.json)


def measure(
  exports: pathlib.Path, peers: pathlib.Path | None, folder: pathlib.Path,
  rounds: int, accuracies: dict[str, float],
) -> dict[str, Any]:
  """Times everything.

  Args:
    exports: of our networks.
    peers: of the others', or None.
    folder: for what is compiled.
    rounds: turns of each network.
    accuracies: percent by network.

  Returns:
    What is written, see the module's head.
  """
  samples = _clip()
  rows, networks = _ours(exports, folder, samples)
  others, left_out = _others(exports, peers, folder, samples)
  rows += others
  times = timed({i: row.pop('run') for i, row in enumerate(rows)}, rounds)
  clips = timed({i: row.pop('clip') for i, row in enumerate(rows)}, rounds)
  for i, row in enumerate(rows):
    row |= _summary('', times[i]) | _summary('clip_', clips[i])
    row['accuracy'] = accuracies.get(row['network'])
  return {
    'machine': _machine(), 'rows': rows, 'rooflines': _rooflines(networks),
    'ratios': ratios(rows), 'left_out': left_out,
  }


def timed(runs: dict[Any, Any], rounds: int) -> dict[Any, np.ndarray]:
  """Microseconds of each run of functions that take turns.

  Args:
    runs: functions by key.
    rounds: turns of each.
  """
  clock = time.perf_counter_ns
  found: dict[Any, list[int]] = {key: [] for key in runs}
  for _ in range(rounds):
    for key, run in runs.items():
      turn = [0] * TURN
      for i in range(TURN):
        begin = clock()
        run()
        turn[i] = clock() - begin
      found[key] += turn[COLD:]
  return {key: np.array(values) / 1e3 for key, values in found.items()}


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
  """Medians of others over ours, by what they compare.

  Args:
    rows: of the table.
  """
  def best(network, ours):
    times = [
      row['median_us'] for row in rows
      if row['network'] == network and row['runtime'].startswith('C') == ours
    ]
    return min(times, default=None)

  made = {}
  for row in rows:
    if row['network'] != 'M' or not row['runtime'].startswith('C'):
      continue
    for other in (*PEERS_OF_M, 'M-binary'):
      fastest = best(other, False)
      if fastest is not None:
        name = f'fastest {other} / M in {row["runtime"]}'
        made[name] = fastest / row['median_us']
  return made


def _ours(exports, folder, samples):
  """Rows of our networks, with what runs them, and the networks."""
  rows, networks = [], {}
  for target in inference_c.targets():
    for export in sorted(exports.glob('*/model.json'), key=_size):
      name = export.parent.name
      network = inference_c.compile_network(export.parent, target, folder)
      networks[name, target] = network
      rows.append({
        'network': name, 'runtime': target, 'macs': network.macs,
        'model_bytes': network.model_bytes,
        'memory_bytes': network.memory_bytes,
        **_functions(network, samples),
      })
  if not rows:
    raise errors.UserError(
      f'{exports} holds no exports; write them by experiments.bench_exports.'
    )
  return rows, networks


def _size(export: pathlib.Path) -> int:
  return (export.parent / 'weights.npz').stat().st_size


def _functions(network, samples):
  """`run` and `clip`, whose arguments are ready and stay alive."""
  q = np.zeros(network.shape, np.uint8)
  q[:] = np.arange(q.size).reshape(q.shape) % 256
  logits = np.zeros(network.classes, np.int32)
  library = network.library
  q_at, logits_at, samples_at = map(_pointer, (q, logits, samples))
  count = ctypes.c_long(len(samples))
  kept = q, logits, samples

  def run(kept=kept):
    library.bnn_run(q_at, logits_at)

  def clip(kept=kept):
    library.bench_clip(samples_at, count, logits_at)

  return {'run': run, 'clip': clip}


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
  return ctypes.c_void_p(array.ctypes.data)


def _others(exports, peers, folder, samples):
  """Rows of the others' networks, and why some are missing."""
  if peers is None:
    return [], ['networks of others; make them by bench_inference.sh']
  fronts, rows, left_out = _front_ends(exports, folder, samples), [], []
  for path in sorted([*peers.glob('*.tflite'), *peers.glob('*.onnx')]):
    name = inference_peers.runtime(path)
    try:
      run = inference_peers.load(path)
    except ImportError as error:
      missing = f'{inference_peers.package(name)} does not load ({error})'
      left_out.append(f'{path.stem} by {name}, since {missing}')
      continue
    rows.append(_row(path, name, run, fronts))
  left_out += [
    f'{name}, for which {peers} holds no file'
    for end, name in inference_peers.RUNTIMES.items()
    if not list(peers.glob(f'*-{end}'))
  ]
  return rows, left_out


def _row(path, runtime, run, fronts):
  network = path.stem.rsplit('-', 1)[0]
  net = peer_layers.NETS.get(network)
  front_end = fronts[49 if network.startswith('DS-CNN') else 98]
  width = 1 if 'int8' in path.name else 4

  def clip():
    front_end()
    run()

  return {
    'network': network if net else path.stem, 'runtime': runtime,
    'macs': net.macs() if net else peer_layers.BINARY_MACS,
    'model_bytes': path.stat().st_size,
    'memory_bytes': width * net.activations() if net else None,
    'run': run, 'clip': clip,
  }


def _front_ends(exports, folder, samples):
  """Functions that compute a clip's features, by the number of frames."""
  target = inference_c.targets()[-1]
  made = {}
  for frames, name in ((49, 'frames_49'), (98, 'S')):
    library = inference_c.compile_front_end(
      exports / name / 'c', target, folder)
    q = np.zeros((frames, 40), np.uint8)
    made[frames] = lambda library=library, q=q: library.frontend_clip(
      _pointer(samples), ctypes.c_long(len(samples)), _pointer(q))
  return made


def _rooflines(networks):
  rows = []
  rates: dict[str, list[float]] = {}
  for (name, target), network in networks.items():
    if target not in rates:
      rates[target] = [
        inference_c.bits_per_us(network, function, _best_us)
        for function in ('bench_popcount', 'bench_products')
      ]
    spent = inference_c.convolutions_us(network, _best_us)
    rate = network.macs / spent
    count, product = rates[target]
    rows.append({
      'network': name, 'runtime': target, 'convolutions_us': spent,
      'bits_per_us': rate, 'popcount_bits_per_us': count,
      'product_bits_per_us': product, 'popcount_share': rate / count,
      'product_share': rate / product,
    })
  return rows


def _best_us(run) -> float:
  """The shortest of many runs, which nothing interrupted."""
  times = timed({'': run}, 20)['']
  return float(times.min())


def _summary(prefix: str, times: np.ndarray) -> dict[str, float]:
  median, p99 = np.percentile(times, [50, 99])
  return {f'{prefix}median_us': float(median), f'{prefix}p99_us': float(p99)}


def _clip() -> np.ndarray:
  """A second of noise, int16."""
  random = np.random.default_rng(0)
  return random.normal(0, 2000, SAMPLES).astype(np.int16)


def _new_exports(folder: pathlib.Path) -> pathlib.Path:
  from experiments import bench_exports

  bench_exports.write(folder)
  return folder


def _accuracies(words: list[str]) -> dict[str, float]:
  made = {}
  for word in words:
    name, _, value = word.partition('=')
    try:
      made[name] = float(value)
    except ValueError as error:
      raise errors.UserError(
        f'--accuracy {word} is not like M=92.4; give a name and percent.'
      ) from error
  return made


def _machine() -> dict[str, Any]:
  info = pathlib.Path('/proc/cpuinfo')
  lines = info.read_text().splitlines() if info.exists() else []
  models = [line.partition(': ')[2] for line in lines if 'model name' in line]
  return {
    'processor': models[0] if models else platform.processor(),
    'system': f'{platform.system()} {platform.machine()}',
    'load': os.getloadavg()[0],
  }


if __name__ == '__main__':
  main()
