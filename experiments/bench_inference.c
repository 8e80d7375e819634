/* A network's C source with what bench_inference.py calls in it. The network
 * and the front end of its folder are compiled with the same options;
 * BENCH_CONVOLUTIONS calls the functions of its convolutions.
 */
#include "bnn_model.c"
#include "frontend.h"

#if LANES
#define BENCH_BITS (8 * LANES)
typedef Bytes Vector;
#define bench_count(v) count_bits(v)
#define bench_xor(a, b) unequal(a, b)
#define bench_add(a, b) add_bytes(a, b)
#define bench_load(p) load_bytes(p)
#else
#define BENCH_BITS 64
typedef uint64_t Vector;
#define bench_count(v) (uint64_t)popcount(v)
#define bench_xor(a, b) ((a) ^ (b))
#define bench_add(a, b) ((a) + (b))
#define bench_load(p) *(p)
#endif

/* Vectors counted side by side, which hides how long one count takes. */
#define BENCH_BESIDE 8

static uint8_t bench_q[BNN_FRAMES * BNN_BINS];
static volatile uint64_t bench_seed[BENCH_BESIDE + 8] = {1, 2, 3, 4, 5, 6};
static volatile uint8_t bench_sink;

/* From samples to logits. */
void bench_clip(const int16_t *samples, long count, int32_t *logits) {
  frontend_clip(samples, count, bench_q);
  bnn_run(bench_q, logits);
}

/* All convolutions, on whatever the memory holds. */
void bench_convolutions(void) {
  BENCH_CONVOLUTIONS
}

#define BENCH_ROUNDS(step)                                     \
  uint64_t start[BENCH_BESIDE + 8];                            \
  Vector v[BENCH_BESIDE], other;                               \
  for (int i = 0; i < BENCH_BESIDE + 8; ++i) {                 \
    start[i] = bench_seed[i];                                  \
  }                                                            \
  other = bench_load(start + BENCH_BESIDE);                    \
  for (int i = 0; i < BENCH_BESIDE; ++i) {                     \
    v[i] = bench_load(start + i);                              \
  }                                                            \
  for (int32_t round = 0; round < rounds; ++round) {           \
    for (int i = 0; i < BENCH_BESIDE; ++i) {                   \
      v[i] = step;                                             \
    }                                                          \
  }                                                            \
  for (int i = 0; i < BENCH_BESIDE; ++i) {                     \
    bench_sink = *(const uint8_t *)&v[i];                      \
  }                                                            \
  return (int64_t)rounds * BENCH_BESIDE * BENCH_BITS;

/* Counts bits in registers, with the instructions of the convolutions.
 * Returns how many bits.
 */
int64_t bench_popcount(int32_t rounds) {
  BENCH_ROUNDS(bench_count(v[i]))
}

/* The same with what a product and a sum need besides. */
int64_t bench_products(int32_t rounds) {
  BENCH_ROUNDS(bench_add(bench_count(bench_xor(v[i], other)), v[i]))
}
