#include "overflow.h"

#include <stdlib.h>
#include <string.h>

/* Bits are read and written eight bytes at a time, beyond their end too. */
enum { SLACK = 16 };

static int64_t padded(const Problem *p, int axis) {
  return p->before[axis] + p->size[axis] + p->after[axis];
}

static int64_t pixel_bytes(const Problem *p) {
  return (p->channels + 7) / 8;
}

int64_t bit_bytes(const Problem *p) {
  return padded(p, 0) * padded(p, 1) * pixel_bytes(p) + SLACK;
}

int64_t row_chunks(const Problem *p, const Layout *layout) {
  if (layout->tap_chunks) {
    return padded(p, 0) * padded(p, 1) * p->groups * layout->tap_chunks;
  }
  return p->out[0] * p->out[1] * p->groups * layout->chunks;
}

static void store_chunk(void *chunks, int width, int64_t index,
                        uint32_t value) {
  if (width == 8) ((uint8_t *)chunks)[index] = (uint8_t)value;
  if (width == 16) ((uint16_t *)chunks)[index] = (uint16_t)value;
  if (width == 32) ((uint32_t *)chunks)[index] = value;
}

/* Weights to [G][blocks][chunks][512 / width]; the caller frees them. */
void *pack_weights(const Problem *p, const Layout *layout, const float *w) {
  const int lanes = 512 / layout->width;
  const int64_t outputs = p->outputs / p->groups;
  const int64_t blocks = (outputs + lanes - 1) / lanes;
  const int64_t operands = (int64_t)layout->taps * layout->own;
  const size_t bytes = (size_t)(p->groups * blocks * layout->chunks) * 64;
  void *packed = aligned_alloc(64, bytes);
  if (!packed) return NULL;
  memset(packed, 0, bytes);
  for (int64_t g = 0; g < p->groups; ++g) {
    for (int64_t k = 0; k < operands; ++k) {
      const float *row = w + k * p->outputs + g * outputs;
      const int bit = layout->bit[k];
      for (int64_t block = 0; block < blocks; ++block) {
        const int64_t rest = outputs - block * lanes;
        const int64_t count = rest < lanes ? rest : lanes;
        const float *from = row + block * lanes;
        uint8_t *to = (uint8_t *)packed +
            ((g * blocks + block) * layout->chunks + layout->chunk[k]) * 64;
        if (layout->width == 8) {
          for (int64_t n = 0; n < count; ++n) to[n] |= (from[n] >= 0) << bit;
        } else if (layout->width == 16) {
          uint16_t *lane = (uint16_t *)to;
          for (int64_t n = 0; n < count; ++n) lane[n] |= (from[n] >= 0) << bit;
        } else {
          uint32_t *lane = (uint32_t *)to;
          for (int64_t n = 0; n < count; ++n) {
            lane[n] |= (uint32_t)(from[n] >= 0) << bit;
          }
        }
      }
    }
  }
  return packed;
}

/* Signs of `count` values, the first in the lowest bit. */
static void pack_signs(const float *x, int64_t count, uint8_t *bits) {
  int64_t c = 0;
  for (; c + 8 <= count; c += 8) {
    uint8_t byte = 0;
    for (int i = 0; i < 8; ++i) byte |= (uint8_t)((x[c + i] >= 0) << i);
    bits[c / 8] = byte;
  }
  if (c < count) {
    uint8_t byte = 0;
    for (int i = 0; c + i < count; ++i) byte |= (uint8_t)((x[c + i] >= 0) << i);
    bits[c / 8] = byte;
  }
}

#ifdef __x86_64__
#include <immintrin.h>

/* The same for a multiple of 16 values. */
__attribute__((target("avx512f,avx512bw"))) static void pack_signs_avx512(
    const float *x, int64_t count, uint8_t *bits) {
  for (int64_t c = 0; c < count; c += 16) {
    const __m512 v = _mm512_loadu_ps(x + c);
    const __mmask16 mask =
        _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_GE_OQ);
    memcpy(bits + c / 8, &mask, 2);
  }
}

__attribute__((target("avx2"))) static void pack_signs_avx2(const float *x,
                                                            int64_t count,
                                                            uint8_t *bits) {
  for (int64_t c = 0; c < count; c += 8) {
    const __m256 v = _mm256_cmp_ps(_mm256_loadu_ps(x + c),
                                   _mm256_setzero_ps(), _CMP_GE_OQ);
    bits[c / 8] = (uint8_t)_mm256_movemask_ps(v);
  }
}
#endif

/* Signs of whole pixels, which begin at bytes of their own. */
static void pack_pixels(const Problem *p, const float *x, int64_t pixels,
                        uint8_t *bits) {
#ifdef __x86_64__
  if (p->channels % 16 == 0 && p->level == AVX512) {
    pack_signs_avx512(x, pixels * p->channels, bits);
    return;
  }
  if (p->channels % 8 == 0 && p->level >= AVX2) {
    pack_signs_avx2(x, pixels * p->channels, bits);
    return;
  }
#endif
  for (int64_t i = 0; i < pixels; ++i) {
    pack_signs(x + i * p->channels, p->channels, bits + i * pixel_bytes(p));
  }
}

/* At most 32 bits from bit `start`. */
static uint32_t extract(const uint8_t *bits, int64_t start, int64_t count) {
  uint64_t value;
  memcpy(&value, bits + start / 8, 8);
  return (uint32_t)(value >> start % 8 & (((uint64_t)1 << count) - 1));
}

/* Chunks of each pixel, for words within a tap. */
static void cut_pixels(const Problem *p, const Layout *layout,
                       const uint8_t *bits, void *chunks) {
  const int64_t pixels = padded(p, 0) * padded(p, 1);
  const int64_t count = layout->tap_chunks;
  if (count * layout->width * p->groups == p->channels &&
      layout->method != TABLE) {
    memcpy(chunks, bits, (size_t)(pixels * pixel_bytes(p)));
    return;
  }
  int64_t index = 0;
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    const uint8_t *own = bits + pixel * pixel_bytes(p);
    for (int64_t g = 0; g < p->groups; ++g) {
      for (int64_t q = 0, c = 0; q < count; ++q) {
        int64_t end = c;
        while (end < p->own && layout->chunk[end] == q) ++end;
        store_chunk(chunks, layout->width, index++,
                    extract(own, g * p->own + c, end - c));
        c = end;
      }
    }
  }
}

/* Appends `count` bits at bit `at` of zeroed memory. */
static void append(uint8_t *to, int64_t at, const uint8_t *from,
                   int64_t start, int64_t count) {
  for (int64_t done = 0; done < count; done += 32) {
    const int64_t part = count - done < 32 ? count - done : 32;
    uint8_t *place = to + (at + done) / 8;
    uint64_t value;
    memcpy(&value, place, 8);
    value |= (uint64_t)extract(from, start + done, part) << (at + done) % 8;
    memcpy(place, &value, 8);
  }
}

/* Chunks of each output, for words of several taps. */
static void cut_rows(const Problem *p, const Layout *layout,
                     const uint8_t *bits, void *chunks) {
  const int64_t row_bits = (int64_t)layout->chunks * layout->width;
  uint8_t *to = chunks;
  memset(to, 0, (size_t)(row_chunks(p, layout) * layout->width / 8 + SLACK));
  for (int64_t t = 0; t < p->out[0]; ++t) {
    for (int64_t f = 0; f < p->out[1]; ++f) {
      for (int64_t g = 0; g < p->groups; ++g, to += row_bits / 8) {
        for (int64_t tap = 0; tap < layout->taps; ++tap) {
          const int64_t frame =
              t * p->stride[0] + tap / p->kernel[1] * p->dilation[0];
          const int64_t bin =
              f * p->stride[1] + tap % p->kernel[1] * p->dilation[1];
          const int64_t k = tap * p->own;
          const uint8_t *pixel =
              bits + (frame * padded(p, 1) + bin) * pixel_bytes(p);
          append(to, (int64_t)layout->chunk[k] * layout->width + layout->bit[k],
                 pixel, g * p->own, p->own);
        }
      }
    }
  }
}

/* Packs x [T, F, C] into `chunks`; `row` takes each output's first chunk. */
void pack_image(const Problem *p, const Layout *layout, const float *x,
                uint8_t *bits, void *chunks, int64_t *row) {
  const int64_t line = padded(p, 1);
  memset(bits, 0, (size_t)bit_bytes(p));
  if (line == p->size[1]) {
    pack_pixels(p, x, p->size[0] * line,
                bits + p->before[0] * line * pixel_bytes(p));
  } else {
    for (int64_t t = 0; t < p->size[0]; ++t) {
      const int64_t first = (p->before[0] + t) * line + p->before[1];
      pack_pixels(p, x + t * p->size[1] * p->channels, p->size[1],
                  bits + first * pixel_bytes(p));
    }
  }
  int64_t pixel_chunks = p->groups * layout->tap_chunks;
  if (layout->tap_chunks) {
    cut_pixels(p, layout, bits, chunks);
  } else {
    cut_rows(p, layout, bits, chunks);
  }
  for (int64_t t = 0; t < p->out[0]; ++t) {
    for (int64_t f = 0; f < p->out[1]; ++f, ++row) {
      const int64_t pixel = t * p->stride[0] * line + f * p->stride[1];
      const int64_t output = t * p->out[1] + f;
      *row = pixel_chunks ? pixel * pixel_chunks
                          : output * p->groups * layout->chunks;
    }
  }
}
