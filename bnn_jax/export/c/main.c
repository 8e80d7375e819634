/* Classifies a wav file of 16-bit PCM and one channel, at the sample rate of
 * the model:
 *
 *   cc -std=c99 -O3 -march=native *.c -o classify
 *   ./classify clip.wav
 *
 * Prints the class and all logits. Shorter clips are filled up with silence, of
 * longer ones the beginning counts.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bnn_model.h"
#include "frontend.h"

#define SAMPLES (FRONTEND_WINDOW + (BNN_FRAMES - 1) * FRONTEND_HOP)

typedef char sizes_fit[FRONTEND_BINS == BNN_BINS ? 1 : -1];

/* Kinds of formats; the second has the kind of its samples further on. */
#define PCM 1
#define EXTENSIBLE 0xfffe

/* Size of data whose end was not known when they began, as of a pipe. */
#define UNKNOWN 0xffffffff

static int16_t samples[SAMPLES];
static uint8_t q[BNN_FRAMES * BNN_BINS];

static uint32_t number(const unsigned char *bytes, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i) {
    value |= (uint32_t)bytes[i] << 8 * i;
  }
  return value;
}

static int skip(FILE *file, uint32_t count) {
  for (; count; --count) {
    if (getc(file) == EOF) {
      return 0;
    }
  }
  return 1;
}

/* Returns NULL, or what is wrong with the samples. */
static const char *read_samples(FILE *file, uint32_t bytes) {
  unsigned char sample[2];
  uint32_t i = 0;
  while (i < SAMPLES && i < bytes / 2 && fread(sample, 1, 2, file) == 2) {
    const int32_t value = (int32_t)number(sample, 2);
    samples[i++] = (int16_t)(value < 32768 ? value : value - 65536);
  }
  if (i < SAMPLES && i < bytes / 2 && bytes != UNKNOWN) {
    return "ends in its data";
  }
  return i ? NULL : "has no samples";
}

/* Whether samples of this format are read; its missing bytes are 0. */
static int is_read(const unsigned char format[40]) {
  static const unsigned char tail[14] = {0, 0, 0,   0, 16, 0,   128,
                                         0, 0, 170, 0, 56, 155, 113};
  uint32_t kind = number(format, 2);
  if (kind == EXTENSIBLE && !memcmp(format + 26, tail, 14)) {
    kind = number(format + 24, 2);
  }
  return kind == PCM && number(format + 2, 2) == 1 &&
         number(format + 4, 4) == BNN_SAMPLE_RATE &&
         number(format + 14, 2) == 16;
}

/* Returns NULL, or what is wrong with the file. */
static const char *read_wav(FILE *file) {
  unsigned char head[12];
  int is_known = 0;
  if (fread(head, 1, 12, file) != 12 || memcmp(head, "RIFF", 4) ||
      memcmp(head + 8, "WAVE", 4)) {
    return "is no wav file";
  }
  while (fread(head, 1, 8, file) == 8) {
    const uint32_t size = number(head + 4, 4);
    if (!memcmp(head, "data", 4)) {
      if (!is_known) {
        return "has no format before its data";
      }
      return read_samples(file, size);
    }
    if (!memcmp(head, "fmt ", 4) && size >= 16) {
      unsigned char format[40] = {0};
      const uint32_t count = size < sizeof format ? size : sizeof format;
      if (fread(format, 1, count, file) != count ||
          !skip(file, size - count + size % 2)) {
        return "ends in its format";
      }
      if (!is_read(format)) {
        return "is not 16-bit PCM of one channel at the model's sample rate";
      }
      is_known = 1;
    } else if (!skip(file, size) || (size % 2 && !skip(file, 1))) {
      break;
    }
  }
  return "has no data";
}

int main(int count, char **arguments) {
  int32_t logits[BNN_CLASSES];
  const char *problem;
  FILE *file;
  if (count != 2) {
    fprintf(stderr, "usage: classify CLIP.wav\n");
    return 2;
  }
  file = fopen(arguments[1], "rb");
  if (!file) {
    fprintf(stderr, "error: %s cannot be read: %s\n", arguments[1],
            strerror(errno));
    return 1;
  }
  problem = read_wav(file);
  fclose(file);
  if (problem) {
    fprintf(stderr, "error: %s %s\n", arguments[1], problem);
    return 1;
  }
  if (frontend_clip(samples, SAMPLES, q) != BNN_FRAMES) {
    return 1;
  }
  bnn_run(q, logits);
  printf("%s\n", bnn_class_names[bnn_argmax(logits)]);
  for (int i = 0; i < BNN_CLASSES; ++i) {
    printf("  %s: %ld\n", bnn_class_names[i], (long)logits[i]);
  }
  return 0;
}
