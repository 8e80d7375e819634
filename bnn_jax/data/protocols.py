"""Rules by which papers test on twelve classes.

The same name, "12 classes", stands for different tests: how many clips are
unknown, how many are silent and what silence is. A published accuracy is
reproduced only by its own rule.

  official    of the unknown words and of silence as many as the mean of the
              commands; silence is cut from the background noise. (BC-ResNet,
              arXiv:2106.04140, whose test is the canonical archive.)
  hello_edge  a tenth of the commands each; silence is zeros, to which training
              alone adds background noise. (arXiv:1711.07128)
  tc_resnet   the same rule, run once on version 0.01. (arXiv:1904.03814)
  bifsmn      all unknown words, so that they are most of the test, and a tenth
              of all clips silent, which are zeros. (arXiv:2202.06483)

The first three draw unknown words at random; here the SHA-1 of their names
chooses. All split the speakers by the archive's lists, which are those of its
hash.
"""

from collections.abc import Collection

from bnn_jax import errors
from bnn_jax.data import labels

OFFICIAL = 'official'
NAMES = (OFFICIAL, 'hello_edge', 'tc_resnet', 'bifsmn')


def check(protocol: str, *, classes: int, source: str, test_dir: str) -> None:
  """Refuses a protocol where it says nothing.

  Args:
    protocol: one of `NAMES`.
    classes: 12 or 35.
    source: the data source, see `bnn_jax.data.sources`.
    test_dir: a canonical test archive, or ''.

  Raises:
    UserError: it does not exist, or does not fit the data.
  """
  if protocol not in NAMES:
    raise errors.UserError(
      f'data.protocol={protocol!r} does not exist; choose one of'
      f' {", ".join(NAMES)}.'
    )
  if protocol == OFFICIAL:
    return
  if classes != 12:
    raise errors.UserError(
      f'data.protocol={protocol} is a rule for 12 classes, not {classes}; set'
      ' data.classes to 12 or data.protocol to official.'
    )
  if source == 'tfds':
    raise errors.UserError(
      f'data.protocol={protocol} needs the whole archive; unpack it and set'
      ' data.source to folder, or data.protocol to official.'
    )
  if test_dir:
    raise errors.UserError(
      f'data.protocol={protocol} tests on the archive itself, not on'
      f' data.test_dir={test_dir}; leave that out, or set data.protocol to'
      ' official.'
    )


def counts(protocol: str, words: Collection[str]) -> tuple[int, int]:
  """How many clips of a split are unknown and silent.

  Args:
    protocol: one of `NAMES`.
    words: the word of every clip.

  Returns:
    The largest number of unknown words, and the number of silence clips.
  """
  commands = sum(word in labels.COMMANDS for word in words)
  match protocol:
    case 'hello_edge' | 'tc_resnet':
      tenth = -(-commands // 10)
      return tenth, tenth
    case 'bifsmn':
      return len(words) - commands, len(words) // 10
  mean = labels.mean_command_count(words)
  return mean, mean


def silence_is_noise(protocol: str) -> bool:
  """Whether silence is cut from the background noise, or zeros."""
  return protocol == OFFICIAL
