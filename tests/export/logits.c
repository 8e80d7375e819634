/* Reads clips of q from the standard input; writes their logits as native
 * integers.
 */
#include <stdio.h>

#include "bnn_model.h"

static uint8_t q[BNN_FRAMES * BNN_BINS];

int main(void) {
  int32_t logits[BNN_CLASSES];
  while (fread(q, sizeof q, 1, stdin) == 1) {
    bnn_run(q, logits);
    fwrite(logits, sizeof logits, 1, stdout);
  }
  return 0;
}
