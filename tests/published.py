"""The published methods in sizes that compile in a second."""

import contextlib
import importlib

from bnn_jax.models import bc_resnet
from bnn_jax.models import bifsmn
from bnn_jax.models import cnn_one_fstride4
from bnn_jax.models import cnn_trad_fpool3
from bnn_jax.models import crnn
from bnn_jax.models import ds_cnn
from bnn_jax.models import kwt
from bnn_jax.models import matchboxnet
from bnn_jax.models import mhatt_rnn
from bnn_jax.models import res

# By network, in the place of each of its sizes.
TINY = {
  'bc_resnet': 8,
  'bifsmn': bifsmn.Size(True, (3, 4), 6, 8, 1),
  'cnn_one_fstride4': cnn_one_fstride4.Size(4, 5, (6,)),
  'cnn_trad_fpool3': cnn_trad_fpool3.Size(4, 5, 6),
  'crnn': crnn.Size(4, (2, 2), 5, 6),
  'dnn': (6, 5),
  'ds_cnn': ds_cnn.Size(6, (2, 1), (2,)),
  'kwt': kwt.Size(8, 12, 2, 1),
  'matchboxnet': matchboxnet.Size(2, 4, 6, (3, 3, 3)),
  'mhatt_rnn': mhatt_rnn.Size((6, 4), (3, 1), 4, 2),
  'res': res.Size(5, 3, pool=(4, 3)),
  'tc_resnet': (4, 6),
}


def module(name):
  return importlib.import_module(f'bnn_jax.models.{name}')


def config(name, string=''):
  return importlib.import_module(f'configs.baselines.{name}').get_config(string)


@contextlib.contextmanager
def tiny_sizes(monkeypatch):
  """All sizes of all methods are tiny in here."""
  with monkeypatch.context() as patch:
    for name, size in TINY.items():
      sizes = module(name).SIZES
      for key in sizes:
        patch.setitem(sizes, key, size)
    v1 = TINY['bifsmn']._replace(learned=False)
    patch.setitem(bifsmn.SIZES, 'v1', v1)
    stages = (bc_resnet.Stage(8, 2, 4, 1),)
    patch.setattr(bc_resnet, '_STAGES', stages)
    yield
