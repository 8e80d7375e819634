"""The digest of an export, computed as docs/export.md says."""

import hashlib
import json
import pathlib
from typing import Any

import numpy as np


def sealed(model: dict[str, Any], folder: pathlib.Path) -> dict[str, Any]:
  """A document with its digest.

  Args:
    model: the document, with any digest or none.
    folder: where its weights are.
  """
  fields = {name: model[name] for name in model if name != 'digest'}
  text = json.dumps(fields, sort_keys=True, separators=(',', ':'))
  with np.load(folder / 'weights.npz') as archive:
    content = text.encode('ascii') + archive['data'].tobytes()
  return fields | {'digest': hashlib.sha256(content).hexdigest()}
