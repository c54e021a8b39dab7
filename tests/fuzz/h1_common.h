/* The target that heads of requests and of responses share. */
#ifndef TEPAL_TESTS_FUZZ_H1_COMMON_H
#define TEPAL_TESTS_FUZZ_H1_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first octet of the input chooses the limits, the second where the head is cut in two, the
 * rest is the head. */
void fuzz_h1(const uint8_t *data, size_t size, bool response);

#endif
