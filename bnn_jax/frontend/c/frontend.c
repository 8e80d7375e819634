#include "frontend.h"

#define HALF (FRONTEND_FFT_SIZE / 2)

/* The result of >> on a negative number is the compiler's choice. */
typedef char shifts_are_arithmetic[(-1 >> 1) == -1 ? 1 : -1];

typedef struct {
  int32_t real[HALF];
  int32_t imag[HALF];
} Spectrum;

/* x times a weight of which 2^30 is 1, over 4, rounded down. */
static inline int32_t high(int32_t x, int32_t weight) {
  return (int32_t)(((int64_t)x * weight) >> 32);
}

static int bit_length(uint64_t x) {
  int bits = 0;
  int step;
  for (step = 32; step > 0; step /= 2) {
    if (x >> step != 0) {
      x >>= step;
      bits += step;
    }
  }
  return bits + (x != 0);
}

static int frame_shift(const int16_t *samples) {
  int32_t magnitude = 0;
  int shift, i;
  for (i = 0; i < FRONTEND_WINDOW; i++) {
    /* A negative number's complement has as many bits and is positive. */
    magnitude |= samples[i] ^ (samples[i] >> 15);
  }
  shift = 15 - bit_length((uint64_t)magnitude);
  return shift < FRONTEND_MOST_SHIFT ? shift : FRONTEND_MOST_SHIFT;
}

/* Even samples become real parts, odd samples imaginary parts. */
static void apply_window(const int16_t *samples, int shift, Spectrum *x) {
  const int32_t scale = (int32_t)1 << (16 + shift);
  int i;
  for (i = 0; i < FRONTEND_WINDOW / 2; i++) {
    x->real[i] = high(samples[2 * i] * scale, frontend_window[2 * i]);
    x->imag[i] = high(samples[2 * i + 1] * scale, frontend_window[2 * i + 1]);
  }
#if FRONTEND_WINDOW % 2
  x->real[i] = high(samples[2 * i] * scale, frontend_window[2 * i]);
  x->imag[i++] = 0;
#endif
  for (; i < HALF; i++) {
    x->real[i] = 0;
    x->imag[i] = 0;
  }
}

static void first_stage(const Spectrum *restrict x, Spectrum *restrict y) {
  enum { QUARTER = HALF / 4 };
  const int32_t *restrict xr = x->real, *restrict xi = x->imag;
  int32_t *restrict yr = y->real, *restrict yi = y->imag;
  int i;
  for (i = 0; i < QUARTER; i++) {
    const int32_t ar = xr[i] >> 2, ai = xi[i] >> 2;
    const int32_t br = xr[i + QUARTER] >> 2, bi = xi[i + QUARTER] >> 2;
    const int32_t cr = xr[i + 2 * QUARTER] >> 2, ci = xi[i + 2 * QUARTER] >> 2;
    const int32_t dr = xr[i + 3 * QUARTER] >> 2, di = xi[i + 3 * QUARTER] >> 2;
    yr[4 * i] = (ar + cr) + (br + dr);
    yi[4 * i] = (ai + ci) + (bi + di);
    yr[4 * i + 1] = (ar - cr) + (bi - di);
    yi[4 * i + 1] = (ai - ci) - (br - dr);
    yr[4 * i + 2] = (ar + cr) - (br + dr);
    yi[4 * i + 2] = (ai + ci) - (bi + di);
    yr[4 * i + 3] = (ar - cr) - (bi - di);
    yi[4 * i + 3] = (ai - ci) + (br - dr);
  }
}

/* Joins transforms of `length` points to transforms of four times as many. */
static inline void stage_of_four(
    const Spectrum *restrict x, Spectrum *restrict y,
    const int32_t *restrict factors, int length) {
  enum { QUARTER = HALF / 4 };
  const int32_t *restrict cosine = factors;
  const int32_t *restrict sine = factors + 3 * length;
  int c, k;
  for (c = 0; c < QUARTER; c += length) {
    const int32_t *restrict xr = x->real + c, *restrict xi = x->imag + c;
    int32_t *restrict yr = y->real + 4 * c, *restrict yi = y->imag + 4 * c;
    for (k = 0; k < length; k++) {
      const int32_t bcos = cosine[k], bsin = sine[k];
      const int32_t ccos = cosine[k + length], csin = sine[k + length];
      const int32_t dcos = cosine[k + 2 * length], dsin = sine[k + 2 * length];
      const int32_t xbr = xr[k + QUARTER], xbi = xi[k + QUARTER];
      const int32_t xcr = xr[k + 2 * QUARTER], xci = xi[k + 2 * QUARTER];
      const int32_t xdr = xr[k + 3 * QUARTER], xdi = xi[k + 3 * QUARTER];
      const int32_t ar = xr[k] >> 2, ai = xi[k] >> 2;
      const int32_t br = high(xbr, bcos) - high(xbi, bsin);
      const int32_t bi = high(xbr, bsin) + high(xbi, bcos);
      const int32_t cr = high(xcr, ccos) - high(xci, csin);
      const int32_t ci = high(xcr, csin) + high(xci, ccos);
      const int32_t dr = high(xdr, dcos) - high(xdi, dsin);
      const int32_t di = high(xdr, dsin) + high(xdi, dcos);
      yr[k] = (ar + cr) + (br + dr);
      yi[k] = (ai + ci) + (bi + di);
      yr[k + length] = (ar - cr) + (bi - di);
      yi[k + length] = (ai - ci) - (br - dr);
      yr[k + 2 * length] = (ar + cr) - (br + dr);
      yi[k + 2 * length] = (ai + ci) - (bi + di);
      yr[k + 3 * length] = (ar - cr) - (bi - di);
      yi[k + 3 * length] = (ai - ci) + (br - dr);
    }
  }
}

#if FRONTEND_LAST_RADIX == 2
static void stage_of_two(
    const Spectrum *restrict x, Spectrum *restrict y,
    const int32_t *restrict factors) {
  enum { LENGTH = HALF / 2 };
  int k;
  for (k = 0; k < LENGTH; k++) {
    const int32_t cosine = factors[k], sine = factors[k + LENGTH];
    const int32_t xr = x->real[k + LENGTH], xi = x->imag[k + LENGTH];
    const int32_t ar = x->real[k] >> 2, ai = x->imag[k] >> 2;
    const int32_t br = high(xr, cosine) - high(xi, sine);
    const int32_t bi = high(xr, sine) + high(xi, cosine);
    y->real[k] = ar + br;
    y->imag[k] = ai + bi;
    y->real[k + LENGTH] = ar - br;
    y->imag[k + LENGTH] = ai - bi;
  }
}
#endif

/* Transforms x; the result, in x or in y, is returned. */
static const Spectrum *transform(Spectrum *x, Spectrum *y) {
  const int32_t *factors = frontend_factors;
  int length;
  first_stage(x, y);
  for (length = 4; length <= HALF / 4; length *= 4) {
    Spectrum *result = x;
    x = y;
    y = result;
    /* A constant lets the compiler fill its vectors. */
    if (length == 4) {
      stage_of_four(x, y, factors, 4);
    } else {
      stage_of_four(x, y, factors, length);
    }
    factors += 6 * length;
  }
#if FRONTEND_LAST_RADIX == 2
  stage_of_two(y, x, factors);
  return x;
#else
  return y;
#endif
}

static inline uint64_t power_of(int32_t real, int32_t imag) {
  const int64_t r = real, i = imag;
  return (uint64_t)(r * r + i * i) >> FRONTEND_POWER_SHIFT;
}

/* The powers of the 2 * HALF samples' spectrum at frequencies k and HALF - k.
 */
static inline void split(const Spectrum *z, int k, uint64_t *low,
                         uint64_t *high_power) {
  const int m = HALF - k;
  const int32_t cosine = frontend_split[k - 1];
  const int32_t sine = frontend_split[k - 1 + HALF / 2];
  const int32_t sum_r = z->real[k] + z->real[m];
  const int32_t sum_i = z->imag[k] + z->imag[m];
  const int32_t diff_r = z->real[m] - z->real[k];
  const int32_t diff_i = z->imag[k] - z->imag[m];
  const int32_t odd_r = high(sum_i, cosine) - high(diff_r, sine);
  const int32_t odd_i = high(sum_i, sine) + high(diff_r, cosine);
  const int32_t even_r = sum_r >> 2, even_i = diff_i >> 2;
  *low = power_of(even_r + odd_r, even_i + odd_i);
  *high_power = power_of(even_r - odd_r, even_i - odd_i);
}

/* Writes frequencies 1 to HALF - 1 of HALF powers. */
static void power_spectrum(const Spectrum *restrict z, uint64_t *power) {
  uint64_t *restrict below = power, *restrict above = power + HALF / 2;
  uint64_t unused;
  int k;
  for (k = 1; k < HALF / 2; k++) {
    split(z, k, &below[k], &above[HALF / 2 - k]);
  }
  split(z, HALF / 2, &above[0], &unused);
}

/* log2(x) * 2^24 for x >= 1. */
static int32_t log2_of(uint64_t x) {
  const int exponent = bit_length(x) - 1;
  const uint64_t mantissa = x << (63 - exponent);
  const uint32_t segment = (uint32_t)(mantissa >> 55) & 255;
  const uint32_t fraction = (uint32_t)(mantissa >> 40) & 0x7fff;
  const uint32_t at = frontend_log2[segment];
  const uint32_t rise = (frontend_log2[segment + 1] - at) * fraction >> 15;
  return (int32_t)((uint32_t)exponent * 0x1000000 + at + rise);
}

static uint8_t quantize(uint64_t mel, int shift) {
  const uint64_t floored = mel + ((uint64_t)FRONTEND_FLOOR << (2 * shift));
  const int64_t octaves = log2_of(floored) - shift * 0x2000000;
  const int64_t steps =
      (octaves * FRONTEND_SLOPE - FRONTEND_OFFSET) >> FRONTEND_SHIFT;
  if (steps < 0) {
    return 0;
  }
  return (uint8_t)(steps < FRONTEND_LARGEST ? steps : FRONTEND_LARGEST);
}

/* On a segment one filter falls and the next rises; their weights sum to 1. */
static void filter(const uint64_t *power, int shift, uint8_t *q) {
  uint64_t rising = 0;
  int g, k = frontend_mel_starts[0];
  for (g = 0; g <= FRONTEND_BINS; g++) {
    uint64_t up = 0, all = 0;
    for (; k < frontend_mel_starts[g + 1]; k++) {
      up += power[k] * frontend_mel_rise[k];
      all += power[k];
    }
    if (g > 0) {
      q[g - 1] = quantize(rising + (all << FRONTEND_MEL_BITS) - up, shift);
    }
    rising = up;
  }
}

void frontend_frame(const int16_t *samples, uint8_t *q) {
  Spectrum x, y;
  uint64_t power[HALF];
  const int shift = frame_shift(samples);
  apply_window(samples, shift, &x);
  power_spectrum(transform(&x, &y), power);
  filter(power, shift, q);
}

long frontend_clip(const int16_t *samples, long count, uint8_t *q) {
  long frames = 0;
  for (; count >= FRONTEND_WINDOW; count -= FRONTEND_HOP) {
    frontend_frame(samples, q);
    samples += FRONTEND_HOP;
    q += FRONTEND_BINS;
    frames++;
  }
  return frames;
}
