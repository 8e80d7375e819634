"""The one exception that a user, not a programmer, is to act on."""


class UserError(ValueError):
  """Bad input: its message is one sentence that names the thing and a remedy.

  `bnn_jax.main` prints the message without a traceback and exits with 1.
  """
