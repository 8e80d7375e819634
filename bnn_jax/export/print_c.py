"""An exported network as C99: one header and one source without dependencies.

`docs/deploy.md` says how they are used. What is the same for all networks lies
in the folder `c`, and is printed between the network's types and its layers.
"""

from collections.abc import Mapping
import os
import pathlib

from bnn_jax.export import c_layers
from bnn_jax.export import c_memory
from bnn_jax.export import c_text
from bnn_jax.export import c_types
from bnn_jax.export import check
from bnn_jax.export import specs

# Of an export, where its sources are.
FOLDER = 'c'
HEADER, SOURCE = 'bnn_model.h', 'bnn_model.c'
_FIXED = pathlib.Path(__file__).parent / 'c'
_PIECES = ('words.c', 'targets.c', 'lanes.c', 'stream.c')

_HEADER_TEXT = '''/* A binarized network, from integer features to logits.
 *
 * Printed by bnn_jax.export.print_c; docs/arithmetic.md defines every number.
 * C99 without heap, floats or dependencies.
 */
#ifndef BNN_JAX_BNN_MODEL_H_
#define BNN_JAX_BNN_MODEL_H_

#include <stddef.h>
#include <stdint.h>

/* The features q of a clip: BNN_FRAMES frames of BNN_BINS unsigned integers of
 * BNN_INPUT_BITS bits.
 */
#define BNN_FRAMES {frames}
#define BNN_BINS {bins}
#define BNN_INPUT_BITS {input_bits}
#define BNN_SAMPLE_RATE {sample_rate}
#define BNN_CLASSES {classes}

/* Bytes of static memory, of which a clip needs nothing of the one before. */
#define BNN_MEMORY {memory}

extern const char *const bnn_class_names[BNN_CLASSES];

/* Computes the logits of a clip. Not for two threads at a time.
 *
 * q: [BNN_FRAMES][BNN_BINS].
 * logits: BNN_CLASSES integers.
 */
void bnn_run(const uint8_t *q, int32_t *logits);

/* The class of the largest logit, the first of equal ones. */
int bnn_argmax(const int32_t *logits);
{arrays}
#endif
'''

_ARRAYS = '''
/* What each layer gave, in the order of the layers; of the last, NULL. */
extern const void *const bnn_arrays[{layers}];

/* Bytes of a result and of an element of a stream. */
extern const uint8_t bnn_widths[2];
'''

_SOURCE_HEAD = '''/* Printed by bnn_jax.export.print_c. */
#include "{header}"

{types}

static struct {{
  uint64_t units[{units}];
  int32_t pool[{channels}];
  Sum sums[{outputs}];
  Tally counts[{outputs}];
  Result result[{result}];
  uint16_t halves[{halves}];
  Stream stream[{stream}];
  uint8_t bits[{bits}];
  uint8_t operands[{operands}];
  uint8_t flags[{channels}];
}} memory;
'''

_SOURCE_TAIL = '''const char *const bnn_class_names[BNN_CLASSES] = {{
{names}
}};
{arrays}
void bnn_run(const uint8_t *q, int32_t *logits) {{
{calls}
}}

int bnn_argmax(const int32_t *logits) {{
  int best = 0;
  for (int i = 1; i < BNN_CLASSES; ++i) {{
    best = logits[i] > logits[best] ? i : best;
  }}
  return best;
}}
'''


def sources(model: specs.Model, *, keep: bool = False) -> dict[str, str]:
  """Prints a network.

  Args:
    model: the network.
    keep: keep every layer's array, for `bnn_arrays`.

  Returns:
    The texts of `bnn_model.h` and `bnn_model.c`, by these names.

  Raises:
    UserError: its layers do not fit.
  """
  values = check.check(model)
  kinds = c_types.types(model, values)
  places = c_memory.allocate(model, values, keep)
  sizes = c_types.scratch(model, values) | places.sizes
  printed = [
    c_layers.Printer(values, kinds, places.offsets).layer(i, layer)
    for i, layer in enumerate(model.layers)
  ]
  fixed = [(_FIXED / name).read_text() for name in _PIECES]
  pieces = [
    _SOURCE_HEAD.format(
      header=HEADER, types=c_types.typedefs(kinds, sizes), **sizes
    ),
    *fixed,
    *(one.text for one in printed),
    _tail(model, values, places, keep, [one.call for one in printed]),
  ]
  header = _HEADER_TEXT.format(
    frames=model.input.frames,
    bins=model.input.bins,
    input_bits=model.input.bits,
    sample_rate=model.front_end.get('sample_rate', 0),
    classes=len(model.class_names),
    memory=_bytes(sizes, kinds),
    arrays=_ARRAYS.format(layers=len(model.layers)) if keep else '',
  )
  return {HEADER: header, SOURCE: '\n'.join(pieces)}


def write_sources(model: specs.Model, folder: pathlib.Path) -> None:
  """Writes `bnn_model.h` and `bnn_model.c`.

  Args:
    model: the network.
    folder: an existing folder.

  Raises:
    UserError: see `sources`.
  """
  for name, text in sources(model).items():
    write(folder / name, text)


def write_example(folder: pathlib.Path) -> None:
  """Writes `main.c`, which classifies a wav file.

  Args:
    folder: with the sources of the network and of the front end.
  """
  write(folder / 'main.c', (_FIXED / 'main.c').read_text())


def write(path: pathlib.Path, text: str) -> None:
  """Writes a file in the place of an earlier one."""
  temporary = path.with_name(f'.{path.name}.{os.getpid()}')
  temporary.write_text(text)
  os.replace(temporary, path)


def memory(model: specs.Model) -> int:
  """Bytes of static memory, `BNN_MEMORY`.

  Args:
    model: the network.
  """
  values = check.check(model)
  sizes = c_memory.allocate(model, values, keep=False).sizes
  return _bytes(
    c_types.scratch(model, values) | sizes, c_types.types(model, values)
  )


def _bytes(sizes: Mapping[str, int], kinds: c_types.Types) -> int:
  """Size of the struct `memory`, rounded up to what alignment may ask for."""
  units = 8 * sizes['units'] + 4 * sizes['channels']
  sums = 2 * c_types.bytes_of(kinds.sum) * sizes['outputs']
  streams = (
    c_types.bytes_of(kinds.result) * sizes['result']
    + c_types.bytes_of(kinds.stream) * sizes['stream']
  )
  halves = 2 * sizes['halves']
  rest = sizes['bits'] + sizes['operands'] + sizes['channels']
  return -(-(units + sums + streams + halves + rest + 4) // 8) * 8


def _tail(model, values, places, keep, calls) -> str:
  names = [f'    {c_text.string(name)},' for name in model.class_names]
  arrays = ''
  if keep:
    rows = [
      f'    memory.{values[layer.name].kind} + {places.offsets[layer.name]},'
      for layer in model.layers[:-1]
    ]
    head = f'const void *const bnn_arrays[{len(model.layers)}] = {{'
    widths = 'const uint8_t bnn_widths[2] = {sizeof(Result), sizeof(Stream)};'
    arrays = '\n'.join(['', head, *rows, '    NULL,', '};', '', widths, ''])
  return _SOURCE_TAIL.format(
    names='\n'.join(names), arrays=arrays, calls='\n'.join(calls)
  )
