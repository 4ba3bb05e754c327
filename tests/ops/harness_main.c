/* SPDX-License-Identifier: MIT */
/* On a machine with an operating system: everything to standard output. */
#include <stdio.h>

#include "harness.h"

int main(void)
{
    const int error = harness_run_all();
    if (error != 0) {
        fprintf(stderr, "run %d: complaint %d of the harness\n", error >> 8, error & 255);
        return 1;
    }
    const size_t bytes = (size_t)harness_results_bytes;
    return fwrite(harness_results, 1, bytes, stdout) == bytes ? 0 : 1;
}
