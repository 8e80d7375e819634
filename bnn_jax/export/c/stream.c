/* The layers between the convolutions. */

/* Packs flags of 0 or 1, the first into the lowest bit. */
static void pack(const uint8_t *flags, int32_t count, uint8_t *bits) {
  int32_t i = 0;
#if defined(__SSE2__) && !defined(BNN_PLAIN)
  for (; i + 16 <= count; i += 16) {
    const __m128i some = _mm_loadu_si128((const void *)(flags + i));
    const int mask = _mm_movemask_epi8(_mm_slli_epi16(some, 7));
    bits[i / 8] = (uint8_t)mask;
    bits[i / 8 + 1] = (uint8_t)(mask >> 8);
  }
#endif
  for (; i < count; i += 8) {
    uint32_t byte = 0;
    for (int32_t j = 0; j < 8 && i + j < count; ++j) {
      byte |= (uint32_t)flags[i + j] << j;
    }
    bits[i / 8] = (uint8_t)byte;
  }
}

BNN_INLINE void thermometer(const uint8_t *q, const uint8_t *thresholds,
                            int32_t frames, int32_t bins, int32_t levels,
                            uint8_t *bits) {
  uint8_t *const flags = memory.flags;
  for (int32_t t = 0; t < frames; ++t) {
    for (int32_t f = 0; f < bins; ++f) {
      for (int32_t i = 0; i < levels; ++i) {
        flags[f * levels + i] = q[f] >= thresholds[f * levels + i];
      }
    }
    pack(flags, bins * levels, bits);
    bits += (bins * levels + 7) / 8;
    q += bins;
  }
}

/* sat(floor(a * factor / 2^shift) + bias). */
BNN_INLINE void shift_batch_norm(const Result *a, const Factor *factors,
                                 const int16_t *biases, int32_t shift,
                                 int32_t bits, int32_t frames,
                                 int32_t channels, Stream *y) {
  const Wide low = (Wide)(-((Wide)1 << (bits - 1)));
  const Wide high = (Wide)(-low - 1);
  for (int32_t t = 0; t < frames; ++t) {
    BNN_INDEPENDENT
    for (int32_t c = 0; c < channels; ++c) {
      Wide v = (Wide)((Wide)a[c] * factors[c]);
      v = (Wide)((v >> shift) + biases[c]);
      v = v < low ? low : v;
      v = v > high ? high : v;
      y[c] = (Stream)v;
    }
    a += channels;
    y += channels;
  }
}

BNN_INLINE void threshold(const Result *a, const Result *thresholds,
                          int32_t frames, int32_t channels, uint8_t *bits) {
  uint8_t *const flags = memory.flags;
  for (int32_t t = 0; t < frames; ++t) {
    for (int32_t c = 0; c < channels; ++c) {
      flags[c] = a[c] >= thresholds[c];
    }
    pack(flags, channels, bits);
    a += channels;
    bits += (channels + 7) / 8;
  }
}

BNN_INLINE void rsign(const Stream *r, const Level *theta, int32_t frames,
                      int32_t channels, uint8_t *bits) {
  uint8_t *const flags = memory.flags;
  for (int32_t t = 0; t < frames; ++t) {
    for (int32_t c = 0; c < channels; ++c) {
      const Level above = (Level)(r[c] - theta[c]);
      flags[c] = (uint8_t)(1 + (above >> (8 * sizeof above - 1)));
    }
    pack(flags, channels, bits);
    r += channels;
    bits += (channels + 7) / 8;
  }
}

BNN_INLINE void add(const Stream *r, const Stream *y, int32_t bits,
                    int32_t count, Stream *sum) {
  const Step low = (Step)-((int32_t)1 << (bits - 1));
  const Step high = (Step)(-low - 1);
  BNN_INDEPENDENT
  for (int32_t i = 0; i < count; ++i) {
    const Step v = (Step)(r[i] + y[i]);
    const Step raised = v < low ? low : v;
    sum[i] = (Stream)(raised > high ? high : raised);
  }
}

/* sat(f(y - g) + h). Slopes are 2^(7 - k), so that floor(z * slope / 2^7) is
 * below z where z > 0, and above it where z < 0.
 */
BNN_INLINE void shift_prelu(const Stream *y, const Step *slopes,
                            const Stream *g, const Stream *h, int32_t bits,
                            int32_t frames, int32_t channels, Stream *r) {
  const Step low = (Step)-((int32_t)1 << (bits - 1));
  const Step high = (Step)(-low - 1);
  for (int32_t t = 0; t < frames; ++t) {
    BNN_INDEPENDENT
    for (int32_t c = 0; c < channels; ++c) {
      const Step z = (Step)(y[c] - g[c]);
      const Step leak = (Step)((Step)(z * slopes[c]) >> 7);
      const Step v = (Step)((z > leak ? z : leak) + h[c]);
      const Step raised = v < low ? low : v;
      r[c] = (Stream)(raised > high ? high : raised);
    }
    y += channels;
    r += channels;
  }
}

/* Every stride-th frame; channels behind the first `kept` are 0. */
BNN_INLINE void shortcut(const Stream *r, int32_t stride, int32_t frames,
                         int32_t kept, int32_t channels, Stream *y) {
  for (int32_t t = 0; t < frames; ++t) {
    for (int32_t c = 0; c < channels; ++c) {
      y[c] = (Stream)(c < kept ? r[c] : 0);
    }
    r += stride * kept;
    y += channels;
  }
}

/* `kept` of the channels, from `start` on. */
BNN_INLINE void slice_channels(const Stream *r, int32_t start, int32_t frames,
                               int32_t channels, int32_t kept, Stream *y) {
  r += start;
  for (int32_t t = 0; t < frames; ++t) {
    for (int32_t c = 0; c < kept; ++c) {
      y[c] = r[c];
    }
    r += channels;
    y += kept;
  }
}

BNN_INLINE void classifier(const Stream *r, const int8_t *weights,
                           const int32_t *biases, int32_t frames,
                           int32_t channels, int32_t *logits) {
  int32_t *const pool = memory.pool;
  for (int32_t c = 0; c < channels; ++c) {
    pool[c] = 0;
  }
  for (int32_t t = 0; t < frames; ++t) {
    for (int32_t c = 0; c < channels; ++c) {
      pool[c] += r[c];
    }
    r += channels;
  }
  for (int32_t n = 0; n < BNN_CLASSES; ++n) {
    int32_t sum = biases[n];
    for (int32_t c = 0; c < channels; ++c) {
      sum += weights[c] * pool[c];
    }
    logits[n] = sum;
    weights += channels;
  }
}
