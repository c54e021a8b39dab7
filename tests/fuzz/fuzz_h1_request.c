/* Fuzzes the heads of requests; see h1_common.c. */
#include "fuzz.h"
#include "h1_common.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_h1(data, size, false);
    return 0;
}
