"""Programs of the hardware flow that Python packages do not bring."""

from collections.abc import Sequence
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from bnn_jax import errors
from bnn_jax.accelerator import fields

INSTALL = './launch.sh rtl-tools'
VERILATOR = ('verilator', 'make', 'g++')


def missing(programs: Sequence[str] = VERILATOR) -> str | None:
  """What to install, in a sentence; None where all programs are there."""
  absent = [name for name in programs if shutil.which(name) is None]
  if not absent:
    return None
  return (
    f'{", ".join(absent)} cannot be found; install the tools of the hardware '
    f'flow with {INSTALL}.'
  )


def require(programs: Sequence[str] = VERILATOR) -> None:
  """Raises a UserError where a program is missing."""
  sentence = missing(programs)
  if sentence is not None:
    raise errors.UserError(sentence)


def run(
  command: Sequence[str], folder: pathlib.Path,
  remedy: str = f'install its tested release with {INSTALL}',
) -> str:
  """Runs a program in a folder.

  Args:
    command: its name and arguments.
    folder: where it runs.
    remedy: what helps where it fails.

  Returns:
    What it writes to its output.

  Raises:
    UserError: it fails; the message has the last of what it said.
  """
  done = subprocess.run(
    command, cwd=folder, capture_output=True, text=True, check=False
  )
  if done.returncode:
    said = (done.stderr or done.stdout).strip()[-600:]
    raise errors.UserError(
      f'{command[0]} failed with status {done.returncode}; {remedy}. It said: '
      f'{said}'
    )
  return done.stdout


def build(
  top: str,
  parameters: dict[str, int],
  bench: pathlib.Path,
  sources: pathlib.Path = fields.RTL,
) -> pathlib.Path:
  """Compiles a module with its test bench, or finds it compiled already.

  Args:
    top: name of the module.
    parameters: of the module.
    bench: the C++ with `main`; it includes V{top}.h.
    sources: folder of the Verilog.

  Returns:
    The program, in the user's cache under the hash of all that it is made of.

  Raises:
    UserError: a tool is missing or fails.
  """
  require()
  flags = [f'-G{name}={value}' for name, value in sorted(parameters.items())]
  content = [
    path.read_bytes()
    for path in [*sorted(sources.glob('*.v*')), bench]
  ]
  version = run(['verilator', '--version'], sources)
  key = hashlib.sha256(
    b'\0'.join([top.encode(), version.encode(), repr(flags).encode(), *content])
  ).hexdigest()[:24]
  cache = cache_folder()
  program = cache / f'{top}-{key}'
  if program.exists():
    return program
  try:
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
      run(
        ['verilator', '--cc', '--exe', '--build', '-O3', '-j', '1',
         '--x-assign', 'fast', '--x-initial', 'fast', '--noassert',
         '-Wno-fatal', '-Wno-lint', '-Wno-style', '-CFLAGS', '-O2',
         '--top-module', top, '--prefix', f'V{top}', *flags, f'-I{sources}',
         '-Mdir', folder, '-o', 'program', str(sources / f'{top}.v'),
         str(bench)],
        sources,
      )
      (pathlib.Path(folder) / 'program').rename(program)
  except OSError as error:
    raise errors.UserError(
      f'{cache} could not be written ({error.strerror}); free some space or '
      'name another folder in XDG_CACHE_HOME.'
    ) from error
  return program


def cache_folder() -> pathlib.Path:
  """Where programs are kept: under `$XDG_CACHE_HOME` or ~/.cache."""
  base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  return pathlib.Path(base) / 'bnn_jax' / 'rtl'
