"""The published methods by name."""

from collections.abc import Callable

import flax.linen as nn

from bnn_jax.models import bc_resnet
from bnn_jax.models import bifsmn
from bnn_jax.models import cnn_one_fstride4
from bnn_jax.models import cnn_trad_fpool3
from bnn_jax.models import crnn
from bnn_jax.models import dnn
from bnn_jax.models import ds_cnn
from bnn_jax.models import kwt
from bnn_jax.models import matchboxnet
from bnn_jax.models import mhatt_rnn
from bnn_jax.models import res
from bnn_jax.models import tc_resnet

# Each takes size, variant, classes and the settings of `variants.make`.
BUILDERS: dict[str, Callable[..., nn.Module]] = {
  'bc_resnet': bc_resnet.build,
  'bifsmn': bifsmn.build,
  'cnn_one_fstride4': cnn_one_fstride4.build,
  'cnn_trad_fpool3': cnn_trad_fpool3.build,
  'crnn': crnn.build,
  'dnn': dnn.build,
  'ds_cnn': ds_cnn.build,
  'kwt': kwt.build,
  'matchboxnet': matchboxnet.build,
  'mhatt_rnn': mhatt_rnn.build,
  'res': res.build,
  'tc_resnet': tc_resnet.build,
}
