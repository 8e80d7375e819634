#include "overflow.h"

#include <stdlib.h>
#include <string.h>

enum { FULL8 = 6, FULL16 = 5 };

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t clip(int64_t v, int64_t low, int64_t high) {
  return smaller(larger(v, low), high);
}

static int32_t added_by(int64_t unit, int64_t lanes) {
  return (int32_t)(unit == DOT ? lanes : (lanes + 1) / 2);
}

/* Appends the chunks of `count` operands from `operand` as one word. */
static void append_word(Layout *layout, int64_t operand, int64_t count,
                        int filled) {
  Word *word = &layout->word[layout->words++];
  word->first = layout->chunks;
  word->lanes = (int32_t)count;
  word->added = added_by(layout->unit, count);
  for (int64_t i = 0; i < count; ++i) {
    layout->chunk[operand + i] = word->first + (int32_t)(i / filled);
    layout->bit[operand + i] = (int32_t)(i % filled);
  }
  layout->chunks += (int)((count + filled - 1) / filled);
  word->last = layout->chunks;
  layout->added += word->added;
  word->low = (int32_t)(layout->low - layout->added);
  word->high = (int32_t)(layout->high - layout->added);
}

/* Cuts the operands into words of at most `simd` lanes. */
static void cut(Layout *layout, int64_t taps, int64_t own, int64_t simd) {
  const int filled = layout->method == TABLE ? layout->filled : layout->width;
  const int64_t whole = own < simd ? simd / own : 1;
  if (whole > 1 && taps > 1) {
    for (int64_t tap = 0; tap < taps; tap += whole) {
      append_word(layout, tap * own, smaller(whole, taps - tap) * own, filled);
    }
    return;
  }
  for (int64_t tap = 0; tap < taps; ++tap) {
    for (int64_t c = 0; c < own; c += simd) {
      append_word(layout, tap * own + c, smaller(simd, own - c), filled);
    }
  }
  layout->tap_chunks = (int)(layout->chunks / taps);
}

/* True where no prefix can leave the range. */
static int is_safe(const Problem *p, int64_t taps) {
  int64_t highest = 0;
  const int64_t whole = p->own < p->simd ? p->simd / p->own : 1;
  if (p->own < p->simd) {
    for (int64_t tap = 0; tap < taps; tap += whole) {
      highest += added_by(p->unit, smaller(whole, taps - tap) * p->own);
    }
  } else {
    for (int64_t c = 0; c < p->own; c += p->simd) {
      highest += taps * added_by(p->unit, smaller(p->simd, p->own - c));
    }
  }
  return !p->preloaded && highest <= ((int64_t)1 << (p->bits - 1)) - 1;
}

static int64_t odd_words(const Problem *p, int64_t taps) {
  int64_t odd = 0;
  if (p->unit == DOT) return 0;
  if (p->own < p->simd) {
    const int64_t whole = p->simd / p->own;
    for (int64_t tap = 0; tap < taps; tap += whole) {
      odd += smaller(whole, taps - tap) * p->own % 2;
    }
    return odd;
  }
  for (int64_t c = 0; c < p->own; c += p->simd) {
    odd += taps * (smaller(p->simd, p->own - c) % 2);
  }
  return odd;
}

static void choose_method(const Problem *p, int64_t taps, int want_exact,
                          Layout *layout) {
  const int64_t operands = taps * p->own;
  const int64_t longest =
      p->own < p->simd ? smaller(p->simd / p->own, taps) * p->own : p->simd;
  layout->method = CLIP;
  layout->width = 32;
  layout->exact = want_exact;
  if (p->mode != SATURATE || is_safe(p, taps)) {
    layout->method = SUM;
  } else if (p->simd == 1) {
    layout->method = TABLE;
    layout->exact = 0;
    layout->width = p->level == AVX512 && p->bits > 8 && p->bits <= 16 ? 16 : 8;
    layout->filled = layout->width == 8 ? FULL8 : FULL16;
  } else if (p->level == AVX512 && longest <= 8 && p->bits <= 8 &&
             (!want_exact || operands <= 255)) {
    layout->width = 8;
  } else if (p->level == AVX512 && longest <= 16 && p->bits <= 16 &&
             operands <= 65535) {
    layout->width = 16;
  }
}

/* Sums may be cut at will: by taps, unless that wastes lanes. */
static int64_t sum_simd(const Layout *layout, int64_t taps, int64_t own) {
  const int64_t chunks = (own + layout->width - 1) / layout->width;
  const int wasteful = chunks * layout->width > 2 * own;
  return wasteful ? taps * own : own;
}

/* Returns 0, or -1 where there is no memory. */
int make_layout(const Problem *p, int want_exact, Layout *layout) {
  const int64_t taps = p->kernel[0] * p->kernel[1];
  const int64_t operands = taps * p->own;
  memset(layout, 0, sizeof(*layout));
  layout->taps = (int)taps;
  layout->own = (int)p->own;
  layout->bits = p->bits;
  layout->mode = p->mode;
  layout->unit = p->unit;
  layout->low = -((int64_t)1 << (p->bits - 1));
  layout->high = -layout->low - 1;
  layout->odd = odd_words(p, taps);
  choose_method(p, taps, want_exact, layout);
  layout->word = malloc((size_t)operands * sizeof(Word));
  layout->chunk = malloc((size_t)operands * sizeof(int32_t));
  layout->bit = malloc((size_t)operands * sizeof(int32_t));
  layout->offset = malloc((size_t)operands * sizeof(int32_t));
  if (!layout->word || !layout->chunk || !layout->bit || !layout->offset) {
    return -1;
  }
  int64_t simd = p->simd;
  if (layout->method == SUM) simd = sum_simd(layout, taps, p->own);
  if (layout->method == TABLE) simd = p->own;
  cut(layout, taps, p->own, simd);
  if (layout->method != CLIP) {
    /* The sum of all words' additions of the register, not of this cut's. */
    layout->added = p->unit == DOT ? operands : (operands + layout->odd) / 2;
  }
  const int64_t row = p->size[1] + p->before[1] + p->after[1];
  for (int q = 0; q < layout->chunks; ++q) {
    layout->offset[q] = q;
    if (!layout->tap_chunks) continue;
    const int64_t tap = q / layout->tap_chunks;
    const int64_t pixel = tap / p->kernel[1] * p->dilation[0] * row +
                          tap % p->kernel[1] * p->dilation[1];
    layout->offset[q] = (int32_t)(pixel * p->groups * layout->tap_chunks +
                                  q % layout->tap_chunks);
  }
  return 0;
}

void free_layout(Layout *layout) {
  free(layout->word);
  free(layout->chunk);
  free(layout->bit);
  free(layout->offset);
}

Map compose(const Layout *layout, int lanes, unsigned differ) {
  Map map = {0, (int32_t)layout->low, (int32_t)layout->high};
  for (int i = 0; i < lanes; ++i) {
    const int equal = !(differ >> i & 1);
    const int32_t step = layout->unit == DOT ? 2 * equal - 1 : equal;
    map.added += step;
    map.low = (int32_t)clip(map.low + step, layout->low, layout->high);
    map.high = (int32_t)clip(map.high + step, layout->low, layout->high);
  }
  return map;
}

Kernel *choose_kernel(const Layout *layout, int64_t level) {
#ifdef __x86_64__
  if (level == AVX512) {
    if (layout->method == SUM) return avx512_sum;
    if (layout->method == TABLE && layout->width == 16) return avx512_table16;
    if (layout->method == TABLE && layout->bits <= 8) return avx512_table8;
    if (layout->method == CLIP) {
      return layout->width == 8    ? avx512_clip8
             : layout->width == 16 ? avx512_clip16
                                   : avx512_clip32;
    }
  }
  if (level >= AVX2) {
    return layout->method == SUM    ? avx2_sum
           : layout->method == CLIP ? avx2_clip
                                    : avx2_table;
  }
#else
  (void)level;
#endif
  return layout->method == SUM    ? portable_sum
         : layout->method == CLIP ? portable_clip
                                  : portable_table;
}
