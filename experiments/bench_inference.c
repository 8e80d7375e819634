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
#define bench_load(p) load_bytes(p)
#elif defined(__POPCNT__) && !defined(BNN_PLAIN)
#define BENCH_BITS 64
typedef uint64_t Vector;
#define bench_count(v) (uint64_t)__builtin_popcountll(v)
#define bench_load(p) *(p)
#else
#define BENCH_BITS 64
typedef uint64_t Vector;
#define bench_count(v) (uint64_t)popcount(v)
#define bench_load(p) *(p)
#endif

/* Vectors counted side by side, which hides how long one count takes. */
#define BENCH_BESIDE 8

static uint8_t bench_q[BNN_FRAMES * BNN_BINS];
static volatile uint64_t bench_seed[8] = {1, 2, 3, 4, 5, 6, 7, 8};
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

/* Counts bits in registers, with the instructions of the convolutions.
 * Returns how many bits.
 */
int64_t bench_popcount(int32_t rounds) {
  uint64_t start[8];
  Vector v[BENCH_BESIDE];
  for (int i = 0; i < 8; ++i) {
    start[i] = bench_seed[i];
  }
  for (int i = 0; i < BENCH_BESIDE; ++i) {
    v[i] = bench_load(start);
  }
  for (int32_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < BENCH_BESIDE; ++i) {
      v[i] = bench_count(v[i]);
    }
  }
  for (int i = 0; i < BENCH_BESIDE; ++i) {
    bench_sink = *(const uint8_t *)&v[i];
  }
  return (int64_t)rounds * BENCH_BESIDE * BENCH_BITS;
}
