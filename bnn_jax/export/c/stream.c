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

/* Frames of silence, before the clip's and behind them, have no bit set. */
BNN_INLINE void thermometer(const uint8_t *q, const uint8_t *thresholds,
                            int32_t before, int32_t frames, int32_t behind,
                            int32_t bins, int32_t levels, uint8_t *bits) {
  uint8_t *const flags = memory.flags;
  const int32_t bytes = (bins * levels + 7) / 8;
  for (int32_t i = 0; i < before * bytes; ++i) {
    *bits++ = 0;
  }
  for (int32_t t = 0; t < frames; ++t) {
    for (int32_t f = 0; f < bins; ++f) {
      for (int32_t i = 0; i < levels; ++i) {
        flags[f * levels + i] = q[f] >= thresholds[f * levels + i];
      }
    }
    pack(flags, bins * levels, bits);
    bits += bytes;
    q += bins;
  }
  for (int32_t i = 0; i < behind * bytes; ++i) {
    *bits++ = 0;
  }
}

/* sat(floor(a * factor / 2^shift) + bias). */
BNN_INLINE void shift_batch_norm(const Result *a, const Factor *factors,
                                 const int16_t *biases, int32_t shift,
                                 int32_t bits, int32_t positions,
                                 int32_t channels, Stream *y) {
  const Wide low = (Wide)(-((Wide)1 << (bits - 1)));
  const Wide high = (Wide)(-low - 1);
  for (int32_t t = 0; t < positions; ++t) {
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
                          int32_t positions, int32_t channels, uint8_t *bits) {
  uint8_t *const flags = memory.flags;
  for (int32_t t = 0; t < positions; ++t) {
    for (int32_t c = 0; c < channels; ++c) {
      flags[c] = a[c] >= thresholds[c];
    }
    pack(flags, channels, bits);
    a += channels;
    bits += (channels + 7) / 8;
  }
}

BNN_INLINE void rsign(const Stream *r, const Level *theta, int32_t positions,
                      int32_t channels, uint8_t *bits) {
  uint8_t *const flags = memory.flags;
  for (int32_t t = 0; t < positions; ++t) {
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
                            int32_t positions, int32_t channels, Stream *r) {
  const Step low = (Step)-((int32_t)1 << (bits - 1));
  const Step high = (Step)(-low - 1);
  for (int32_t t = 0; t < positions; ++t) {
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

/* Frames and bins of the output are `frame_step` and `bin_step` elements apart;
 * channels behind the first `kept` are 0.
 */
BNN_INLINE void shortcut(const Stream *r, int32_t frame_step, int32_t bin_step,
                         int32_t frames, int32_t bins, int32_t kept,
                         int32_t channels, Stream *y) {
  for (int32_t t = 0; t < frames; ++t) {
    for (int32_t f = 0; f < bins; ++f) {
      const Stream *const x = r + t * frame_step + f * bin_step;
      for (int32_t c = 0; c < channels; ++c) {
        y[c] = (Stream)(c < kept ? x[c] : 0);
      }
      y += channels;
    }
  }
}

/* `kept` of the channels, from `start` on. */
BNN_INLINE void slice_channels(const Stream *r, int32_t start,
                               int32_t positions, int32_t channels,
                               int32_t kept, Stream *y) {
  r += start;
  for (int32_t t = 0; t < positions; ++t) {
    for (int32_t c = 0; c < kept; ++c) {
      y[c] = r[c];
    }
    r += channels;
    y += kept;
  }
}

BNN_INLINE void reshape_stream(const Stream *x, int32_t count, Stream *y) {
  for (int32_t i = 0; i < count; ++i) {
    y[i] = x[i];
  }
}

/* Positions of `channels` bits, each begun in a byte of its own, as positions
 * of `joined` bits.
 */
BNN_INLINE void reshape_bits(const uint8_t *x, int32_t positions,
                             int32_t channels, int32_t joined, uint8_t *bits) {
  const int32_t count = positions * channels;
  const int32_t bytes = count / joined * ((joined + 7) / 8);
  const int is_whole = channels % 8 == 0 && joined % 8 == 0;
  for (int32_t i = 0; i < bytes; ++i) {
    bits[i] = is_whole ? x[i] : 0;
  }
  for (int32_t i = 0; i < count && !is_whole; ++i) {
    const int32_t from = i / channels * ((channels + 7) / 8 * 8) + i % channels;
    const int32_t to = i / joined * ((joined + 7) / 8 * 8) + i % joined;
    bits[to / 8] =
        (uint8_t)(bits[to / 8] | (x[from / 8] >> from % 8 & 1) << to % 8);
  }
}

/* Windows side by side on frames of `columns` bins.
 *
 * frames, bins: of the output.
 * high, wide: frames and bins of a window.
 */
BNN_INLINE void max_pool(const Stream *r, int32_t columns, int32_t frames,
                         int32_t bins, int32_t high, int32_t wide,
                         int32_t channels, Stream *y) {
  for (int32_t position = 0; position < frames * bins; ++position) {
    const int32_t t = position / bins * high, f = position % bins * wide;
    const Stream *const first = r + (t * columns + f) * channels;
    for (int32_t c = 0; c < channels; ++c) {
      y[c] = first[c];
    }
    for (int32_t i = 1; i < high * wide; ++i) {
      const Stream *const x =
          first + (i / wide * columns + i % wide) * channels;
      for (int32_t c = 0; c < channels; ++c) {
        y[c] = x[c] > y[c] ? x[c] : y[c];
      }
    }
    y += channels;
  }
}

/* floor(sum / 2^shift); other arguments as of `max_pool`. */
BNN_INLINE void average_pool(const Stream *r, int32_t columns, int32_t frames,
                             int32_t bins, int32_t high, int32_t wide,
                             int32_t shift, int32_t channels, Stream *y) {
  int32_t *const pool = memory.pool;
  for (int32_t position = 0; position < frames * bins; ++position) {
    const int32_t t = position / bins * high, f = position % bins * wide;
    const Stream *const first = r + (t * columns + f) * channels;
    for (int32_t c = 0; c < channels; ++c) {
      pool[c] = first[c];
    }
    for (int32_t i = 1; i < high * wide; ++i) {
      const Stream *const x =
          first + (i / wide * columns + i % wide) * channels;
      for (int32_t c = 0; c < channels; ++c) {
        pool[c] += x[c];
      }
    }
    for (int32_t c = 0; c < channels; ++c) {
      y[c] = (Stream)(pool[c] >> shift);
    }
    y += channels;
  }
}

BNN_INLINE void classifier(const Stream *r, const int8_t *weights,
                           const int32_t *biases, int32_t positions,
                           int32_t channels, int32_t *logits) {
  int32_t *const pool = memory.pool;
  for (int32_t c = 0; c < channels; ++c) {
    pool[c] = 0;
  }
  for (int32_t t = 0; t < positions; ++t) {
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
