"""Inputs of an export's C code, what it gives for them, and a comparison.

`experiments/cross_c.sh` runs it:

  python -m experiments.cross_c prepare EXPORT FOLDER
  python -m experiments.cross_c compare NAME EXPECTED FOUND
"""

import argparse
import pathlib
import sys

import numpy as np

from bnn_jax.data import wav
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import specs
from bnn_jax.frontend import fixed_point
from bnn_jax.jobs import front_end

CLIPS = 20
# Samples of one loudness.
_BLOCK = 800


def prepare(export: pathlib.Path, folder: pathlib.Path) -> None:
  """Writes inputs and what the golden model and the NumPy front end give.

  Args:
    export: the export.
    folder: gets `q.bin` and `logits.bin`; where the front end has integers,
      also `samples.bin`, `frames.bin`, wav files and `classes.txt`.
  """
  model, read = files.read(export), golden.read(export)
  form = model.input
  q = np.random.default_rng(0).integers(
    0, 2**form.bits, (CLIPS, form.frames, form.bins), np.uint8
  )
  (folder / 'q.bin').write_bytes(q.tobytes())
  logits = golden.logits(read, q)
  (folder / 'logits.bin').write_bytes(logits.astype('<i4').tobytes())
  if model.front_end.get('kind') != 'log_mel':
    return
  tables = front_end.tables(model)
  samples = sounds(len(tables.window) + (form.frames - 1) * tables.hop)
  count = np.array([samples.shape[1]], '<i4')
  content = count.tobytes() + samples.astype('<i2').tobytes()
  (folder / 'samples.bin').write_bytes(content)
  q = fixed_point.compute(samples, tables)
  (folder / 'frames.bin').write_bytes(q.tobytes())
  for i, clip in enumerate(samples):
    wav.write(folder / f'{i:02}.wav', clip)
  logits = golden.logits(read, q)
  (folder / 'classes.txt').write_text(
    ''.join(printed(model, row) for row in logits.tolist())
  )


def sounds(count: int) -> np.ndarray:
  """Noise from silence to clipping, int16 `[CLIPS, count]`."""
  random = np.random.default_rng(1)
  loudness = 2.0 ** random.uniform(-2, 16, (CLIPS, -(-count // _BLOCK)))
  loudness[0] = 0
  noise = random.normal(0, 1, (CLIPS, count))
  noise *= loudness.repeat(_BLOCK, axis=1)[:, :count]
  return np.clip(noise, -32768, 32767).astype(np.int16)


def printed(model: specs.Model, logits: list[int]) -> str:
  """What the example program prints for a clip."""
  names = model.class_names
  rows = [f'  {name}: {v}\n' for name, v in zip(names, logits, strict=True)]
  return names[int(np.argmax(logits))] + '\n' + ''.join(rows)


def compare(name: str, expected: pathlib.Path, found: pathlib.Path) -> bool:
  """Compares two files and tells in how many values they differ.

  Args:
    name: what is compared.
    expected: with 32-bit integers, bytes or lines, by its name.
    found: the same of the C code.

  Returns:
    Whether they are equal.
  """
  wanted, got = expected.read_bytes(), found.read_bytes()
  if expected.suffix == '.txt':
    pieces: tuple = tuple(np.array(one.split(b'\n')) for one in (wanted, got))
  else:
    kind = '<i4' if expected.stem == 'logits' else np.uint8
    pieces = np.frombuffer(wanted, kind), np.frombuffer(got, kind)
  if len(pieces[0]) != len(pieces[1]):
    print(f'{name}: {len(pieces[1])} values, not {len(pieces[0])}')
    return False
  unequal = int((pieces[0] != pieces[1]).sum())
  print(f'{name}: mismatches: {unequal} of {len(pieces[0])}')
  return not unequal


def main() -> None:
  """Runs what the command line names."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  commands = parser.add_subparsers(dest='command', required=True)
  first = commands.add_parser('prepare')
  first.add_argument('export', type=pathlib.Path)
  first.add_argument('folder', type=pathlib.Path)
  second = commands.add_parser('compare')
  second.add_argument('name')
  second.add_argument('expected', type=pathlib.Path)
  second.add_argument('found', type=pathlib.Path)
  options = parser.parse_args()
  if options.command == 'prepare':
    prepare(options.export, options.folder)
  else:
    sys.exit(not compare(options.name, options.expected, options.found))


if __name__ == '__main__':
  main()
