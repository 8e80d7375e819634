from bnn_jax.export import streaming_cost
from bnn_jax.jobs import export
from tests.export import networks
from tests.export import planes


def test_cost_of_a_frame():
  """Counted by hand."""
  found = streaming_cost.cost(networks.network())
  # Outputs times words, by the layers' rates 1/2 and 1/4.
  words = (8 * 10 + 8 * 6 + 8 * 1) / 2 + (12 * 2 + 24 * 3) / 4
  assert found.words == words
  between = (8 + 2 * 8 + 8 + 8) / 2 + (12 + 12 + 24 + 12 + 12 + 12) / 4
  assert found.additions == words + between


def test_memory_of_a_stream():
  """Counted by hand."""
  bits = (
    # Kernel 5 keeps 4 frames; kernel 3 with dilation 2 as many; kernel 4, 3.
    4 * 18, 4 * 8, 3 * 8,
    # A sum waits for its convolution, which looks two frames ahead.
    2 * 8 * 7,
    # The classifier's sums.
    12 * 32,
  )
  found = streaming_cost.cost(networks.network())
  assert found.memory == sum(bits) / 8 == 78


def test_it_is_told_with_an_export():
  assert export.describe(networks.network()).endswith(
    'in C, 592 bytes of memory; a frame of a stream costs 92 words and 133 '
    'additions, and 78 bytes are kept from one to the next'
  )
  assert export.describe(planes.network()).endswith(
    '; frame by frame not at all, as encode needs whole clips'
  )
