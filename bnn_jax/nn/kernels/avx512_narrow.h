/* Kernels of WIDTH-bit lanes, 8 or 16, included once for each. */

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(name) JOIN(name, WIDTH)
#define OP(name) JOIN(_mm512_##name##_epi, WIDTH)
#define LANES (512 / WIDTH)
#define CHUNK JOIN(JOIN(int, WIDTH), _t)

/* Lanes 16 `part` to 16 `part` + 15, as 32-bit integers. */
INLINE __m512i NAME(widen)(const __m512i v, int part, int is_signed) {
  CHUNK lane[LANES] __attribute__((aligned(64)));
  _mm512_store_si512(lane, v);
#if WIDTH == 8
  const __m128i narrow = _mm_load_si128((const __m128i *)lane + part);
  return is_signed ? _mm512_cvtepi8_epi32(narrow)
                   : _mm512_cvtepu8_epi32(narrow);
#else
  const __m256i narrow = _mm256_load_si256((const __m256i *)lane + part);
  return is_signed ? _mm512_cvtepi16_epi32(narrow)
                   : _mm512_cvtepu16_epi32(narrow);
#endif
}

INLINE __m512i NAME(narrow_start)(const Job *job, int64_t first) {
  CHUNK lane[LANES] __attribute__((aligned(64)));
  for (int n = 0; n < LANES; ++n) {
    lane[n] = first + n < job->outputs ? (CHUNK)job->start[first + n] : 0;
  }
  return _mm512_load_si512(lane);
}

INLINE void NAME(store_lanes)(const Job *job, int64_t r, int64_t first,
                              __m512i held) {
  for (int part = 0; part < LANES / 16; ++part) {
    if (first + 16 * part >= job->outputs) return;
    store(job, job->result, r, first + 16 * part,
          NAME(widen)(held, part, 1));
  }
}

INLINE void NAME(store_exact)(const Job *job, int64_t r, int64_t first,
                              __m512i differing) {
  for (int part = 0; part < LANES / 16; ++part) {
    const int64_t at = first + 16 * part;
    if (at >= job->outputs) return;
    store(job, job->exact, r, at,
          exact_sum(job->layout, load_start(job, at),
                    NAME(widen)(differing, part, 0)));
  }
}

/* Words of one chunk. The additions themselves saturate at the lane's width,
 * which the register's range lies within. */
INLINE void NAME(clip)(const Job *job, const int dot, const int with_exact) {
  const Layout *layout = job->layout;
  const __m512i low = OP(set1)((CHUNK)layout->low);
  const __m512i high = OP(set1)((CHUNK)layout->high);
  for (int64_t first = 0; first < job->outputs; first += LANES) {
    const __m512i *w = (const __m512i *)job->w + first / LANES * layout->chunks;
    const __m512i start = NAME(narrow_start)(job, first);
    for (int64_t r = 0; r < job->rows; r += ROWS) {
      const Rows rows = rows_from(job, r);
      const CHUNK *x[ROWS];
      __m512i held[ROWS], sum[ROWS];
      for (int i = 0; i < ROWS; ++i) {
        x[i] = (const CHUNK *)job->x + job->row[rows.index[i]];
        held[i] = start;
        sum[i] = _mm512_setzero_si512();
      }
      for (int q = 0; q < layout->chunks; ++q) {
        const int32_t at = layout->offset[q];
        const __m512i weights = _mm512_load_si512(w + q);
        const __m512i added = OP(set1)((CHUNK)layout->word[q].added);
        for (int i = 0; i < ROWS; ++i) {
          const __m512i bits = _mm512_xor_si512(weights, OP(set1)(x[i][at]));
          const __m512i differing = OP(popcnt)(bits);
          __m512i u = OP(sub)(added, differing);
          if (dot) u = OP(sub)(u, differing);
          held[i] = OP(min)(OP(max)(OP(adds)(held[i], u), low), high);
          if (with_exact) sum[i] = OP(add)(sum[i], differing);
        }
      }
      for (int i = 0; i < ROWS; ++i) {
        NAME(store_lanes)(job, rows.index[i], first, held[i]);
        if (with_exact) NAME(store_exact)(job, rows.index[i], first, sum[i]);
      }
    }
  }
}

TARGET void NAME(avx512_clip)(const Job *job) {
  if (job->layout->unit == DOT) {
    if (job->exact) NAME(clip)(job, 1, 1);
    else NAME(clip)(job, 1, 0);
  } else {
    if (job->exact) NAME(clip)(job, 0, 1);
    else NAME(clip)(job, 0, 0);
  }
}

typedef struct {
  __m512i added, low, high;
} NAME(Table);

/* The maps of `lanes` products for every pattern of differing bits. */
INLINE NAME(Table) NAME(table)(const Layout *layout, int lanes) {
  CHUNK lane[3][LANES] __attribute__((aligned(64)));
  for (unsigned i = 0; i < LANES; ++i) {
    const Map map = compose(layout, lanes, i);
    lane[0][i] = (CHUNK)map.added;
    lane[1][i] = (CHUNK)map.low;
    lane[2][i] = (CHUNK)map.high;
  }
  NAME(Table) table = {_mm512_load_si512(lane[0]), _mm512_load_si512(lane[1]),
                       _mm512_load_si512(lane[2])};
  return table;
}

INLINE void NAME(look_up)(const NAME(Table) *table, const __m512i weights,
                          const CHUNK *const *x, int32_t at, __m512i *held) {
  for (int i = 0; i < ROWS; ++i) {
    const __m512i bits = _mm512_xor_si512(weights, OP(set1)(x[i][at]));
    const __m512i v = OP(adds)(held[i], OP(permutexvar)(bits, table->added));
    held[i] = OP(min)(OP(max)(v, OP(permutexvar)(bits, table->low)),
                      OP(permutexvar)(bits, table->high));
  }
}

TARGET void NAME(avx512_table)(const Job *job) {
  const Layout *layout = job->layout;
  const int rest = layout->own % layout->filled;
  const NAME(Table) full = NAME(table)(layout, layout->filled);
  const NAME(Table) last = NAME(table)(layout, rest ? rest : layout->filled);
  for (int64_t first = 0; first < job->outputs; first += LANES) {
    const __m512i *w = (const __m512i *)job->w + first / LANES * layout->chunks;
    const __m512i start = NAME(narrow_start)(job, first);
    for (int64_t r = 0; r < job->rows; r += ROWS) {
      const Rows rows = rows_from(job, r);
      const CHUNK *x[ROWS];
      __m512i held[ROWS];
      for (int i = 0; i < ROWS; ++i) {
        x[i] = (const CHUNK *)job->x + job->row[rows.index[i]];
        held[i] = start;
      }
      for (int q = 0; q < layout->chunks;) {
        const int end = q + layout->tap_chunks - 1;
        for (; q < end; ++q) {
          NAME(look_up)(&full, _mm512_load_si512(w + q), x, layout->offset[q],
                        held);
        }
        NAME(look_up)(&last, _mm512_load_si512(w + q), x, layout->offset[q],
                      held);
        ++q;
      }
      for (int i = 0; i < ROWS; ++i) {
        NAME(store_lanes)(job, rows.index[i], first, held[i]);
      }
    }
  }
}

#undef JOIN_
#undef JOIN
#undef NAME
#undef OP
#undef LANES
#undef CHUNK
