/* Convolutions with LANES outputs side by side: a slice is a byte of operands,
 * of which a word has one for every 8 lanes begun. Two positions are computed
 * at a time, so that each weight is loaded once for both.
 */

#if LANES

/* Slices after which a byte that counts their unequal lanes may be full. */
#define COUNTED 31

#define FOUR_TIMES UINT32_C(0x01010101)

/* Cuts words into `count` slices, each four times in a number. */
BNN_INLINE void slice(const Conv *c, const uint8_t *operands, int32_t count,
                      uint32_t *slices) {
  const int is_whole = c->full_lanes % 8 == 0 && c->rest_lanes % 8 == 0;
  const int is_alone = c->repeats * c->full_words == 1 && !c->rest_lanes;
  int32_t place = 0;
  if (is_whole || is_alone) {
    for (int32_t i = 0; i < count; ++i) {
      slices[i] = FOUR_TIMES * operands[i];
    }
    return;
  }
  for (int32_t repeat = 0; repeat < c->repeats; ++repeat) {
    for (int32_t word = 0; word <= c->full_words; ++word) {
      const int32_t end =
          place + (word < c->full_words ? c->full_lanes : c->rest_lanes);
      for (; place < end; place += 8) {
        const int32_t left = end - place;
        *slices++ = FOUR_TIMES *
                    (uint32_t)unit(operands, place, left < 8 ? left : 8);
      }
      place = end;
    }
  }
}

/* Unequal lanes of `count` slices at two positions, modulo 256. */
typedef struct {
  Bytes first, second;
} Pair;

BNN_INLINE Pair count_slices(const uint32_t *first, const uint32_t *second,
                             const uint8_t *weights, int32_t stride,
                             int32_t count) {
  Pair unequal_lanes = {every_byte(0), every_byte(0)};
  for (int32_t i = 0; i < count; ++i) {
    const Bytes w = load_bytes(weights + i * stride);
    unequal_lanes.first = add_bytes(unequal_lanes.first,
                                    count_bits(unequal(w, spread(first + i))));
    unequal_lanes.second = add_bytes(
        unequal_lanes.second, count_bits(unequal(w, spread(second + i))));
  }
  return unequal_lanes;
}

/* Two positions' registers, in 16 bits; those of lanes 0.. LANES / 2 are low.
 */
typedef struct {
  Shorts low[2], high[2];
} Registers;

BNN_INLINE Shorts scaled(Shorts v, int32_t factor) {
  return factor == 2 ? add_shorts(v, v) : v;
}

BNN_INLINE Bytes scaled_bytes(Bytes v, int32_t factor) {
  return factor == 2 ? add_bytes(v, v) : v;
}

/* Registers of at most 8 bits that saturate after words of |u| <= 127. */
BNN_INLINE Registers saturate_bytes(const Conv *c, const uint32_t *first,
                                    const uint32_t *second,
                                    const uint8_t *weights, int32_t stride,
                                    const int8_t *preload) {
  const Bytes low = every_byte(-(1 << (c->bits - 1)));
  const Bytes high = every_byte((1 << (c->bits - 1)) - 1);
  const Bytes start = preload ? load_bytes(preload) : every_byte(0);
  Pair sums = {start, start};
  Registers registers;
  for (int32_t repeat = 0; repeat < c->repeats; ++repeat) {
    for (int32_t word = 0; word <= c->full_words; ++word) {
      const int is_full = word < c->full_words;
      const int32_t lanes = is_full ? c->full_lanes : c->rest_lanes;
      const Bytes bias = every_byte(is_full ? c->full_bias : c->rest_bias);
      const int32_t count = (lanes + 7) / 8;
      Pair found;
      if (!lanes) {
        break;
      }
      found = count_slices(first, second, weights, stride, count);
      sums.first = sum_bytes(
          sums.first, sub_bytes(bias, scaled_bytes(found.first, c->scale)));
      sums.second = sum_bytes(
          sums.second, sub_bytes(bias, scaled_bytes(found.second, c->scale)));
      sums.first = max_bytes(min_bytes(sums.first, high), low);
      sums.second = max_bytes(min_bytes(sums.second, high), low);
      first += count;
      second += count;
      weights += count * stride;
    }
  }
  registers.low[0] = signed_low(sums.first);
  registers.high[0] = signed_high(sums.first);
  registers.low[1] = signed_low(sums.second);
  registers.high[1] = signed_high(sums.second);
  return registers;
}

/* Unequal lanes of a word, in 16 bits. */
BNN_INLINE Registers count_word(const uint32_t *first, const uint32_t *second,
                                const uint8_t *weights, int32_t stride,
                                int32_t count) {
  const Shorts zero = every_short(0);
  Registers counts = {{zero, zero}, {zero, zero}};
  for (int32_t i = 0; i < count; i += COUNTED) {
    const int32_t some = count - i < COUNTED ? count - i : COUNTED;
    const Pair found = count_slices(first + i, second + i,
                                    weights + i * stride, stride, some);
    counts.low[0] = add_shorts(counts.low[0], unsigned_low(found.first));
    counts.high[0] = add_shorts(counts.high[0], unsigned_high(found.first));
    counts.low[1] = add_shorts(counts.low[1], unsigned_low(found.second));
    counts.high[1] = add_shorts(counts.high[1], unsigned_high(found.second));
  }
  return counts;
}

BNN_INLINE Shorts saturated(const Conv *c, Shorts sum, int32_t bias,
                            Shorts count) {
  const Shorts low = every_short(-((int32_t)1 << (c->bits - 1)));
  const Shorts high = every_short(((int32_t)1 << (c->bits - 1)) - 1);
  sum = sum_shorts(sum, sub_shorts(every_short(bias), scaled(count, c->scale)));
  return max_shorts(min_shorts(sum, high), low);
}

/* Registers of at most 16 bits that saturate. */
BNN_INLINE Registers saturate_shorts(const Conv *c, const uint32_t *first,
                                     const uint32_t *second,
                                     const uint8_t *weights, int32_t stride,
                                     const int16_t *preload) {
  const Shorts zero = every_short(0);
  const Shorts start = preload ? load_shorts(preload) : zero;
  const Shorts above = preload ? load_shorts(preload + LANES / 2) : zero;
  Registers sums = {{start, start}, {above, above}};
  for (int32_t repeat = 0; repeat < c->repeats; ++repeat) {
    for (int32_t word = 0; word <= c->full_words; ++word) {
      const int is_full = word < c->full_words;
      const int32_t lanes = is_full ? c->full_lanes : c->rest_lanes;
      const int32_t bias = is_full ? c->full_bias : c->rest_bias;
      const int32_t count = (lanes + 7) / 8;
      Registers found;
      if (!lanes) {
        break;
      }
      found = count_word(first, second, weights, stride, count);
      for (int i = 0; i < 2; ++i) {
        sums.low[i] = saturated(c, sums.low[i], bias, found.low[i]);
        sums.high[i] = saturated(c, sums.high[i], bias, found.high[i]);
      }
      first += count;
      second += count;
      weights += count * stride;
    }
  }
  return sums;
}

/* The lowest bits of start + preload - scale * count. */
BNN_INLINE Shorts wrapped(const Conv *c, const int16_t *preload, Shorts count) {
  const int32_t unused = 16 - c->bits;
  Shorts v = every_short(c->start);
  if (preload) {
    v = add_shorts(v, load_shorts(preload));
  }
  v = sub_shorts(v, scaled(count, c->scale));
  return shift_right(shift_left(v, unused), unused);
}

/* Registers of at most 16 bits of which the lowest bits are kept. */
BNN_INLINE Registers sum_all(const Conv *c, const uint32_t *first,
                             const uint32_t *second, const uint8_t *weights,
                             int32_t stride, const int16_t *preload) {
  const int16_t *const above = preload ? preload + LANES / 2 : NULL;
  const int32_t count = (c->full_lanes + 7) / 8;
  Registers sums;
  if (c->bits <= 8) {
    const Pair found = count_slices(first, second, weights, stride, count);
    sums.low[0] = unsigned_low(found.first);
    sums.high[0] = unsigned_high(found.first);
    sums.low[1] = unsigned_low(found.second);
    sums.high[1] = unsigned_high(found.second);
  } else {
    sums = count_word(first, second, weights, stride, count);
  }
  for (int i = 0; i < 2; ++i) {
    sums.low[i] = wrapped(c, preload, sums.low[i]);
    sums.high[i] = wrapped(c, above, sums.high[i]);
  }
  return sums;
}

BNN_INLINE void store(const Conv *c, Shorts low, Shorts high, int32_t count,
                      Result *results) {
  int16_t made[LANES];
  const Shorts offset = every_short(c->offset);
  store_shorts(made, sub_shorts(scaled(low, c->step), offset));
  store_shorts(made + LANES / 2, sub_shorts(scaled(high, c->step), offset));
  if (count >= LANES) {
    for (int32_t i = 0; i < LANES; ++i) {
      results[i] = made[i];
    }
  } else {
    for (int32_t i = 0; i < count; ++i) {
      results[i] = made[i];
    }
  }
}

/* weights: of a group its slices, of a slice its outputs, `stride` apart; as
 * the preloads, LANES may be read from each output on.
 * bytes, shorts: the preloads, `stride` a group, for registers of at most 8
 * bits that saturate, or others; or NULL.
 */
BNN_INLINE void conv_lanes(const Conv *c, const uint8_t *weights,
                           int32_t stride, int32_t slices, const int8_t *bytes,
                           const int16_t *shorts, const uint8_t *bits,
                           Result *results) {
  uint32_t operands[2][BNN_MOST_SLICES];
  for (int32_t position = 0; position < c->positions; position += 2) {
    const int is_pair = position + 1 < c->positions;
    Result *const row = results + position * c->groups * c->outputs;
    for (int32_t group = 0; group < c->groups; ++group) {
      const int32_t row_of_weights = group * slices * stride;
      for (int i = 0; i < 2; ++i) {
        gather(c, bits, position + (is_pair ? i : 0), group, memory.operands);
        slice(c, memory.operands, slices, operands[i]);
      }
      for (int32_t n = 0; n < c->outputs; n += LANES) {
        const int32_t at = group * stride + n;
        const uint8_t *w = weights + row_of_weights + n;
        Result *const y = row + group * c->outputs + n;
        Registers made;
        if (!c->saturates) {
          made = sum_all(c, operands[0], operands[1], w, stride,
                         shorts ? shorts + at : NULL);
        } else if (c->bits <= 8 && c->full_lanes < 128) {
          made = saturate_bytes(c, operands[0], operands[1], w, stride,
                                bytes ? bytes + at : NULL);
        } else {
          made = saturate_shorts(c, operands[0], operands[1], w, stride,
                                 shorts ? shorts + at : NULL);
        }
        store(c, made.low[0], made.high[0], c->outputs - n, y);
        if (is_pair) {
          store(c, made.low[1], made.high[1], c->outputs - n,
                y + c->groups * c->outputs);
        }
      }
    }
  }
}

#endif
