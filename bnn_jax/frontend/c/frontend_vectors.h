/* Vectors of LANES 32-bit integers for the widest instruction set that the
 * compiler may use. Every set gives the same integers; FRONTEND_PLAIN chooses
 * plain C, LANES 1.
 */
#ifndef BNN_JAX_FRONTEND_VECTORS_H_
#define BNN_JAX_FRONTEND_VECTORS_H_

#include <stdint.h>

#if defined(FRONTEND_PLAIN) || FRONTEND_FFT_SIZE < 128
#define LANES 1
#elif defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#elif defined(__SSE4_1__)
#define LANES 4
#else
#define LANES 1
#endif

#if LANES > 1
#include <immintrin.h>
#endif

#if LANES == 16

typedef __m512i Vector;

#define load(p) _mm512_loadu_si512((const void *)(p))
#define store(p, v) _mm512_storeu_si512((void *)(p), v)
#define add(a, b) _mm512_add_epi32(a, b)
#define sub(a, b) _mm512_sub_epi32(a, b)
#define quarter(a) _mm512_srai_epi32(a, 2)
#define shift_left(a, bits) _mm512_sll_epi32(a, _mm_cvtsi32_si128(bits))
#define shift_right(a, bits) _mm512_srli_epi32(a, bits)
#define reverse(a) _mm512_permutexvar_epi32(descending(), a)

#define add_wide(a, b) _mm512_add_epi64(a, b)
#define sub_wide(a, b) _mm512_sub_epi64(a, b)
#define shift_wide(a, bits) _mm512_srli_epi64(a, bits)
#define multiply_even(a, b) _mm512_mul_epi32(a, b)
#define blend_odd(even, odd) _mm512_mask_blend_epi32(0xaaaa, even, odd)

static inline Vector descending(void) {
  return _mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

static inline Vector load_wide(const int32_t *p) {
  return _mm512_cvtepi32_epi64(_mm256_loadu_si256((const void *)p));
}

static inline Vector load_four(const int32_t *p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)p));
}

static inline void store_fours(int32_t *p, Vector v) {
  _mm_storeu_si128((void *)p, _mm512_castsi512_si128(v));
  _mm_storeu_si128((void *)(p + 16), _mm512_extracti32x4_epi32(v, 1));
  _mm_storeu_si128((void *)(p + 32), _mm512_extracti32x4_epi32(v, 2));
  _mm_storeu_si128((void *)(p + 48), _mm512_extracti32x4_epi32(v, 3));
}

#elif LANES == 8

typedef __m256i Vector;

#define load(p) _mm256_loadu_si256((const void *)(p))
#define store(p, v) _mm256_storeu_si256((void *)(p), v)
#define add(a, b) _mm256_add_epi32(a, b)
#define sub(a, b) _mm256_sub_epi32(a, b)
#define quarter(a) _mm256_srai_epi32(a, 2)
#define shift_left(a, bits) _mm256_sll_epi32(a, _mm_cvtsi32_si128(bits))
#define shift_right(a, bits) _mm256_srli_epi32(a, bits)
#define reverse(a) _mm256_permutevar8x32_epi32(a, descending())

#define add_wide(a, b) _mm256_add_epi64(a, b)
#define sub_wide(a, b) _mm256_sub_epi64(a, b)
#define shift_wide(a, bits) _mm256_srli_epi64(a, bits)
#define multiply_even(a, b) _mm256_mul_epi32(a, b)
#define blend_odd(even, odd) _mm256_blend_epi32(even, odd, 0xaa)

static inline Vector descending(void) {
  return _mm256_set_epi32(0, 1, 2, 3, 4, 5, 6, 7);
}

static inline Vector load_wide(const int32_t *p) {
  return _mm256_cvtepi32_epi64(_mm_loadu_si128((const void *)p));
}

static inline Vector load_four(const int32_t *p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)p));
}

static inline void store_fours(int32_t *p, Vector v) {
  _mm_storeu_si128((void *)p, _mm256_castsi256_si128(v));
  _mm_storeu_si128((void *)(p + 16), _mm256_extracti128_si256(v, 1));
}

#elif LANES == 4

typedef __m128i Vector;

#define load(p) _mm_loadu_si128((const void *)(p))
#define store(p, v) _mm_storeu_si128((void *)(p), v)
#define add(a, b) _mm_add_epi32(a, b)
#define sub(a, b) _mm_sub_epi32(a, b)
#define quarter(a) _mm_srai_epi32(a, 2)
#define shift_left(a, bits) _mm_sll_epi32(a, _mm_cvtsi32_si128(bits))
#define shift_right(a, bits) _mm_srli_epi32(a, bits)
#define reverse(a) _mm_shuffle_epi32(a, 0x1b)

#define add_wide(a, b) _mm_add_epi64(a, b)
#define sub_wide(a, b) _mm_sub_epi64(a, b)
#define shift_wide(a, bits) _mm_srli_epi64(a, bits)
#define multiply_even(a, b) _mm_mul_epi32(a, b)
#define blend_odd(even, odd) _mm_blend_epi16(even, odd, 0xcc)

static inline Vector load_wide(const int32_t *p) {
  return _mm_cvtepi32_epi64(_mm_loadl_epi64((const void *)p));
}

#else

typedef int32_t Vector;

#define load(p) (*(p))
#define store(p, v) (*(p) = (v))
#define add(a, b) ((a) + (b))
#define sub(a, b) ((a) - (b))
#define quarter(a) ((a) >> 2)
#define reverse(a) (a)

#endif

/* Products are the upper halves of 64-bit ones, which rounds down: with a
 * weight of which 2^30 is 1, the product over 4. That of complex numbers rounds
 * after its sum.
 */
#if LANES > 1

#define odd_lanes(a) shift_wide(a, 32)

static inline Vector high_halves(Vector even, Vector odd) {
  return blend_odd(shift_wide(even, 32), odd);
}

static inline Vector product(Vector a, Vector b) {
  return high_halves(multiply_even(a, b),
                     multiply_even(odd_lanes(a), odd_lanes(b)));
}

static inline Vector product_real(Vector r, Vector i, Vector cosine,
                                  Vector sine) {
  const Vector even =
      sub_wide(multiply_even(r, cosine), multiply_even(i, sine));
  const Vector odd =
      sub_wide(multiply_even(odd_lanes(r), odd_lanes(cosine)),
               multiply_even(odd_lanes(i), odd_lanes(sine)));
  return high_halves(even, odd);
}

static inline Vector product_imag(Vector r, Vector i, Vector cosine,
                                  Vector sine) {
  const Vector even =
      add_wide(multiply_even(r, sine), multiply_even(i, cosine));
  const Vector odd =
      add_wide(multiply_even(odd_lanes(r), odd_lanes(sine)),
               multiply_even(odd_lanes(i), odd_lanes(cosine)));
  return high_halves(even, odd);
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
