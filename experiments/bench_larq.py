"""One step of training of the same binary net, here and in larq.

Run by bench_larq.sh, which makes the environment. The net has six blocks of
sign, binary convolution (64 channels, kernel 3) and batch normalization over
98 frames, a mean over time and a dense layer; batch 100, SGD. larq sums
exactly.
"""

import functools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import accumulator
from bnn_jax.nn import binarize

BATCH, FRAMES, CHANNELS, BLOCKS, CLASSES = 100, 98, 64, 6, 12
RATE, ROUNDS = 0.01, 15
REGISTERS = {
  'ours exact': ('exact', 64), 'ours wrap': ('wrap', 64),
  'ours saturate 64': ('saturate', 64), 'ours saturate 1': ('saturate', 1),
}


def initial(key: jax.Array) -> dict[str, jax.Array]:
  """The parameters, by name."""
  keys = jax.random.split(key, BLOCKS + 1)
  shape = 3, CHANNELS, CHANNELS
  params = {
    f'latent{i}': jax.random.uniform(keys[i], shape, minval=-0.1, maxval=0.1)
    for i in range(BLOCKS)
  }
  params |= {f'beta{i}': jnp.zeros(CHANNELS) for i in range(BLOCKS)}
  params |= {f'gamma{i}': jnp.ones(CHANNELS) for i in range(BLOCKS)}
  dense = 0.1 * jax.random.normal(keys[-1], (CHANNELS, CLASSES))
  return params | {'dense': dense}


def loss_of(params, x, labels, register) -> jax.Array:
  """Cross entropy of the net with `register` in its convolutions."""
  for i in range(BLOCKS):
    x = binarize.sign(x, 'hard_tanh')
    w = binarize.sign(params[f'latent{i}'], 'hard_tanh')
    a = jax.lax.optimization_barrier(accumulator.conv(x, w, register))
    mean, var = jnp.mean(a, (0, 1)), jnp.var(a, (0, 1))
    x = (a - mean) * jax.lax.rsqrt(var + 1e-3) * params[f'gamma{i}']
    x = jax.lax.optimization_barrier(x + params[f'beta{i}'])
  logits = jnp.mean(x, 1) @ params['dense']
  chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
  return -jnp.mean(chosen)


def our_step(mode: str, simd: int, x, labels):
  """A function without arguments that makes one step."""
  register = accumulator.Accumulator(8, mode, simd)

  @functools.partial(
    jax.jit,
    compiler_options={'xla_disable_hlo_passes': 'cse_barrier_expander'},
  )
  def step(params):
    gradients = jax.grad(loss_of)(params, x, labels, register)
    return jax.tree.map(lambda p, g: p - RATE * g, params, gradients)

  state = [initial(jax.random.key(0))]

  def run():
    state[0] = jax.block_until_ready(step(state[0]))

  return run


def larq_step(x, labels):
  """The same in larq."""
  import larq
  import tensorflow as tf
  import tf_keras

  tf.config.threading.set_intra_op_parallelism_threads(1)
  layers = [tf_keras.layers.Input((FRAMES, CHANNELS))]
  for _ in range(BLOCKS):
    layers.append(larq.layers.QuantConv1D(
      CHANNELS, 3, padding='same', pad_values=-1.0, use_bias=False,
      input_quantizer='ste_sign', kernel_quantizer='ste_sign',
      kernel_constraint='weight_clip',
    ))
    layers.append(tf_keras.layers.BatchNormalization())
  layers += [tf_keras.layers.GlobalAveragePooling1D(),
             tf_keras.layers.Dense(CLASSES, use_bias=False)]
  model = tf_keras.Sequential(layers)
  optimizer = tf_keras.optimizers.SGD(RATE)
  entropy = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  x, labels = tf.constant(np.asarray(x)), tf.constant(np.asarray(labels))

  @tf.function
  def step():
    with tf.GradientTape() as tape:
      loss = entropy(labels, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(
      zip(gradients, model.trainable_variables, strict=True)
    )
    return loss

  return lambda: step().numpy()


def main() -> None:
  """Prints medians and their ratios to larq's."""
  random = np.random.default_rng(0)
  x = jnp.asarray(random.standard_normal((BATCH, FRAMES, CHANNELS)),
                  jnp.float32)
  labels = jnp.asarray(random.integers(0, CLASSES, BATCH))
  runs = {'larq': larq_step(x, labels)}
  for name, (mode, simd) in REGISTERS.items():
    runs[name] = our_step(mode, simd, x, labels)
  seconds: dict[str, list[float]] = {name: [] for name in runs}
  for round_ in range(ROUNDS + 2):
    for name, run in runs.items():
      begin = time.perf_counter()
      run()
      if round_ > 1:
        seconds[name].append(time.perf_counter() - begin)
  base = statistics.median(seconds['larq'])
  for name, values in seconds.items():
    middle = statistics.median(values)
    print(f'{name:<18} {1e3 * middle:8.1f} ms  ratio {middle / base:.3f}')


if __name__ == '__main__':
  main()
