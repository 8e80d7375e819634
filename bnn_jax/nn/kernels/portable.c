#include "overflow.h"

/* Plain loops over the lanes of a block, which the compiler turns into vectors
 * of whatever instructions each exported function may use. */
#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16, TABLE_LANES = 64, MAPS = 64 };

INLINE int32_t bits_of(uint32_t v) {
  v -= v >> 1 & 0x55555555u;
  v = (v & 0x33333333u) + (v >> 2 & 0x33333333u);
  v = (v + (v >> 4)) & 0x0f0f0f0fu;
  v += v >> 8;
  return (int32_t)((v + (v >> 16)) & 0x3f);
}

INLINE int32_t clip(int32_t v, int32_t low, int32_t high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

INLINE void store(const Layout *layout, int64_t count, const int32_t *value,
                  float *to) {
  const int32_t scale = layout->unit == DOT ? 1 : 2;
  const int32_t odd = (int32_t)layout->odd;
  for (int64_t n = 0; n < count; ++n) to[n] = (float)(scale * value[n] - odd);
}

INLINE int64_t load_start(const Job *job, int64_t block, int lanes,
                          int32_t *start) {
  const int64_t rest = job->outputs - block * lanes;
  const int64_t count = rest < lanes ? rest : lanes;
  for (int n = 0; n < lanes; ++n) {
    start[n] = n < count ? job->start[block * lanes + n] : 0;
  }
  return count;
}

INLINE void add_differing(const uint32_t *w, uint32_t x, int32_t *to) {
  for (int n = 0; n < LANES; ++n) to[n] += bits_of(w[n] ^ x);
}

INLINE void run_sum(const Job *job) {
  const Layout *layout = job->layout;
  const int shift = layout->unit == DOT;
  const int64_t blocks = (job->outputs + LANES - 1) / LANES;
  const int32_t half = (int32_t)-layout->low;
  const int32_t mask = 2 * half - 1;
  for (int64_t block = 0; block < blocks; ++block) {
    const uint32_t *w = (const uint32_t *)job->w + block * layout->chunks * LANES;
    int32_t start[LANES];
    const int64_t count = load_start(job, block, LANES, start);
    for (int64_t r = 0; r < job->rows; ++r) {
      const uint32_t *x = (const uint32_t *)job->x + job->row[r];
      int32_t sum[LANES] = {0};
      for (int q = 0; q < layout->chunks; ++q) {
        add_differing(w + q * LANES, x[layout->offset[q]], sum);
      }
      for (int n = 0; n < LANES; ++n) {
        sum[n] = start[n] + (int32_t)layout->added - (sum[n] << shift);
      }
      const int64_t at = r * job->stride + block * LANES;
      if (job->exact) store(layout, count, sum, job->exact + at);
      if (layout->mode == WRAP) {
        for (int n = 0; n < LANES; ++n) {
          sum[n] = ((sum[n] + half) & mask) - half;
        }
      }
      store(layout, count, sum, job->result + at);
    }
  }
}

INLINE void run_clip(const Job *job) {
  const Layout *layout = job->layout;
  const int shift = layout->unit == DOT;
  const int64_t blocks = (job->outputs + LANES - 1) / LANES;
  for (int64_t block = 0; block < blocks; ++block) {
    const uint32_t *w = (const uint32_t *)job->w + block * layout->chunks * LANES;
    int32_t start[LANES];
    const int64_t count = load_start(job, block, LANES, start);
    for (int64_t r = 0; r < job->rows; ++r) {
      const uint32_t *x = (const uint32_t *)job->x + job->row[r];
      int32_t held[LANES], sum[LANES] = {0};
      for (int n = 0; n < LANES; ++n) held[n] = start[n];
      for (int i = 0; i < layout->words; ++i) {
        const Word *word = &layout->word[i];
        int32_t differing[LANES] = {0};
        for (int q = word->first; q < word->last; ++q) {
          add_differing(w + q * LANES, x[layout->offset[q]], differing);
        }
        for (int n = 0; n < LANES; ++n) {
          sum[n] += differing[n];
          held[n] = clip(held[n] - (differing[n] << shift), word->low,
                         word->high);
        }
      }
      const int32_t added = (int32_t)layout->added;
      for (int n = 0; n < LANES; ++n) held[n] += added;
      const int64_t at = r * job->stride + block * LANES;
      store(layout, count, held, job->result + at);
      if (!job->exact) continue;
      for (int n = 0; n < LANES; ++n) {
        sum[n] = start[n] + added - (sum[n] << shift);
      }
      store(layout, count, sum, job->exact + at);
    }
  }
}

INLINE void apply(const Map *maps, const uint8_t *w, uint8_t x,
                  int32_t *held) {
  for (int n = 0; n < TABLE_LANES; ++n) {
    const Map map = maps[w[n] ^ x];
    held[n] = clip(held[n] + map.added, map.low, map.high);
  }
}

INLINE void run_table(const Job *job) {
  const Layout *layout = job->layout;
  const int64_t blocks = (job->outputs + TABLE_LANES - 1) / TABLE_LANES;
  const int rest = layout->own % layout->filled;
  Map full[MAPS], last[MAPS];
  for (unsigned i = 0; i < MAPS; ++i) {
    full[i] = compose(layout, layout->filled, i);
    last[i] = compose(layout, rest ? rest : layout->filled, i);
  }
  for (int64_t block = 0; block < blocks; ++block) {
    const uint8_t *w =
        (const uint8_t *)job->w + block * layout->chunks * TABLE_LANES;
    int32_t start[TABLE_LANES];
    const int64_t count = load_start(job, block, TABLE_LANES, start);
    for (int64_t r = 0; r < job->rows; ++r) {
      const uint8_t *x = (const uint8_t *)job->x + job->row[r];
      int32_t held[TABLE_LANES];
      for (int n = 0; n < TABLE_LANES; ++n) held[n] = start[n];
      for (int q = 0; q < layout->chunks; ++q) {
        const int is_last = (q + 1) % layout->tap_chunks == 0;
        apply(is_last ? last : full, w + q * TABLE_LANES,
              x[layout->offset[q]], held);
      }
      store(layout, count, held,
            job->result + r * job->stride + block * TABLE_LANES);
    }
  }
}

void portable_sum(const Job *job) { run_sum(job); }
void portable_clip(const Job *job) { run_clip(job); }
void portable_table(const Job *job) { run_table(job); }

#ifdef __x86_64__
#define TARGET __attribute__((target("avx2")))

TARGET void avx2_sum(const Job *job) { run_sum(job); }
TARGET void avx2_clip(const Job *job) { run_clip(job); }
TARGET void avx2_table(const Job *job) { run_table(job); }
#endif
