/* A libFuzzer harness around the C code of an export: the bytes as a wav file,
 * from which `main.c` reads samples, then as the integers that a clip enters
 * as, then as samples. `experiments/fuzz_c.sh` builds it. */
#define _POSIX_C_SOURCE 200809L
#define main classify
#include "main.c"
#undef main

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_class(void) {
  int32_t logits[BNN_CLASSES];
  bnn_run(q, logits);
  if ((unsigned)bnn_argmax(logits) >= BNN_CLASSES) {
    __builtin_trap();
  }
}

static void run_samples(void) {
  if (frontend_clip(samples, SAMPLES, q) != BNN_FRAMES) {
    __builtin_trap();
  }
  check_class();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size) {
    return 0;
  }
  memset(samples, 0, sizeof samples);
  FILE *file = fmemopen((void *)data, size, "rb");
  if (file) {
    const char *problem = read_wav(file);
    fclose(file);
    if (!problem) {
      run_samples();
    }
  }
  for (size_t i = 0; i < sizeof q; ++i) {
    q[i] = (uint8_t)(data[i % size] & ((1u << BNN_INPUT_BITS) - 1));
  }
  check_class();
  for (size_t i = 0; i < SAMPLES; ++i) {
    const size_t at = 2 * i % size;
    samples[i] = (int16_t)(data[at] << 8 | data[(at + 1) % size]);
  }
  run_samples();
  return 0;
}
