/* Convolutions in plain C: a word of one output after the other. */

/* What a layer calls is compiled with its constants. The layers stay apart:
 * joined, gcc finds too few registers for the loops of all.
 */
#if defined(__GNUC__)
#define BNN_INLINE static inline __attribute__((always_inline, unused))
#define BNN_LAYER static __attribute__((noinline))
#else
#define BNN_INLINE static inline
#define BNN_LAYER static
#endif

/* A loop whose steps are too short for one jump each. */
#if defined(__GNUC__)
#define BNN_UNROLLED _Pragma("GCC unroll 8")
#else
#define BNN_UNROLLED
#endif

/* Elements at equal places of the arrays of a loop may share their memory. */
#if defined(__GNUC__) && !defined(__clang__)
#define BNN_INDEPENDENT _Pragma("GCC ivdep")
#else
#define BNN_INDEPENDENT
#endif

typedef char shifts_are_arithmetic[(-1 >> 1) == -1 ? 1 : -1];
typedef char memory_is_as_stated[sizeof(memory) <= BNN_MEMORY ? 1 : -1];

/* A convolution over time, or over time and frequency: frames of one bin have
 * the former.
 *
 * An output has `repeats` times `full_words` words of `full_lanes` lanes and,
 * where there are any, one word of `rest_lanes`. A word with d unequal lanes
 * adds its bias - scale * d to the register.
 */
typedef struct {
  int32_t frames, bins;  /* Of the input. */
  int32_t place_bytes;   /* Of a frame's bin of the input. */
  int32_t positions;     /* Of the output. */
  int32_t columns;       /* Positions of a frame of the output. */
  int32_t taps, stride, dilation, before;                  /* In time. */
  int32_t bin_taps, bin_stride, bin_dilation, bin_before;  /* In frequency. */
  int32_t groups;
  int32_t lanes;         /* Input channels of a group. */
  int32_t outputs;       /* Of a group. */
  int32_t repeats, full_words, full_lanes, rest_lanes;
  int32_t full_bias, rest_bias, scale;
  int32_t saturates;     /* After each word; else `bits` are kept at the end. */
  int32_t bits;          /* Of the register. */
  int32_t start;         /* Of every register, beside its preload. */
  int32_t step, offset;  /* The result is step * register - offset. */
} Conv;

/* The lowest bits of v in two's complement. */
BNN_INLINE int32_t wrap(int32_t v, int32_t bits) {
  const uint32_t half = (uint32_t)1 << (bits - 1);
  const uint32_t kept = ((uint32_t)v + half) & (2 * half - 1);
  return (int32_t)kept - (int32_t)half;
}

BNN_INLINE int32_t popcount(uint64_t x) {
#if defined(__POPCNT__) && !defined(BNN_PLAIN)
  return __builtin_popcountll(x);
#elif UINTPTR_MAX > 0xffffffff
  x -= x >> 1 & UINT64_C(0x5555555555555555);
  x = (x & UINT64_C(0x3333333333333333)) +
      (x >> 2 & UINT64_C(0x3333333333333333));
  x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  x += x >> 8;
  x += x >> 16;
  x += x >> 32;
  return (int32_t)(x & 127);
#else
  uint32_t low = (uint32_t)x, high = (uint32_t)(x >> 32);
  low -= low >> 1 & 0x55555555;
  high -= high >> 1 & 0x55555555;
  low = (low & 0x33333333) + (low >> 2 & 0x33333333);
  high = (high & 0x33333333) + (high >> 2 & 0x33333333);
  low += high;
  low = (low & 0x0f0f0f0f) + (low >> 4 & 0x0f0f0f0f);
  low += low >> 8;
  low += low >> 16;
  return (int32_t)(low & 127);
#endif
}

/* The operands of one output, its taps one behind the other without gaps. */
BNN_INLINE void gather(const Conv *c, const uint8_t *bits, int32_t position,
                       int32_t group, uint8_t *operands) {
  const int32_t first = group * c->lanes;
  const int32_t top = position / c->columns * c->stride - c->before;
  const int32_t left = position % c->columns * c->bin_stride - c->bin_before;
  int32_t place = 0;
  for (int32_t tap = 0; tap < c->taps * c->bin_taps; ++tap) {
    const int32_t frame = top + tap / c->bin_taps * c->dilation;
    const int32_t bin = left + tap % c->bin_taps * c->bin_dilation;
    const int is_inside =
        frame >= 0 && frame < c->frames && bin >= 0 && bin < c->bins;
    const uint8_t *row =
        bits + (is_inside ? frame * c->bins + bin : 0) * c->place_bytes;
    if (c->lanes % 8 == 0) {
      for (int32_t i = 0; i < c->lanes / 8; ++i) {
        operands[place / 8 + i] = is_inside ? row[first / 8 + i] : 0;
      }
      place += c->lanes;
      continue;
    }
    for (int32_t lane = first; lane < first + c->lanes; ++lane, ++place) {
      const int bit = is_inside ? row[lane / 8] >> lane % 8 & 1 : 0;
      operands[place / 8] =
          (uint8_t)((place % 8 ? operands[place / 8] : 0) | bit << place % 8);
    }
  }
  operands[(place + 7) / 8] = 0;
}

/* Eight bytes, the first of which is the lowest. */
BNN_INLINE uint64_t eight(const uint8_t *p) {
  return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 |
         (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 |
         (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

/* `count` <= 64 operands from `place` on; the other bits are 0. */
BNN_INLINE uint64_t unit(const uint8_t *operands, int32_t place,
                         int32_t count) {
  const uint8_t *bytes = operands + place / 8;
  const int32_t shift = place % 8;
  uint64_t bits = 0;
  if (count == 64 && !shift) {
    return eight(bytes);
  }
  for (int32_t i = 0; i < (count + 7) / 8; ++i) {
    uint32_t byte = bytes[i];
    if (shift) {
      byte = (byte >> shift | (uint32_t)bytes[i + 1] << (8 - shift)) & 255;
    }
    bits |= (uint64_t)byte << 8 * i;
  }
  return count == 64 ? bits : bits & ((UINT64_C(1) << count % 64) - 1);
}

/* Cuts the words of one output into units of 64 lanes, or narrow words into
 * halves of 16.
 */
BNN_INLINE void cut(const Conv *c, const uint8_t *operands, uint64_t *units,
                    uint16_t *halves) {
  int32_t place = 0;
  for (int32_t repeat = 0; repeat < c->repeats; ++repeat) {
    for (int32_t word = 0; word <= c->full_words; ++word) {
      const int32_t lanes =
          word < c->full_words ? c->full_lanes : c->rest_lanes;
      const int32_t size = lanes > BNN_NARROW ? 64 : 16;
      for (int32_t begin = 0; begin < lanes; begin += size) {
        const int32_t count = lanes - begin < size ? lanes - begin : size;
        const uint64_t bits = unit(operands, place + begin, count);
        if (lanes > BNN_NARROW) {
          *units++ = bits;
        } else {
          *halves++ = (uint16_t)bits;
        }
      }
      place += lanes;
    }
  }
}

/* Where the next word's operands and weights begin. */
typedef struct {
  const uint64_t *units, *weights;
  const uint16_t *halves, *half_weights;
} Place;

BNN_INLINE Sum added(const Conv *c, int32_t sum, int32_t bias, int32_t count) {
  const Sum low = (Sum)-((int32_t)1 << (c->bits - 1));
  const Sum high = (Sum)(((int32_t)1 << (c->bits - 1)) - 1);
  Sum v = (Sum)(sum + bias - c->scale * count);
  if (c->saturates) {
    v = v < low ? low : v;
    v = v > high ? high : v;
  }
  return v;
}

/* Adds one word to the registers of a group. */
BNN_INLINE void add_word(const Conv *c, Place *at, int32_t lanes,
                         int32_t bias) {
  Tally *const counts = memory.counts;
  Sum *const sums = memory.sums;
  const int32_t outputs = c->outputs;
  const uint64_t first = *at->units++;
  BNN_UNROLLED
  for (int32_t n = 0; n < outputs; ++n) {
    counts[n] = (Tally)popcount(first ^ at->weights[n]);
  }
  at->weights += outputs;
  for (int32_t begin = 64; begin < lanes; begin += 64) {
    const uint64_t next = *at->units++;
    BNN_UNROLLED
    for (int32_t n = 0; n < outputs; ++n) {
      counts[n] = (Tally)(counts[n] + popcount(next ^ at->weights[n]));
    }
    at->weights += outputs;
  }
  for (int32_t n = 0; n < outputs; ++n) {
    sums[n] = added(c, sums[n], bias, counts[n]);
  }
}

/* The ones of each four bits. */
BNN_INLINE uint16_t ones_of_four(uint16_t x) {
  x = (uint16_t)(x - (x >> 1 & 0x5555));
  return (uint16_t)((x & 0x3333) + (x >> 2 & 0x3333));
}

/* The sum of four numbers of four bits. */
BNN_INLINE uint16_t sum_of_fours(uint16_t x) {
  x = (uint16_t)((x & 0x0f0f) + (x >> 4 & 0x0f0f));
  return (uint16_t)((x + (x >> 8)) & 31);
}

/* Adds a word of at most BNN_NARROW lanes, which is one half; vectors of
 * compilers hold eight outputs.
 */
BNN_INLINE void add_narrow_word(const Conv *c, Place *at, int32_t bias) {
  Sum *const sums = memory.sums;
  const int32_t outputs = c->outputs;
  const uint16_t operands = *at->halves++;
  const uint16_t *const weights = at->half_weights;
  for (int32_t n = 0; n < outputs; ++n) {
    const uint16_t unequal = (uint16_t)(operands ^ weights[n]);
    sums[n] = added(c, sums[n], bias, sum_of_fours(ones_of_four(unequal)));
  }
  at->half_weights += outputs;
}

BNN_INLINE void finish(const Conv *c, Result *results) {
  for (int32_t n = 0; n < c->outputs; ++n) {
    int32_t v = memory.sums[n];
    if (!c->saturates) {
      v = wrap(v, c->bits);
    }
    results[n] = (Result)(c->step * v - c->offset);
  }
}

/* weights, half_weights: of a group its units or halves, of these its outputs.
 * preload: of every output, or NULL.
 */
BNN_INLINE void conv_words(const Conv *c, const uint64_t *weights,
                           const uint16_t *half_weights, const Sum *preload,
                           const uint8_t *bits, Result *results) {
  for (int32_t position = 0; position < c->positions; ++position) {
    Place at = {NULL, weights, NULL, half_weights};
    for (int32_t group = 0; group < c->groups; ++group) {
      at.units = memory.units;
      at.halves = memory.halves;
      gather(c, bits, position, group, memory.operands);
      cut(c, memory.operands, memory.units, memory.halves);
      for (int32_t n = 0; n < c->outputs; ++n) {
        memory.sums[n] = (Sum)(
            c->start + (preload ? preload[group * c->outputs + n] : 0));
      }
      for (int32_t repeat = 0; repeat < c->repeats; ++repeat) {
        for (int32_t word = 0; word <= c->full_words; ++word) {
          const int is_full = word < c->full_words;
          const int32_t lanes = is_full ? c->full_lanes : c->rest_lanes;
          const int32_t bias = is_full ? c->full_bias : c->rest_bias;
          if (lanes > BNN_NARROW) {
            add_word(c, &at, lanes, bias);
          } else if (lanes) {
            add_narrow_word(c, &at, bias);
          }
        }
      }
      finish(c, results);
      results += c->outputs;
    }
  }
}
