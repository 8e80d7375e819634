/* Reads clips of q from the standard input; writes the sizes of a result and of
 * a stream's element, and of each clip what every layer but the last gives. The
 * arguments are the bytes of each.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bnn_model.h"

static uint8_t q[BNN_FRAMES * BNN_BINS];

int main(int count, char **sizes) {
  int32_t logits[BNN_CLASSES];
  fwrite(bnn_widths, sizeof bnn_widths, 1, stdout);
  while (fread(q, sizeof q, 1, stdin) == 1) {
    bnn_run(q, logits);
    for (int i = 1; i < count; ++i) {
      fwrite(bnn_arrays[i - 1], strtoul(sizes[i], NULL, 10), 1, stdout);
    }
  }
  return 0;
}
