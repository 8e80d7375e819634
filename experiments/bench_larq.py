"""One step of training of the same binary net, here and in larq.

  python -m experiments.bench_larq --json FILE

Run by bench_larq.sh, which makes the environment. The net has six blocks of
sign, binary convolution (64 channels, kernel 3) and batch normalization over
98 frames, a mean over time and a dense layer; batch 100, SGD. A step moves the
statistics of batch normalization, clips latent weights to [-1, 1] and returns
its loss. larq sums exactly.
"""

import argparse
import functools
import pathlib
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax.nn import accumulator
from bnn_jax.nn import binarize
from bnn_jax.nn.kernels import choice
from experiments import bench_machine

BATCH, FRAMES, CHANNELS, BLOCKS, CLASSES = 100, 98, 64, 6, 12
RATE, MOMENTUM, EPSILON, ROUNDS = 0.01, 0.99, 1e-3, 15
REGISTERS = {
  'ours exact': ('exact', 64), 'ours wrap': ('wrap', 64),
  'ours saturate 64': ('saturate', 64), 'ours saturate 1': ('saturate', 1),
}


def initial(key: jax.Array) -> tuple[dict[str, jax.Array], ...]:
  """The parameters and the moving statistics, by name."""
  keys = jax.random.split(key, BLOCKS + 1)
  shape = 3, CHANNELS, CHANNELS
  params = {
    f'latent{i}': jax.random.uniform(keys[i], shape, minval=-0.1, maxval=0.1)
    for i in range(BLOCKS)
  }
  params |= {f'beta{i}': jnp.zeros(CHANNELS) for i in range(BLOCKS)}
  params |= {f'gamma{i}': jnp.ones(CHANNELS) for i in range(BLOCKS)}
  dense = 0.1 * jax.random.normal(keys[-1], (CHANNELS, CLASSES))
  moving = {f'mean{i}': jnp.zeros(CHANNELS) for i in range(BLOCKS)}
  moving |= {f'var{i}': jnp.ones(CHANNELS) for i in range(BLOCKS)}
  return params | {'dense': dense}, moving


def loss_of(params, x, labels, register) -> tuple[jax.Array, dict[str, Any]]:
  """Cross entropy of the net with `register` in its convolutions.

  Args:
    params: see `initial`.
    x: `[B, T, C]` float32.
    labels: `[B]`.
    register: of the convolutions.

  Returns:
    The loss, and the batch's statistics by the names of the moving ones.
  """
  seen = {}
  for i in range(BLOCKS):
    x = binarize.sign(x, 'hard_tanh')
    w = binarize.sign(params[f'latent{i}'], 'hard_tanh')
    a = accumulator.conv(x, w, register)
    x, seen[f'mean{i}'], seen[f'var{i}'] = normalize(
      a, params[f'gamma{i}'], params[f'beta{i}']
    )
  logits = jnp.mean(x, 1) @ params['dense']
  chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
  return -jnp.mean(chosen), seen


@jax.custom_vjp
def normalize(
  a: jax.Array, gamma: jax.Array, beta: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Batch normalization with written-out derivatives, as larq's kernel has.

  Args:
    a: `[B, T, C]`.
    gamma: `[C]` factors.
    beta: `[C]` offsets.

  Returns:
    What is normalized; mean and variance `[C]`, which have no derivatives.
  """
  return _normalize(a, gamma, beta)[0]


def _normalize(a, gamma, beta):
  mean = jnp.mean(a, (0, 1))
  var = jnp.mean(jnp.square(a), (0, 1)) - jnp.square(mean)
  rstd = jax.lax.rsqrt(var + EPSILON)
  scale = gamma * rstd
  return (a * scale + (beta - mean * scale), mean, var), (a, mean, rstd, gamma)


def _normalize_backward(saved, cotangents):
  a, mean, rstd, gamma = saved
  dy, n = cotangents[0], a.shape[0] * a.shape[1]
  dbeta = jnp.sum(dy, (0, 1))
  dgamma = (jnp.sum(dy * a, (0, 1)) - mean * dbeta) * rstd
  scale = gamma * rstd
  slope = -scale * rstd * dgamma / n
  offset = scale * dbeta / n + slope * mean
  return dy * scale + (a * slope - offset), dgamma, dbeta


normalize.defvjp(_normalize, _normalize_backward)


def register_of(mode: str, simd: int) -> accumulator.Accumulator:
  """The registers of one kind of step."""
  return accumulator.Accumulator(8, mode, simd)


def step_of(mode: str, simd: int, x, labels, params, moving):
  """Parameters, moving statistics and loss after one step."""
  (loss, seen), gradients = jax.value_and_grad(loss_of, has_aux=True)(
    params, x, labels, register_of(mode, simd)
  )
  params = {
    name: _moved(name, value, gradients[name])
    for name, value in params.items()
  }
  moving = jax.tree.map(
    lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new, moving, seen
  )
  return params, moving, loss


def our_step(mode: str, simd: int, x, labels):
  """A function without arguments that makes one step and gives its loss."""
  step = jax.jit(functools.partial(step_of, mode, simd, x, labels))
  state = initial(jax.random.key(0))

  def run():
    nonlocal state
    *state, loss = jax.block_until_ready(step(*state))
    return float(loss)

  return run


def _moved(name: str, value: jax.Array, gradient: jax.Array) -> jax.Array:
  """A parameter after a step."""
  value = value - RATE * gradient
  return jnp.clip(value, -1, 1) if name.startswith('latent') else value


def larq_step(x, labels):
  """The same in larq: constraints clip, layers keep statistics."""
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
    layers.append(
      tf_keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON)
    )
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

  return lambda: float(step().numpy())


def main() -> None:
  """Prints medians and their ratios to larq's, and writes the file."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--json', type=pathlib.Path, help='file to write')
  args = parser.parse_args()
  print(choice.describe())
  random = np.random.default_rng(0)
  x = jnp.asarray(random.standard_normal((BATCH, FRAMES, CHANNELS)),
                  jnp.float32)
  labels = jnp.asarray(random.integers(0, CLASSES, BATCH))
  runs = {'larq': larq_step(x, labels)}
  for name, (mode, simd) in REGISTERS.items():
    runs[name] = our_step(mode, simd, x, labels)
  rows = _measure(runs)
  for row in rows:
    print(f'{row["name"]:<18} {row["ms"]:8.1f} ms  ratio {row["ratio"]:.3f}')
  if args.json:
    bench_machine.write(
      args.json, {'machine': bench_machine.machine(), 'rows': rows}
    )


def _measure(runs) -> list[dict[str, Any]]:
  """Medians of functions that are run in turn, the first being the base."""
  seconds: dict[str, list[float]] = {name: [] for name in runs}
  for round_ in range(ROUNDS + 2):
    for name, run in runs.items():
      begin = time.perf_counter()
      run()
      if round_ > 1:
        seconds[name].append(time.perf_counter() - begin)
  medians = {
    name: statistics.median(values) for name, values in seconds.items()
  }
  base = next(iter(medians.values()))
  return [
    {'name': name, 'ms': 1e3 * middle, 'ratio': middle / base}
    for name, middle in medians.items()
  ]


if __name__ == '__main__':
  main()
