"""The front end as C sources: its tables printed beside fixed code."""

import os
import pathlib

import numpy as np

from bnn_jax.frontend import fixed_point

_HEADER = '''/* The tables of one front end, as docs/frontend.md defines them.
 * Printed by bnn_jax.frontend.print_c.
 */
#ifndef BNN_JAX_FRONTEND_TABLES_H_
#define BNN_JAX_FRONTEND_TABLES_H_

#include <stdint.h>

{constants}

{arrays}

#endif
'''


def print_tables(tables: fixed_point.Tables) -> str:
  """Prints `frontend_tables.h` for `frontend.c`.

  Args:
    tables: the integers of the front end.

  Returns:
    The text of the header.
  """
  factors = [stage.ravel() for stage in tables.stages]
  halves = [tables.window[::2], tables.window[1::2]]
  arrays = [
    _array('int32_t', 'window', np.concatenate(halves)),
    _array('int32_t', 'factors', np.concatenate(factors)),
    _array('int32_t', 'split', tables.split.ravel()),
    _array('uint16_t', 'mel_starts', tables.mel_starts),
    _array('uint16_t', 'mel_rise', tables.mel_rise),
    _array('uint32_t', 'log2', tables.log2),
  ]
  constants = [
    f'#define FRONTEND_{name} {value}'
    for name, value in _constants(tables).items()
  ]
  return _HEADER.format(
    constants='\n'.join(constants), arrays='\n\n'.join(arrays)
  )


def sources(tables: fixed_point.Tables) -> dict[str, str]:
  """All that a C compiler needs.

  Args:
    tables: the integers of the front end.

  Returns:
    The texts of `frontend.c` and its three headers, by these names.
  """
  fixed = sorted((pathlib.Path(__file__).parent / 'c').iterdir())
  texts = {path.name: path.read_text() for path in fixed}
  return texts | {'frontend_tables.h': print_tables(tables)}


def write_sources(tables: fixed_point.Tables, folder: pathlib.Path) -> None:
  """Writes `sources` into a folder.

  Args:
    tables: the integers of the front end.
    folder: an existing folder.
  """
  for name, text in sources(tables).items():
    _replace(folder / name, text)


def _replace(path: pathlib.Path, text: str) -> None:
  temporary = path.with_name(path.name + '.tmp')
  temporary.write_text(text)
  os.replace(temporary, path)


def _constants(tables: fixed_point.Tables) -> dict[str, str]:
  values = {
    'FFT_SIZE': 2 * tables.half,
    'WINDOW': len(tables.window),
    'HOP': tables.hop,
    'BINS': tables.mel_bins,
    'LAST_RADIX': tables.stages[-1].shape[1] + 1,
    'MOST_SHIFT': tables.most_shift,
    'POWER_SHIFT': fixed_point.POWER_SHIFT,
    'MEL_BITS': fixed_point.MEL_BITS,
    'SLOPE': tables.slope,
    'SHIFT': tables.shift,
    'LARGEST': tables.largest,
  }
  return {name: str(value) for name, value in values.items()} | {
    'FLOOR': f'UINT64_C({tables.floor})',
    'OFFSET': f'INT64_C({tables.offset})',
  }


def _array(kind: str, name: str, values: np.ndarray) -> str:
  lines = []
  line = ' '
  for value in values:
    item = f' {value},'
    if len(line) + len(item) > 80:
      lines.append(line)
      line = ' '
    line += item
  lines.append(line)
  head = f'static const {kind} frontend_{name}[{len(values)}] = {{'
  return '\n'.join([head, *lines, '};'])
