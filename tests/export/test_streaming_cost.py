from bnn_jax.export import streaming_cost
from tests.export import networks


def test_cost_of_a_frame():
  """Counted by hand."""
  found = streaming_cost.cost(networks.network())
  # Outputs times words, by the layers' rates 1/2 and 1/4.
  words = (8 * 10 + 8 * 6 + 8 * 1) / 2 + (12 * 2 + 24 * 3) / 4
  assert found.words == words
  between = (8 + 2 * 8 + 8 + 8) / 2 + (12 + 12 + 24 + 12 + 12 + 12) / 4
  assert found.additions == words + between
