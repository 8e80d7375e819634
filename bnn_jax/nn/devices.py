"""Which devices computations run on where their operands do not say it."""

from typing import Any

import jax

_GPUS = ('cuda', 'rocm', 'gpu')


def backend() -> str:
  """'cpu', 'gpu' or 'tpu': of `jax.default_device`, else JAX's default."""
  # Its attributes are made at run time.
  config: Any = jax.config
  device = config.jax_default_device
  if device is None:
    return jax.default_backend()
  name = device if isinstance(device, str) else device.platform
  return 'gpu' if name in _GPUS else name
