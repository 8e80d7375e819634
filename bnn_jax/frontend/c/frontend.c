#include "frontend.h"

#include "frontend_vectors.h"

enum { HALF = FRONTEND_FFT_SIZE / 2, QUARTER = HALF / 4 };

/* C leaves >> of a negative number to the compiler; it must round down. */
typedef char shifts_are_arithmetic[(-1 >> 1) == -1 ? 1 : -1];

typedef struct {
  int32_t real[HALF];
  int32_t imag[HALF];
} Spectrum;

static int bit_length(uint64_t x) {
#if defined(__GNUC__)
  return x != 0 ? 64 - __builtin_clzll(x) : 0;
#else
  int bits = 0;
  int step;
  for (step = 32; step > 0; step /= 2) {
    if (x >> step != 0) {
      x >>= step;
      bits += step;
    }
  }
  return bits + (x != 0);
#endif
}

static int frame_shift(const int16_t *samples) {
  uint16_t magnitude = 0;
  int shift, i;
  for (i = 0; i < FRONTEND_WINDOW; i++) {
    /* A negative number's complement has as many bits and is positive. */
    magnitude |= (uint16_t)(samples[i] ^ (samples[i] >> 15));
  }
  shift = 15 - bit_length(magnitude);
  return shift < FRONTEND_MOST_SHIFT ? shift : FRONTEND_MOST_SHIFT;
}

static inline int32_t windowed(int16_t sample, int32_t scale, int32_t weight) {
  return (int32_t)(((int64_t)(sample * scale) * weight) >> 32);
}

/* Even samples become real parts, odd samples imaginary parts. */
static void apply_window(const int16_t *samples, int shift, Spectrum *x) {
  const int32_t scale = (int32_t)1 << (16 + shift);
  const int32_t *even = frontend_window;
  const int32_t *odds = frontend_window + (FRONTEND_WINDOW + 1) / 2;
  enum { PAIRS = FRONTEND_WINDOW / 2 };
  int i;
#if LANES > 1
  enum { IN_VECTORS = PAIRS / LANES * LANES };
  for (i = 0; i < IN_VECTORS; i += LANES) {
    const Vector pair = load(samples + 2 * i);
    const Vector first = shift_left(pair, 16 + shift);
    const Vector second = shift_left(shift_right(pair, 16), 16 + shift);
    store(x->real + i, product(first, load(even + i)));
    store(x->imag + i, product(second, load(odds + i)));
  }
#else
  enum { IN_VECTORS = 0 };
#endif
  for (i = IN_VECTORS; i < PAIRS; i++) {
    x->real[i] = windowed(samples[2 * i], scale, even[i]);
    x->imag[i] = windowed(samples[2 * i + 1], scale, odds[i]);
  }
  for (i = PAIRS; i < HALF; i++) {
    x->real[i] = 0;
    x->imag[i] = 0;
  }
#if FRONTEND_WINDOW % 2
  x->real[PAIRS] = windowed(samples[2 * PAIRS], scale, even[PAIRS]);
#endif
}

/* The first stage joins single points, whose factors are all 1. */
static void first_stage(const Spectrum *restrict x, Spectrum *restrict y) {
  const int32_t *restrict xr = x->real, *restrict xi = x->imag;
  int32_t *restrict yr = y->real, *restrict yi = y->imag;
  int c;
  for (c = 0; c < QUARTER; c++) {
    const int32_t ar = xr[c] >> 2, ai = xi[c] >> 2;
    const int32_t br = xr[c + QUARTER] >> 2, bi = xi[c + QUARTER] >> 2;
    const int32_t cr = xr[c + 2 * QUARTER] >> 2, ci = xi[c + 2 * QUARTER] >> 2;
    const int32_t dr = xr[c + 3 * QUARTER] >> 2, di = xi[c + 3 * QUARTER] >> 2;
    yr[4 * c] = (ar + cr) + (br + dr);
    yi[4 * c] = (ai + ci) + (bi + di);
    yr[4 * c + 1] = (ar - cr) + (bi - di);
    yi[4 * c + 1] = (ai - ci) - (br - dr);
    yr[4 * c + 2] = (ar + cr) - (br + dr);
    yi[4 * c + 2] = (ai + ci) - (bi + di);
    yr[4 * c + 3] = (ar - cr) - (bi - di);
    yi[4 * c + 3] = (ai - ci) + (br - dr);
  }
}

typedef struct {
  Vector real[4];
  Vector imag[4];
} Four;

/* Four-point transforms of x[0], x[QUARTER]...; f: the factors of the last
 * three, first all cosines, then all negative sines.
 */
static inline Four join_four(const int32_t *xr, const int32_t *xi,
                             const Vector f[6]) {
  const Vector br = load(xr + QUARTER), bi = load(xi + QUARTER);
  const Vector cr = load(xr + 2 * QUARTER), ci = load(xi + 2 * QUARTER);
  const Vector dr = load(xr + 3 * QUARTER), di = load(xi + 3 * QUARTER);
  const Vector ar = quarter(load(xr)), ai = quarter(load(xi));
  const Vector wbr = product_real(br, bi, f[0], f[3]);
  const Vector wbi = product_imag(br, bi, f[0], f[3]);
  const Vector wcr = product_real(cr, ci, f[1], f[4]);
  const Vector wci = product_imag(cr, ci, f[1], f[4]);
  const Vector wdr = product_real(dr, di, f[2], f[5]);
  const Vector wdi = product_imag(dr, di, f[2], f[5]);
  Four y;
  y.real[0] = add(add(ar, wcr), add(wbr, wdr));
  y.imag[0] = add(add(ai, wci), add(wbi, wdi));
  y.real[1] = add(sub(ar, wcr), sub(wbi, wdi));
  y.imag[1] = sub(sub(ai, wci), sub(wbr, wdr));
  y.real[2] = sub(add(ar, wcr), add(wbr, wdr));
  y.imag[2] = sub(add(ai, wci), add(wbi, wdi));
  y.real[3] = sub(sub(ar, wcr), sub(wbi, wdi));
  y.imag[3] = add(sub(ai, wci), sub(wbr, wdr));
  return y;
}

/* Joins transforms of `length` points to transforms of four times as many. */
static void stage_of_four(const Spectrum *restrict x, Spectrum *restrict y,
                          const int32_t *restrict factors, int length) {
  int c, k, t;
  for (c = 0; c < QUARTER; c += length) {
    for (k = 0; k < length; k += LANES) {
      Vector f[6];
      Four four;
      for (t = 0; t < 6; t++) {
        f[t] = load(factors + t * length + k);
      }
      four = join_four(x->real + c + k, x->imag + c + k, f);
      for (t = 0; t < 4; t++) {
        store(y->real + 4 * c + t * length + k, four.real[t]);
        store(y->imag + 4 * c + t * length + k, four.imag[t]);
      }
    }
  }
}

#if LANES > 4
/* As above, for length 4: a vector holds four points of each of several
 * transforms, whose results lie 16 integers apart.
 */
static void stage_of_fours(const Spectrum *restrict x, Spectrum *restrict y,
                           const int32_t *restrict factors) {
  Vector f[6];
  int c, t;
  for (t = 0; t < 6; t++) {
    f[t] = load_four(factors + 4 * t);
  }
  for (c = 0; c < QUARTER; c += LANES) {
    const Four four = join_four(x->real + c, x->imag + c, f);
    for (t = 0; t < 4; t++) {
      store_fours(y->real + 4 * c + 4 * t, four.real[t]);
      store_fours(y->imag + 4 * c + 4 * t, four.imag[t]);
    }
  }
}
#endif

#if FRONTEND_LAST_RADIX == 2
static void stage_of_two(const Spectrum *restrict x, Spectrum *restrict y,
                         const int32_t *restrict factors) {
  enum { LENGTH = HALF / 2 };
  int k;
  for (k = 0; k < LENGTH; k += LANES) {
    const Vector cosine = load(factors + k), sine = load(factors + LENGTH + k);
    const Vector br = load(x->real + LENGTH + k);
    const Vector bi = load(x->imag + LENGTH + k);
    const Vector ar = quarter(load(x->real + k));
    const Vector ai = quarter(load(x->imag + k));
    const Vector wbr = product_real(br, bi, cosine, sine);
    const Vector wbi = product_imag(br, bi, cosine, sine);
    store(y->real + k, add(ar, wbr));
    store(y->imag + k, add(ai, wbi));
    store(y->real + LENGTH + k, sub(ar, wbr));
    store(y->imag + LENGTH + k, sub(ai, wbi));
  }
}
#endif

/* Transforms x, with y for intermediate results; returns which holds the
 * result.
 */
static Spectrum *transform(Spectrum *x, Spectrum *y) {
  const int32_t *factors = frontend_factors;
  int length;
  first_stage(x, y);
  for (length = 4; length <= QUARTER; length *= 4) {
    Spectrum *result = x;
    x = y;
    y = result;
#if LANES > 4
    if (length == 4) {
      stage_of_fours(x, y, factors);
    } else {
      stage_of_four(x, y, factors, length);
    }
#else
    stage_of_four(x, y, factors, length);
#endif
    factors += 6 * length;
  }
#if FRONTEND_LAST_RADIX == 2
  stage_of_two(y, x, factors);
  return x;
#else
  return y;
#endif
}

/* From the transform of HALF complex points to frequencies 1 to HALF - 1 of
 * that of as many pairs of samples.
 */
static void split(const Spectrum *restrict z, Spectrum *restrict y) {
  int k;
  for (k = 1; k <= HALF / 2; k += LANES) {
    const int mirror = HALF + 1 - LANES - k;
    const Vector cosine = load(frontend_split + k - 1);
    const Vector sine = load(frontend_split + k - 1 + HALF / 2);
    const Vector zr = load(z->real + k), zi = load(z->imag + k);
    const Vector mr = reverse(load(z->real + mirror));
    const Vector mi = reverse(load(z->imag + mirror));
    const Vector even_r = quarter(add(zr, mr)), even_i = quarter(sub(zi, mi));
    const Vector odd_r = product_real(add(zi, mi), sub(mr, zr), cosine, sine);
    const Vector odd_i = product_imag(add(zi, mi), sub(mr, zr), cosine, sine);
    store(y->real + mirror, reverse(sub(even_r, odd_r)));
    store(y->imag + mirror, reverse(sub(even_i, odd_i)));
    store(y->real + k, add(even_r, odd_r));
    store(y->imag + k, add(even_i, odd_i));
  }
}

/* Writes HALF powers, the first of no use. */
static void power_of(const Spectrum *restrict y, uint64_t *restrict power) {
  int k;
#if LANES > 1
  for (k = 0; k < HALF; k += LANES / 2) {
    const Vector r = load_wide(y->real + k), i = load_wide(y->imag + k);
    const Vector sum = add_wide(multiply_even(r, r), multiply_even(i, i));
    store(power + k, shift_wide(sum, FRONTEND_POWER_SHIFT));
  }
#else
  for (k = 0; k < HALF; k++) {
    const int64_t r = (int64_t)y->real[k] * y->real[k];
    const int64_t i = (int64_t)y->imag[k] * y->imag[k];
    power[k] = (uint64_t)(r + i) >> FRONTEND_POWER_SHIFT;
  }
#endif
}

/* On segment g filter g - 1 falls and filter g rises; their weights add up to
 * 1. No filter falls on the first segment, and none rises on the last.
 */
static void filter(const uint64_t *power, uint64_t *mel) {
  uint64_t rising = 0;
  int g, k = frontend_mel_starts[0];
  for (g = 0; g <= FRONTEND_BINS; g++) {
    const int end = frontend_mel_starts[g + 1];
    uint64_t up = 0, all = 0;
    for (; k < end; k++) {
      up += power[k] * frontend_mel_rise[k];
      all += power[k];
    }
    if (g > 0) {
      mel[g - 1] = rising + (all << FRONTEND_MEL_BITS) - up;
    }
    rising = up;
  }
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
  const uint64_t floored = mel + (FRONTEND_FLOOR << (2 * shift));
  const int64_t octaves = log2_of(floored) - shift * 0x2000000;
  const int64_t steps =
      (octaves * FRONTEND_SLOPE - FRONTEND_OFFSET) >> FRONTEND_SHIFT;
  if (steps < 0) {
    return 0;
  }
  return (uint8_t)(steps < FRONTEND_LARGEST ? steps : FRONTEND_LARGEST);
}

void frontend_frame(const int16_t *samples, uint8_t *q) {
  Spectrum x, y;
  Spectrum *z;
  uint64_t power[HALF], mel[FRONTEND_BINS];
  const int shift = frame_shift(samples);
  int f;
  apply_window(samples, shift, &x);
  z = transform(&x, &y);
  split(z, z == &x ? &y : &x);
  power_of(z == &x ? &y : &x, power);
  filter(power, mel);
  for (f = 0; f < FRONTEND_BINS; f++) {
    q[f] = quantize(mel[f], shift);
  }
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
