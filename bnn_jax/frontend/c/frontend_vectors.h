/* Vectors of 32-bit integers for the widest instruction set that the compiler
 * may use. Every set gives the same integers; LANES 1 is plain C.
 */
#ifndef BNN_JAX_FRONTEND_VECTORS_H_
#define BNN_JAX_FRONTEND_VECTORS_H_

#include <stdint.h>

#if !defined(FRONTEND_PLAIN) && FRONTEND_FFT_SIZE >= 128
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#elif defined(__SSE4_1__)
#define LANES 4
#endif
#endif

#if !defined(LANES)
#define LANES 1
#endif

#if LANES > 1
#include <immintrin.h>
#endif

#if LANES == 16

typedef __m512i Vector;

#define load(p) _mm512_loadu_si512(p)
/* Four integers, repeated. */
#define load_four(p) \
  _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define store(p, v) _mm512_storeu_si512(p, v)
#define add(a, b) _mm512_add_epi32(a, b)
#define sub(a, b) _mm512_sub_epi32(a, b)
#define quarter(a) _mm512_srai_epi32(a, 2)
#define add_wide(a, b) _mm512_add_epi64(a, b)
#define sub_wide(a, b) _mm512_sub_epi64(a, b)
#define multiply_even(a, b) _mm512_mul_epi32(a, b)
#define odd(a) _mm512_srli_epi64(a, 32)
#define high_halves(even, odds) \
  _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odds)
#define reverse(a)                                                          \
  _mm512_permutexvar_epi32(_mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, \
                                            11, 12, 13, 14, 15), a)

/* Stores each four lanes 16 integers after those before. */
static inline void store_fours(int32_t *p, Vector v) {
  _mm_storeu_si128((__m128i *)(void *)p, _mm512_castsi512_si128(v));
  _mm_storeu_si128((__m128i *)(void *)(p + 16), _mm512_extracti32x4_epi32(v, 1));
  _mm_storeu_si128((__m128i *)(void *)(p + 32), _mm512_extracti32x4_epi32(v, 2));
  _mm_storeu_si128((__m128i *)(void *)(p + 48), _mm512_extracti32x4_epi32(v, 3));
}

#elif LANES == 8

typedef __m256i Vector;

#define load(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define load_four(p) \
  _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define store(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define add(a, b) _mm256_add_epi32(a, b)
#define sub(a, b) _mm256_sub_epi32(a, b)
#define quarter(a) _mm256_srai_epi32(a, 2)
#define add_wide(a, b) _mm256_add_epi64(a, b)
#define sub_wide(a, b) _mm256_sub_epi64(a, b)
#define multiply_even(a, b) _mm256_mul_epi32(a, b)
#define odd(a) _mm256_srli_epi64(a, 32)
#define high_halves(even, odds) \
  _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odds, 0xaa)
#define reverse(a) \
  _mm256_permutevar8x32_epi32(a, _mm256_set_epi32(0, 1, 2, 3, 4, 5, 6, 7))

static inline void store_fours(int32_t *p, Vector v) {
  _mm_storeu_si128((__m128i *)(void *)p, _mm256_castsi256_si128(v));
  _mm_storeu_si128((__m128i *)(void *)(p + 16), _mm256_extracti128_si256(v, 1));
}

#elif LANES == 4

typedef __m128i Vector;

#define load(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define load_four(p) load(p)
#define store(p, v) _mm_storeu_si128((__m128i *)(void *)(p), v)
#define store_fours(p, v) store(p, v)
#define add(a, b) _mm_add_epi32(a, b)
#define sub(a, b) _mm_sub_epi32(a, b)
#define quarter(a) _mm_srai_epi32(a, 2)
#define add_wide(a, b) _mm_add_epi64(a, b)
#define sub_wide(a, b) _mm_sub_epi64(a, b)
#define multiply_even(a, b) _mm_mul_epi32(a, b)
#define odd(a) _mm_srli_epi64(a, 32)
#define high_halves(even, odds) \
  _mm_blend_epi16(_mm_srli_epi64(even, 32), odds, 0xcc)
#define reverse(a) _mm_shuffle_epi32(a, 0x1b)

#else

typedef int32_t Vector;

#define load(p) (*(p))
#define store(p, v) (*(p) = (v))
#define add(a, b) ((a) + (b))
#define sub(a, b) ((a) - (b))
#define quarter(a) ((a) >> 2)
#define reverse(a) (a)

#endif

/* The parts of a complex product, over 4; rounded down after the sum. */
#if LANES > 1

static inline Vector product_real(Vector r, Vector i, Vector cosine,
                                  Vector sine) {
  const Vector even =
      sub_wide(multiply_even(r, cosine), multiply_even(i, sine));
  const Vector odds = sub_wide(multiply_even(odd(r), odd(cosine)),
                               multiply_even(odd(i), odd(sine)));
  return high_halves(even, odds);
}

static inline Vector product_imag(Vector r, Vector i, Vector cosine,
                                  Vector sine) {
  const Vector even =
      add_wide(multiply_even(r, sine), multiply_even(i, cosine));
  const Vector odds = add_wide(multiply_even(odd(r), odd(sine)),
                               multiply_even(odd(i), odd(cosine)));
  return high_halves(even, odds);
}

#else

static inline int32_t product_real(int32_t r, int32_t i, int32_t cosine,
                                   int32_t sine) {
  return (int32_t)(((int64_t)r * cosine - (int64_t)i * sine) >> 32);
}

static inline int32_t product_imag(int32_t r, int32_t i, int32_t cosine,
                                   int32_t sine) {
  return (int32_t)(((int64_t)r * sine + (int64_t)i * cosine) >> 32);
}

#endif

#endif
