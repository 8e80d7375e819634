import pathlib
import re
import shutil
import struct
import subprocess

import numpy as np
import pytest

from bnn_jax import features
from bnn_jax.frontend import fixed_point
from bnn_jax.frontend import print_c
from bnn_jax.frontend import tables
from tests.frontend import signals

MAIN = pathlib.Path(__file__).with_name('main.c')
COMPILERS = [name for name in ('gcc', 'clang') if shutil.which(name)]
STRICT = ('-std=c99', '-Wall', '-Wextra', '-Wpedantic', '-Werror')
SANITIZE = ('-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all')
PLAIN = '-DFRONTEND_PLAIN'
# The option for each set of vectors, and its name in /proc/cpuinfo.
VECTORS = {'-msse4.1': 'sse4_1', '-mavx2': 'avx2', '-mavx512f': 'avx512f'}

FRONT_END = features.FrontEnd()
QUANTIZATION = features.Quantization(-13.5, -4)
OTHERS = [
  features.FrontEnd(sample_rate=8000, upper_hz=3800.0, mel_bins=20),
  features.FrontEnd(window_ms=32.0, hop_ms=40.0),
  features.FrontEnd(window_ms=128.0, mel_bins=64),
  features.FrontEnd(window_ms=60.0625, log_floor=1.0),
  features.FrontEnd(window_ms=2.0, mel_bins=6),
  features.FrontEnd(window_ms=4.0, mel_bins=8, lower_hz=0.0),
  features.FrontEnd(window_ms=12.0625, mel_bins=1, upper_hz=8000.0),
]

pytestmark = pytest.mark.skipif(
  not COMPILERS, reason='No C compiler: install gcc or clang to compare with C.'
)


def _compile(made, folder, options, compiler):
  print_c.write_sources(made, folder)
  program = folder / 'main'
  subprocess.run(
    [compiler, *STRICT, *options, f'-I{folder}', MAIN, folder / 'frontend.c',
     '-o', program],
    check=True,
  )
  return program


def _run(program, samples, mel_bins):
  clips, count = samples.shape
  output = subprocess.run(
    [program], input=struct.pack('<i', count) + samples.tobytes(), check=True,
    capture_output=True,
  ).stdout
  return np.frombuffer(output, np.uint8).reshape(clips, -1, mel_bins)


def _has(feature):
  info = pathlib.Path('/proc/cpuinfo')
  return info.exists() and re.search(rf'\b{feature}\b', info.read_text())


@pytest.mark.parametrize('compiler', COMPILERS)
@pytest.mark.parametrize('vectors', [PLAIN, *VECTORS])
@pytest.mark.parametrize('options', [('-O3',), SANITIZE])
def test_c_is_numpy(options, vectors, compiler, tmp_path):
  if vectors in VECTORS and not _has(VECTORS[vectors]):
    pytest.skip(f'The processor lacks {VECTORS[vectors]}.')
  made = tables.make_tables(FRONT_END, QUANTIZATION)
  program = _compile(made, tmp_path, (*options, vectors), compiler)
  for samples in (signals.speech_like(6), signals.extremes()):
    q = _run(program, samples, made.mel_bins)
    assert np.array_equal(q, fixed_point.compute(samples, made))


@pytest.mark.parametrize('front_end', OTHERS)
def test_c_is_numpy_for_other_settings(front_end, tmp_path):
  made = tables.make_tables(front_end, QUANTIZATION)
  options = ('-O1', '-march=native' if _has('avx2') else PLAIN)
  program = _compile(made, tmp_path, options, COMPILERS[0])
  samples = np.concatenate([signals.speech_like(4, 4000), signals.extremes()])
  q = _run(program, samples, made.mel_bins)
  assert np.array_equal(q, fixed_point.compute(samples, made))


@pytest.mark.parametrize('bits', [1, 5])
def test_c_is_numpy_for_fewer_bits(bits, tmp_path):
  quantization = features.Quantization(-12.0, 2 - bits, bits)
  made = tables.make_tables(FRONT_END, quantization)
  program = _compile(made, tmp_path, ('-O1',), COMPILERS[0])
  samples = signals.speech_like(4)
  q = _run(program, samples, made.mel_bins)
  assert np.array_equal(q, fixed_point.compute(samples, made))


def test_c_is_numpy_on_random_frames(tmp_path):
  made = tables.make_tables(FRONT_END, QUANTIZATION)
  program = _compile(made, tmp_path, ('-O2',), COMPILERS[0])
  rng = np.random.default_rng(0)
  scale = 2.0 ** rng.uniform(0, 16, (3000, 1))
  noise = rng.standard_normal((3000, 480)) * scale
  samples = np.clip(noise, -32768, 32767).astype(np.int16)
  q = _run(program, samples, made.mel_bins)
  assert np.array_equal(q, fixed_point.compute(samples, made))


# Every one of these must show in some q of the frames below.
MUTATIONS = {
  'real part': ('(int64_t)i * sine) >> 32', '(int64_t)i * sine + 1) >> 31'),
  'order of a stage': ('sub(wbi, wdi)', 'sub(wdi, wbi)'),
  'shift of a frame': ('shift = 15 -', 'shift = 0 *'),
  'mel weight': ('+ (all <<', '+ (up <<'),
  'logarithm': ('& 0x7fff', '& 0x3fff'),
  'rounding': ('FRONTEND_OFFSET) >> FRONTEND_SHIFT',
               'FRONTEND_OFFSET) / ((int64_t)1 << FRONTEND_SHIFT) + 1'),
  'floor': ('FRONTEND_FLOOR << (2 * shift)', 'FRONTEND_FLOOR << shift'),
  'largest': ('steps < FRONTEND_LARGEST', 'steps < 100'),
}


@pytest.mark.parametrize('name', MUTATIONS)
def test_a_changed_line_shows(name, tmp_path):
  made = tables.make_tables(FRONT_END, QUANTIZATION)
  print_c.write_sources(made, tmp_path)
  before, after = MUTATIONS[name]
  changed = 0
  for path in (tmp_path / 'frontend.c', tmp_path / 'frontend_vectors.h'):
    text = path.read_text()
    changed += text.count(before)
    path.write_text(text.replace(before, after))
  assert changed
  program = tmp_path / 'main'
  subprocess.run(
    [COMPILERS[0], '-std=c99', PLAIN, f'-I{tmp_path}', MAIN,
     tmp_path / 'frontend.c', '-o', program],
    check=True,
  )
  samples = signals.speech_like(3)
  q = _run(program, samples, made.mel_bins)
  assert not np.array_equal(q, fixed_point.compute(samples, made))


def test_the_header_holds_the_tables():
  made = tables.make_tables(FRONT_END, QUANTIZATION)
  header = print_c.print_tables(made)
  assert '#define FRONTEND_FLOOR UINT64_C(140737488)\n' in header
  assert max(map(len, header.splitlines())) <= 80
  arrays = {
    name: [int(number) for number in numbers.replace('\n', '').split(',')[:-1]]
    for name, numbers in re.findall(r'frontend_(\w+)\[\d+\] = {(.*?)}', header,
                                    re.DOTALL)
  }
  assert sorted(arrays) == [
    'factors', 'log2', 'mel_rise', 'mel_starts', 'split', 'window'
  ]
  assert arrays['window'][:240] == made.window[::2].tolist()
  assert arrays['window'][240:] == made.window[1::2].tolist()
  assert arrays['factors'][:24] == made.stages[0].ravel().tolist()
  assert len(arrays['factors']) == 6 * (4 + 16 + 64)
  assert arrays['mel_starts'] == made.mel_starts.tolist()


def test_sources_replace_those_before(tmp_path):
  for bits in (8, 4):
    quantization = features.Quantization(-13.5, -4, bits)
    made = tables.make_tables(FRONT_END, quantization)
    print_c.write_sources(made, tmp_path)
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    'frontend.c', 'frontend.h', 'frontend_tables.h', 'frontend_vectors.h'
  ]
  text = (tmp_path / 'frontend_tables.h').read_text()
  assert '#define FRONTEND_LARGEST 15\n' in text
