/* Reads the length of a clip and then clips, all as native integers, from the
 * standard input; writes their q.
 */
#include <stdio.h>
#include <stdlib.h>

#include "frontend.h"

int main(void) {
  long count;
  if (fread(&count, sizeof count, 1, stdin) != 1) {
    return 1;
  }
  const long frames = 1 + (count - FRONTEND_WINDOW) / FRONTEND_HOP;
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
