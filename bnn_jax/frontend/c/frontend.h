/* The log-mel front end in integers: docs/frontend.md defines every number.
 *
 * C99 without heap, floats or dependencies. The sizes come from
 * frontend_tables.h, which `bnn_jax.frontend.print_c` prints.
 */
#ifndef BNN_JAX_FRONTEND_H_
#define BNN_JAX_FRONTEND_H_

#include <stdint.h>

#include "frontend_tables.h"

/* Computes the FRONTEND_BINS integers of one frame of FRONTEND_WINDOW samples.
 * The next frame begins FRONTEND_HOP samples later. Keeps no state.
 */
void frontend_frame(const int16_t *samples, uint8_t *q);

/* Computes the frames of a clip, one after the other.
 *
 * samples: `count` samples.
 * q: FRONTEND_BINS integers a frame.
 * Returns the number of frames, 1 + (count - FRONTEND_WINDOW) / FRONTEND_HOP,
 * or 0 where the clip is shorter than a frame.
 */
long frontend_clip(const int16_t *samples, long count, uint8_t *q);

#endif
