/* Reads the length of a clip in 32 bits and then clips, as native integers,
 * from the standard input; writes their q.
 */
#include <stdio.h>
#include <stdlib.h>

#include "frontend.h"

int main(void) {
  int32_t count;
  if (fread(&count, sizeof count, 1, stdin) != 1) {
    return 1;
  }
  const long frames = 1 + ((long)count - FRONTEND_WINDOW) / FRONTEND_HOP;
  int16_t *samples = malloc((size_t)count * sizeof *samples);
  uint8_t *q = malloc((size_t)(frames * FRONTEND_BINS));
  while (fread(samples, sizeof *samples, (size_t)count, stdin) ==
         (size_t)count) {
    if (frontend_clip(samples, count, q) != frames) {
      return 1;
    }
    fwrite(q, 1, (size_t)(frames * FRONTEND_BINS), stdout);
  }
  free(samples);
  free(q);
  return 0;
}
