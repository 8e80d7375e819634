"""The default data set: Speech Commands spoken by invented speakers.

The words of Speech Commands v0.02 in its folder layout, spoken by espeak-ng
with many accents, voices, rooms and noises: made on the spot, without any
download, in under a minute. It shows that everything works; no claim
about methods can rest on it.
"""

from collections.abc import Callable
from collections.abc import Iterator
import concurrent.futures
from concurrent.futures import process
import contextlib
import fcntl
import functools
import multiprocessing
from multiprocessing import connection
import os
import pathlib
import shutil
import tempfile
import threading

import numpy as np

from bnn_jax import errors
from bnn_jax.data import labels
from bnn_jax.data import source
from bnn_jax.data import speakers as speakers_lib
from bnn_jax.data import wav

# Part of the folder's name; to be raised with any change of the recipe.
VERSION = 2
MIN_SPEAKERS = 3

_BACKGROUND_SAMPLES = 60 * source.SAMPLE_RATE
_NAMES_STREAM = 2
# Below this many speakers a process, starting it costs more than it saves.
_SPEAKERS_PER_WORKER = 40


def ensure_corpus(
  cache_dir: str,
  *,
  seed: int,
  speakers: int,
  workers: int | None = None,
) -> pathlib.Path:
  """Returns the folder of the synthetic corpus, made if it is not there.

  The corpus depends on seed, number of speakers and `VERSION` alone. Two
  processes may call this at once: one makes the corpus, the other waits.
  An interrupted call leaves nothing that a later one takes for a corpus.

  Layout: `<word>/<speaker>_nohash_<take>.wav`, `_background_noise_/*.wav`,
  `validation_list.txt` and `testing_list.txt` by the official hash of the
  speaker, and `unseen_list.txt`, a second test set whose accents and voices
  occur nowhere else. Training is what no list names.

  Args:
    cache_dir: folder of the corpora; it is made if missing.
    seed: any number >= 0.
    speakers: speakers of the first three splits, at least `MIN_SPEAKERS`; the
      unseen split has some more.
    workers: processes that synthesize; by default as many as pay off.

  Raises:
    UserError: an argument is out of range, the folder cannot be written or is
      full, or the workers die.
  """
  _check(seed, speakers)
  cache = pathlib.Path(cache_dir).expanduser()
  folder = cache / f'synthetic-v{VERSION}-seed{seed}-{speakers}'
  if folder.is_dir():
    return folder
  try:
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(folder.with_name(folder.name + '.lock')):
      if not folder.is_dir():
        _make(folder, seed, speakers, workers)
  except OSError as error:
    raise errors.UserError(
      f'The synthetic data set cannot be written to {cache}'
      f' ({error.strerror}); free some space or set data.data_dir to another'
      ' folder.'
    ) from error
  except process.BrokenProcessPool as error:
    raise errors.UserError(
      'The processes that synthesize speech died; free some memory, and see'
      ' that a script of your own does its work under'
      " `if __name__ == '__main__'`."
    ) from error
  return folder


def cast(*, seed: int, speakers: int) -> list[speakers_lib.Speaker]:
  """Returns everyone who speaks in a corpus.

  One speaker in ten is of the validation split and one in ten of the testing
  split, by names chosen to hash there, so that no split is ever empty. Unseen
  speakers hash to testing: whoever splits by hash does not train on them.

  Args:
    seed: of the corpus.
    speakers: number of the speakers that are not unseen.
  """
  rng = np.random.default_rng((seed, _NAMES_STREAM))
  unseen = max(2, round(speakers * 2 / 15))
  splits = {1: 'validation', 2: 'testing'}
  wanted = [splits.get(i % 10, 'training') for i in range(speakers)]
  wanted += ['testing'] * unseen
  names: list[str] = []
  while len(names) < len(wanted):
    name = f'{rng.integers(2**32):08x}'
    split = labels.which_split(f'{name}_nohash_0.wav')
    if split == wanted[len(names)] and name not in names:
      names.append(name)
  return [
    speakers_lib.Speaker(number, name, unseen=number >= speakers)
    for number, name in enumerate(names)
  ]


def _check(seed: int, speakers: int) -> None:
  if seed < 0:
    raise errors.UserError(
      f'The seed of the synthetic data set is {seed}; set it to 0 or more.'
    )
  if speakers < MIN_SPEAKERS:
    raise errors.UserError(
      f'The synthetic data set has {speakers} speakers, too few for three'
      f' splits; set data.synthetic_speakers to {MIN_SPEAKERS} or more.'
    )


@contextlib.contextmanager
def _lock(path: pathlib.Path) -> Iterator[None]:
  """Waits until no other process holds the lock, then holds it.

  Raises:
    RuntimeError: the process that started this one holds the lock. So it is
      with a worker that runs a main script without a guard from the top, and
      each would wait for the other.
  """
  with open(path, 'a+') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.seek(0)
      if file.read() == str(os.getppid()):
        raise RuntimeError(
          f'{path.stem} is being made by the process that started this one'
        ) from None
      fcntl.flock(file, fcntl.LOCK_EX)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    yield


def _make(
  folder: pathlib.Path, seed: int, speakers: int, workers: int | None
) -> None:
  """Makes the corpus beside its place and moves it there when it is whole."""
  prefix = f'{folder.name}.partial-'
  # The lock is held, so nobody else is at work in these.
  for abandoned in folder.parent.glob(f'{prefix}*'):
    shutil.rmtree(abandoned, ignore_errors=True)
  partial = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
  try:
    _write(partial, seed, speakers, workers)
    partial.chmod(0o755)
    partial.rename(folder)
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def _write(
  folder: pathlib.Path, seed: int, speakers: int, workers: int | None
) -> None:
  """Writes the whole corpus to an empty folder."""
  for name in (*labels.WORDS, '_background_noise_'):
    (folder / name).mkdir()
  people = cast(seed=seed, speakers=speakers)
  jobs: list[Callable[[], None]] = [
    functools.partial(_write_background, name, folder=folder, seed=seed)
    for name in speakers_lib.BACKGROUND
  ]
  jobs += [
    functools.partial(speakers_lib.record, person, folder=folder, seed=seed)
    for person in people
  ]
  if workers is None:
    processors = os.cpu_count() or 1
    workers = min(processors, -(-len(people) // _SPEAKERS_PER_WORKER))
  _run(jobs, workers)
  _write_lists(folder, people)


def _run(jobs: list[Callable[[], None]], workers: int) -> None:
  if workers <= 1:
    for job in jobs:
      job()
    return
  with concurrent.futures.ProcessPoolExecutor(
    workers,
    # A fork of a process that has JAX loaded may hang.
    mp_context=multiprocessing.get_context('spawn'),
    initializer=_die_with_parent,
  ) as pool:
    running = [pool.submit(job) for job in jobs]
    try:
      for future in running:
        future.result()
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise


def _die_with_parent() -> None:
  """Ends this worker when the process that started it is killed."""
  parent = multiprocessing.parent_process()
  assert parent is not None

  def wait() -> None:
    connection.wait([parent.sentinel])
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()


def _write_background(name: str, *, folder: pathlib.Path, seed: int) -> None:
  noise = speakers_lib.background(name, samples=_BACKGROUND_SAMPLES, seed=seed)
  wav.write(folder / '_background_noise_' / f'{name}.wav', noise)


def _write_lists(
  folder: pathlib.Path, people: list[speakers_lib.Speaker]
) -> None:
  lists: dict[str, list[str]] = {
    'validation': [],
    'testing': [],
    'unseen': [],
    'training': [],
  }
  for person in people:
    names = speakers_lib.clip_names(person)
    split = 'unseen' if person.unseen else labels.which_split(names[0])
    lists[split] += names
  del lists['training']
  for split, names in lists.items():
    text = ''.join(f'{name}\n' for name in sorted(names))
    (folder / f'{split}_list.txt').write_text(text)
