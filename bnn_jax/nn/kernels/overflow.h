/* Products of +-1 operands summed in narrow registers, on packed bits.
 *
 * docs/arithmetic.md, sections 2 and 3, is the definition. The bit of +1 is 1
 * and padding is 0. Bits that differ are counted, so a lane that is 0 on both
 * sides is no operand: a word of n lanes of which d differ has the sum n - 2d,
 * and adds ceil(n / 2) - d to a popcount register.
 *
 * A row is the bits of one output's operands, cut into chunks of `width` bits
 * that never cross a word. Kernels hold one output a lane, `512 / width` lanes
 * a block, and go through the row's chunks in the order of accumulation.
 */
#ifndef BNN_JAX_OVERFLOW_H_
#define BNN_JAX_OVERFLOW_H_

#include <stdint.h>

enum { EXACT = 0, WRAP = 1, SATURATE = 2 };
enum { DOT = 0, POPCOUNT = 1 };
enum { PORTABLE = 0, AVX2 = 1, AVX512 = 2 };

/* Rows that the kernels go through together. */
enum { ROWS = 4 };

/* What is to be computed. Axes: [0] time, [1] frequency. */
typedef struct {
  int64_t batch, size[2], channels;     /* Of x [B, T, F, C]. */
  int64_t kernel[2], own, outputs;      /* Of w [kT, kF, C / G, N]. */
  int64_t out[2], stride[2], before[2], after[2], dilation[2], groups;
  int64_t bits, mode, unit, simd, preloaded, level;
} Problem;

/* Chunks `first` to `last - 1` of a row, with `lanes` operands. */
typedef struct {
  int32_t first, last, lanes;
  int32_t added; /* The word's addition to the register where none differ. */
  int32_t low, high; /* The range, less what `added` amounts to so far. */
} Word;

typedef enum { SUM, CLIP, TABLE } Method;

/* How rows are cut, and how a register goes through them. */
typedef struct {
  Method method;
  int width;           /* Bits of a chunk, and of a lane of the kernel. */
  int filled;          /* Operands of a full chunk of method TABLE. */
  int exact;           /* Also gives the sums without overflow. */
  int chunks;          /* Of a row. */
  int tap_chunks;      /* Of a tap; 0 where words hold several taps. */
  int taps, own, words;
  Word *word;
  int32_t *chunk, *bit; /* [K], where each operand lies. */
  int32_t *offset;      /* [chunks], distance from a row's first chunk. */
  int64_t added;        /* Sum over words. */
  int64_t bits, mode, unit, low, high, odd;
} Layout;

/* Rows of one image and group. */
typedef struct {
  const Layout *layout;
  const void *x;         /* Chunks. */
  const int64_t *row;    /* [rows], each row's first chunk. */
  int64_t rows;
  const void *w;         /* [blocks][chunks][512 / width] of this group. */
  const int32_t *start;  /* [outputs] */
  int64_t outputs;
  float *result, *exact; /* [rows][stride]; exact may be NULL. */
  int64_t stride;
} Job;

typedef void Kernel(const Job *job);

/* layout.c */
int make_layout(const Problem *problem, int want_exact, Layout *layout);
void free_layout(Layout *layout);
Kernel *choose_kernel(const Layout *layout, int64_t level);

/* pack.c */
void *pack_weights(const Problem *problem, const Layout *layout,
                   const float *w);
int64_t row_chunks(const Problem *problem, const Layout *layout);
int64_t bit_bytes(const Problem *problem);
void pack_image(const Problem *problem, const Layout *layout, const float *x,
                uint8_t *bits, void *chunks, int64_t *row);

/* portable.c and avx512.c */
Kernel portable_sum, portable_clip, portable_table;
Kernel avx2_sum, avx2_clip, avx2_table;
Kernel avx512_sum, avx512_clip32, avx512_clip16, avx512_clip8;
Kernel avx512_table8, avx512_table16;

/* One of the maps of a table: x -> clip(x + added, low, high). */
typedef struct {
  int32_t added, low, high;
} Map;

/* The map of `lanes` single products whose differing bits are `differ`. */
Map compose(const Layout *layout, int lanes, unsigned differ);

#endif
