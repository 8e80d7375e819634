"""Runs an experiment as a program."""

from collections.abc import Callable
import sys
from typing import Any
from typing import NoReturn

from bnn_jax import errors


def run(main: Callable[[list[str]], Any]) -> NoReturn:
  """Runs it with the arguments of the command line, and ends.

  What is wrong with its input becomes one line and exit status 1.

  Args:
    main: takes the arguments and gives the exit status, None being 0.
  """
  try:
    sys.exit(main(sys.argv[1:]))
  except errors.UserError as error:
    raise SystemExit(f'error: {error}') from error
