"""Opens a split of a data set by name."""

import os
import pathlib

from bnn_jax import errors
from bnn_jax.data import folder
from bnn_jax.data import protocols
from bnn_jax.data import source
from bnn_jax.data import synthetic
from bnn_jax.data import tfds

NAMES = ('synthetic', 'folder', 'tfds')
# Whom what is made from a data set has to name.
ATTRIBUTIONS = {
  'synthetic': 'Speech synthesized by espeak-ng (https://espeak-ng.org).',
  'folder': (
    'Speech Commands by Pete Warden (arXiv:1804.03209), CC-BY 4.0, or another '
    'data set in its layout.'
  ),
  'tfds': 'Speech Commands by Pete Warden (arXiv:1804.03209), CC-BY 4.0.',
}


def open_split(
  name: str,
  split: str,
  *,
  classes: int,
  data_dir: str,
  test_dir: str = '',
  manual_dir: str = '',
  protocol: str = protocols.OFFICIAL,
  max_bad_share: float = 0.01,
  seed: int = 0,
  synthetic_speakers: int,
) -> source.Source:
  """Opens one split of a data set.

  Args:
    name: 'synthetic' (a spoken corpus made on first use), 'folder' (an
      unpacked Speech Commands archive) or 'tfds' (the data set of
      tensorflow-datasets, prepared on first use).
    split: 'training' ('fit' and 'dev' are parts of it, see `layout`),
      'validation', 'testing', or a further one of the data
      set; the synthetic corpus has 'unseen'.
    classes: 12 or 35.
    data_dir: the archive's folder; for 'synthetic' the folder in which the
      corpus is kept, where '' means `default_cache_dir()`; for 'tfds' that
      of tensorflow-datasets, where '' means its own default.
    test_dir: a canonical test archive that replaces the split 'testing'.
    manual_dir: for 'tfds' a folder of the official archives; '' downloads.
    protocol: of 12 classes, see `bnn_jax.data.protocols`.
    max_bad_share: the largest share of unusable clips to leave out.
    seed: of the synthetic corpus.
    synthetic_speakers: number of speakers of the synthetic corpus.

  Raises:
    UserError: an unknown name, split or protocol, a test archive or a folder
      of archives for a source that takes none, or data that cannot be used.
  """
  if name not in NAMES:
    raise errors.UserError(
      f"There is no data source '{name}'; set data.source to one of"
      f' {", ".join(NAMES)}.'
    )
  if test_dir and name != 'folder':
    raise errors.UserError(
      f'data.test_dir={test_dir} has no meaning for data.source={name}; leave'
      ' it out, or set data.source to folder.'
    )
  if manual_dir and name != 'tfds':
    raise errors.UserError(
      f'data.manual_dir={manual_dir} has no meaning for data.source={name};'
      ' leave it out, or set data.source to tfds.'
    )
  protocols.check(protocol, classes=classes, source=name, test_dir=test_dir)
  if name == 'tfds':
    return tfds.TfdsSource(
      data_dir, split, classes=classes, manual_dir=manual_dir
    )
  if name == 'synthetic':
    cache_dir = os.path.expanduser(data_dir) or str(default_cache_dir())
    corpus = synthetic.ensure_corpus(
      cache_dir, seed=seed, speakers=synthetic_speakers
    )
    data_dir = str(corpus)
  return folder.FolderSource(
    data_dir,
    split,
    classes=classes,
    test_dir=test_dir,
    max_bad_share=max_bad_share,
    protocol=protocol,
  )


def default_cache_dir() -> pathlib.Path:
  """Returns where made data is kept: `$XDG_CACHE_HOME` or ~/.cache."""
  base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  return pathlib.Path(base) / 'bnn_jax'
