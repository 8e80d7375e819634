#ifdef __x86_64__
#include "overflow.h"

#include <immintrin.h>

#define TARGET                                                          \
  __attribute__((target(                                                \
      "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512bitalg,"     \
      "avx512vpopcntdq,prefer-vector-width=512")))
#define INLINE static inline TARGET __attribute__((always_inline))

/* Some rows at once, so that their sums hide each other's latency. The rows
 * beyond the last are the last again. */
typedef struct {
  int64_t index[ROWS];
} Rows;

static Rows rows_from(const Job *job, int64_t first) {
  Rows rows;
  for (int i = 0; i < ROWS; ++i) {
    rows.index[i] = first + i < job->rows ? first + i : job->rows - 1;
  }
  return rows;
}

/* Lanes of 16 outputs that exist. */
static inline __mmask16 present(const Job *job, int64_t first) {
  const int64_t rest = job->outputs - first;
  return rest >= 16 ? 0xffff : rest <= 0 ? 0 : (__mmask16)((1 << rest) - 1);
}

INLINE __m512i load_start(const Job *job, int64_t first) {
  return _mm512_maskz_loadu_epi32(present(job, first), job->start + first);
}

/* Stores 16 results of row `r`, outputs `first` and on. */
INLINE void store(const Job *job, float *to, int64_t r, int64_t first,
                  __m512i value) {
  const Layout *layout = job->layout;
  if (layout->unit == POPCOUNT) {
    value = _mm512_sub_epi32(_mm512_add_epi32(value, value),
                             _mm512_set1_epi32((int32_t)layout->odd));
  }
  _mm512_mask_storeu_ps(to + r * job->stride + first, present(job, first),
                        _mm512_cvtepi32_ps(value));
}

/* start + added - differing, or - 2 differing under 'dot'. */
INLINE __m512i exact_sum(const Layout *layout, __m512i start,
                         __m512i differing) {
  __m512i sum = _mm512_add_epi32(
      start, _mm512_set1_epi32((int32_t)layout->added));
  sum = _mm512_sub_epi32(sum, differing);
  return layout->unit == DOT ? _mm512_sub_epi32(sum, differing) : sum;
}

TARGET void avx512_sum(const Job *job) {
  const Layout *layout = job->layout;
  const int chunks = layout->chunks;
  const __m512i half = _mm512_set1_epi32((int32_t)-layout->low);
  const __m512i mask = _mm512_set1_epi32((int32_t)(-2 * layout->low - 1));
  for (int64_t first = 0; first < job->outputs; first += 16) {
    const __m512i *w = (const __m512i *)job->w + first / 16 * chunks;
    const __m512i start = load_start(job, first);
    for (int64_t r = 0; r < job->rows; r += ROWS) {
      const Rows rows = rows_from(job, r);
      const int32_t *x[ROWS];
      __m512i sum[ROWS];
      for (int i = 0; i < ROWS; ++i) {
        x[i] = (const int32_t *)job->x + job->row[rows.index[i]];
        sum[i] = _mm512_setzero_si512();
      }
      for (int q = 0; q < chunks; ++q) {
        const int32_t at = layout->offset[q];
        const __m512i weights = _mm512_load_si512(w + q);
        for (int i = 0; i < ROWS; ++i) {
          const __m512i differing =
              _mm512_xor_si512(weights, _mm512_set1_epi32(x[i][at]));
          sum[i] = _mm512_add_epi32(sum[i], _mm512_popcnt_epi32(differing));
        }
      }
      for (int i = 0; i < ROWS; ++i) {
        __m512i value = exact_sum(layout, start, sum[i]);
        if (job->exact) store(job, job->exact, rows.index[i], first, value);
        if (layout->mode == WRAP) {
          value = _mm512_and_si512(_mm512_add_epi32(value, half), mask);
          value = _mm512_sub_epi32(value, half);
        }
        store(job, job->result, rows.index[i], first, value);
      }
    }
  }
}

INLINE void clip32(const Job *job, const int dot, const int with_exact) {
  const Layout *layout = job->layout;
  const __m512i added = _mm512_set1_epi32((int32_t)layout->added);
  for (int64_t first = 0; first < job->outputs; first += 16) {
    const __m512i *w = (const __m512i *)job->w + first / 16 * layout->chunks;
    const __m512i start = load_start(job, first);
    for (int64_t r = 0; r < job->rows; r += ROWS) {
      const Rows rows = rows_from(job, r);
      const int32_t *x[ROWS];
      __m512i held[ROWS], sum[ROWS];
      for (int i = 0; i < ROWS; ++i) {
        x[i] = (const int32_t *)job->x + job->row[rows.index[i]];
        held[i] = start;
        sum[i] = _mm512_setzero_si512();
      }
      for (int t = 0; t < layout->words; ++t) {
        const Word *word = &layout->word[t];
        __m512i differing[ROWS];
        for (int i = 0; i < ROWS; ++i) differing[i] = _mm512_setzero_si512();
        for (int q = word->first; q < word->last; ++q) {
          const int32_t at = layout->offset[q];
          const __m512i weights = _mm512_load_si512(w + q);
          for (int i = 0; i < ROWS; ++i) {
            const __m512i bits =
                _mm512_xor_si512(weights, _mm512_set1_epi32(x[i][at]));
            differing[i] =
                _mm512_add_epi32(differing[i], _mm512_popcnt_epi32(bits));
          }
        }
        const __m512i low = _mm512_set1_epi32(word->low);
        const __m512i high = _mm512_set1_epi32(word->high);
        for (int i = 0; i < ROWS; ++i) {
          __m512i v = _mm512_sub_epi32(held[i], differing[i]);
          if (dot) v = _mm512_sub_epi32(v, differing[i]);
          held[i] = _mm512_min_epi32(_mm512_max_epi32(v, low), high);
          if (with_exact) sum[i] = _mm512_add_epi32(sum[i], differing[i]);
        }
      }
      for (int i = 0; i < ROWS; ++i) {
        store(job, job->result, rows.index[i], first,
              _mm512_add_epi32(held[i], added));
        if (with_exact) {
          store(job, job->exact, rows.index[i], first,
                exact_sum(layout, start, sum[i]));
        }
      }
    }
  }
}

TARGET void avx512_clip32(const Job *job) {
  if (job->layout->unit == DOT) {
    if (job->exact) clip32(job, 1, 1);
    else clip32(job, 1, 0);
  } else {
    if (job->exact) clip32(job, 0, 1);
    else clip32(job, 0, 0);
  }
}

#define WIDTH 8
#include "avx512_narrow.h"
#undef WIDTH
#define WIDTH 16
#include "avx512_narrow.h"
#undef WIDTH
#endif
