/* Times bnn_run on random q: the best and the median of RUNS. */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bnn_model.h"

#define RUNS 5000

static uint8_t q[BNN_FRAMES * BNN_BINS];
static double times[RUNS];

static double microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
}

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(void) {
  int32_t logits[BNN_CLASSES];
  uint32_t state = 1;
  for (size_t i = 0; i < sizeof q; ++i) {
    state = state * 1664525 + 1013904223;
    q[i] = (uint8_t)(state >> (32 - BNN_INPUT_BITS));
  }
  for (int i = 0; i < RUNS; ++i) {
    const double start = microseconds();
    bnn_run(q, logits);
    times[i] = microseconds() - start;
  }
  qsort(times, RUNS, sizeof *times, compare);
  printf("best %.1f us, median %.1f us\n", times[0], times[RUNS / 2]);
  return 0;
}
