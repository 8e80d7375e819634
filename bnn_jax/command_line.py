"""From a command line to flags, with one sentence for whatever is wrong."""

import pathlib
import sys

from absl import flags
import ml_collections
from ml_collections import config_flags

from bnn_jax import errors


def parse(argv: list[str]) -> list[str]:
  """Parses flags.

  Args:
    argv: the program and its arguments.

  Returns:
    The program and those arguments that are no flags.

  Raises:
    UserError: a flag, a configuration file or a key that does not exist, or a
      value that it does not take.
  """
  argv = _joined(argv)
  try:
    config = _config_alone(argv)
    for argument in argv:
      _check_override(config, argument)
    return flags.FLAGS(argv)
  except (flags.Error, OSError, ValueError) as error:
    # What a config file raises arrives with its traceback as its text.
    sentence = str(error).strip().splitlines()[-1].strip()
    sentence = sentence.removeprefix('ValueError: ')
    raise errors.UserError(sentence) from error


def _joined(argv: list[str]) -> list[str]:
  """The arguments with `--config FILE` written as `--config=FILE`."""
  joined: list[str] = []
  for argument in argv:
    if joined and joined[-1] in ('--config', '-config'):
      joined[-1] += f'={argument}'
    else:
      joined.append(argument)
  return joined


def _config_alone(argv: list[str]) -> ml_collections.ConfigDict | None:
  """The configuration before any --config.KEY=VALUE."""
  named = [a for a in argv if a.startswith(('--config=', '-config='))]
  if not named:
    return None
  path = named[-1].partition('=')[2].partition(':')[0]
  if not pathlib.Path(path).is_file():
    raise errors.UserError(
      f'config file {path!r} does not exist; name one, such as '
      '--config=configs/kws.py, and run in the root of the repository.'
    )
  _make_importable(path)
  try:
    config = load(argv[0], named[-1])
  except (flags.Error, OSError, ValueError):
    raise
  except Exception as error:
    # The file is a program, which may fail in any way.
    raise errors.UserError(
      f'config file {path!r} cannot be loaded '
      f'({type(error).__name__}: {" ".join(str(error).split())}); correct it, '
      'or name one such as configs/kws.py.'
    ) from error
  # Of a file that could not be read this raises the OSError.
  if not hasattr(config, 'to_dict'):
    raise errors.UserError(
      f'get_config of {path!r} returns no ConfigDict; see configs/kws.py.'
    )
  return config


def load(program: str, argument: str) -> ml_collections.ConfigDict:
  """What a file of configuration gives.

  Args:
    program: that would be told of it.
    argument: as --config=FILE:OPTIONS.

  Returns:
    The configuration.
  """
  alone = flags.FlagValues()
  holder = config_flags.DEFINE_config_file(
    'config', flag_values=alone, sys_argv=[argument]
  )
  alone([program, argument])
  return holder.value


def _make_importable(path: str) -> None:
  """Lets a config file import others of its configs/ from anywhere."""
  for folder in pathlib.Path(path).resolve().parents:
    if folder.name == 'configs':
      sys.path.insert(0, str(folder.parent))
      return


def _check_override(
  config: ml_collections.ConfigDict | None, argument: str
) -> None:
  """Refuses --config.KEY=VALUE whose key the configuration does not have."""
  name = argument.lstrip('-').partition('=')[0]
  if config is None or not name.startswith('config.'):
    return
  for key in name.split('.')[1:]:
    valid: list[str] = list(getattr(config, 'keys', list)())
    if key not in valid:
      raise errors.UserError(
        f'--{name} does not exist in the configuration; in the place of {key} '
        f'there are: {", ".join(valid) or "no keys"}.'
      )
    config = config[key]
