/* LANES outputs side by side, as bytes and as two halves of 16-bit integers,
 * for the widest instruction set that the compiler may use. Every set gives the
 * same integers; BNN_PLAIN demands plain C.
 */

#if defined(BNN_PLAIN)
#define LANES 0
#elif defined(__AVX512BITALG__) && defined(__AVX512BW__)
#define LANES 64
#elif defined(__AVX2__)
#define LANES 32
#elif defined(__ARM_NEON)
#define LANES 16
#else
#define LANES 0
#endif

#if LANES == 16
#include <arm_neon.h>
#elif defined(__SSE2__) && !defined(BNN_PLAIN)
#include <immintrin.h>
#endif

#if LANES == 64

typedef __m512i Bytes;
typedef __m512i Shorts;

#define load_bytes(p) _mm512_loadu_si512((const void *)(p))
#define load_shorts(p) _mm512_loadu_si512((const void *)(p))
#define store_shorts(p, v) _mm512_storeu_si512((void *)(p), v)
/* Four equal bytes, to all lanes. */
#define spread(p) _mm512_set1_epi32((int)*(p))
#define every_byte(x) _mm512_set1_epi8((char)(x))
#define every_short(x) _mm512_set1_epi16((short)(x))
#define unequal(a, b) _mm512_xor_si512(a, b)
#define count_bits(v) _mm512_popcnt_epi8(v)
#define add_bytes(a, b) _mm512_add_epi8(a, b)
#define sub_bytes(a, b) _mm512_sub_epi8(a, b)
#define sum_bytes(a, b) _mm512_adds_epi8(a, b)
#define min_bytes(a, b) _mm512_min_epi8(a, b)
#define max_bytes(a, b) _mm512_max_epi8(a, b)
#define add_shorts(a, b) _mm512_add_epi16(a, b)
#define sub_shorts(a, b) _mm512_sub_epi16(a, b)
#define sum_shorts(a, b) _mm512_adds_epi16(a, b)
#define min_shorts(a, b) _mm512_min_epi16(a, b)
#define max_shorts(a, b) _mm512_max_epi16(a, b)
#define shift_left(v, n) _mm512_sll_epi16(v, _mm_cvtsi32_si128(n))
#define shift_right(v, n) _mm512_sra_epi16(v, _mm_cvtsi32_si128(n))
#define low_half(v) _mm512_castsi512_si256(v)
#define high_half(v) _mm512_extracti64x4_epi64(v, 1)
#define unsigned_low(v) _mm512_cvtepu8_epi16(low_half(v))
#define unsigned_high(v) _mm512_cvtepu8_epi16(high_half(v))
#define signed_low(v) _mm512_cvtepi8_epi16(low_half(v))
#define signed_high(v) _mm512_cvtepi8_epi16(high_half(v))

#elif LANES == 32

typedef __m256i Bytes;
typedef __m256i Shorts;

#define load_bytes(p) _mm256_loadu_si256((const void *)(p))
#define load_shorts(p) _mm256_loadu_si256((const void *)(p))
#define store_shorts(p, v) _mm256_storeu_si256((void *)(p), v)
#define spread(p) _mm256_set1_epi32((int)*(p))
#define every_byte(x) _mm256_set1_epi8((char)(x))
#define every_short(x) _mm256_set1_epi16((short)(x))
#define unequal(a, b) _mm256_xor_si256(a, b)
#define add_bytes(a, b) _mm256_add_epi8(a, b)
#define sub_bytes(a, b) _mm256_sub_epi8(a, b)
#define sum_bytes(a, b) _mm256_adds_epi8(a, b)
#define min_bytes(a, b) _mm256_min_epi8(a, b)
#define max_bytes(a, b) _mm256_max_epi8(a, b)
#define add_shorts(a, b) _mm256_add_epi16(a, b)
#define sub_shorts(a, b) _mm256_sub_epi16(a, b)
#define sum_shorts(a, b) _mm256_adds_epi16(a, b)
#define min_shorts(a, b) _mm256_min_epi16(a, b)
#define max_shorts(a, b) _mm256_max_epi16(a, b)
#define shift_left(v, n) _mm256_sll_epi16(v, _mm_cvtsi32_si128(n))
#define shift_right(v, n) _mm256_sra_epi16(v, _mm_cvtsi32_si128(n))
#define low_half(v) _mm256_castsi256_si128(v)
#define high_half(v) _mm256_extracti128_si256(v, 1)
#define unsigned_low(v) _mm256_cvtepu8_epi16(low_half(v))
#define unsigned_high(v) _mm256_cvtepu8_epi16(high_half(v))
#define signed_low(v) _mm256_cvtepi8_epi16(low_half(v))
#define signed_high(v) _mm256_cvtepi8_epi16(high_half(v))

/* Looks up the ones of each half of a byte. */
BNN_INLINE Bytes count_bits(Bytes v) {
  const Bytes ones = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
  const Bytes half = every_byte(15);
  const Bytes low = _mm256_and_si256(v, half);
  const Bytes high = _mm256_and_si256(_mm256_srli_epi16(v, 4), half);
  return add_bytes(_mm256_shuffle_epi8(ones, low),
                   _mm256_shuffle_epi8(ones, high));
}

#elif LANES == 16

typedef uint8x16_t Bytes;
typedef int16x8_t Shorts;

#define signed_bytes(v) vreinterpretq_s8_u8(v)
#define plain_bytes(v) vreinterpretq_u8_s8(v)
#define load_bytes(p) vld1q_u8((const uint8_t *)(p))
#define load_shorts(p) vld1q_s16(p)
#define store_shorts(p, v) vst1q_s16(p, v)
#define spread(p) vreinterpretq_u8_u32(vld1q_dup_u32(p))
#define every_byte(x) vdupq_n_u8((uint8_t)(x))
#define every_short(x) vdupq_n_s16((int16_t)(x))
#define unequal(a, b) veorq_u8(a, b)
#define count_bits(v) vcntq_u8(v)
#define add_bytes(a, b) vaddq_u8(a, b)
#define sub_bytes(a, b) vsubq_u8(a, b)
#define sum_bytes(a, b) \
  plain_bytes(vqaddq_s8(signed_bytes(a), signed_bytes(b)))
#define min_bytes(a, b) plain_bytes(vminq_s8(signed_bytes(a), signed_bytes(b)))
#define max_bytes(a, b) plain_bytes(vmaxq_s8(signed_bytes(a), signed_bytes(b)))
#define add_shorts(a, b) vaddq_s16(a, b)
#define sub_shorts(a, b) vsubq_s16(a, b)
#define sum_shorts(a, b) vqaddq_s16(a, b)
#define min_shorts(a, b) vminq_s16(a, b)
#define max_shorts(a, b) vmaxq_s16(a, b)
#define shift_left(v, n) vshlq_s16(v, every_short(n))
#define shift_right(v, n) vshlq_s16(v, every_short(-(n)))
#define unsigned_low(v) vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(v)))
#define unsigned_high(v) vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(v)))
#define signed_low(v) vmovl_s8(vget_low_s8(signed_bytes(v)))
#define signed_high(v) vmovl_s8(vget_high_s8(signed_bytes(v)))

#endif
