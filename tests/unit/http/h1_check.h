/* Replays a message head against the parser in every way it can arrive, for the tests of the
 * parser. A row states what must come of it; the order of delivery and the scanner must not matter.
 */
#ifndef TEPAL_TESTS_H1_CHECK_H
#define TEPAL_TESTS_H1_CHECK_H

#include "http/h1_parse.h"

#include <stdbool.h>
#include <stddef.h>

/* A head and what comes of it. text is the outcome in words, see h1_describe(), or NULL when the
 * head is refused with -status. A complete head leaves the last rest octets of the input. refused,
 * unless 0, is the number of octets that must suffice for the refusal. */
struct h1_row {
    const char *why; /* with the section of the RFC */
    const char *input;
    size_t len;
    const char *text;
    int status;
    size_t rest, refused;
};

#define INPUT(literal) literal, sizeof(literal) - 1

/* What h1_check() uses unless told otherwise. */
#define H1_CHECK_LIMITS \
    {                   \
        200, 1000, 20   \
    }
#define H1_CHECK_MAX_FIELDS 300

/* Fails the test unless the row holds whole, split anywhere, octet by octet, and with each scanner.
 */
void h1_check(const struct h1_row *row, bool response, const struct h1_limits *limits);

void h1_check_all(const struct h1_row *rows, size_t count, bool response);

/* A complete head in words: "GET / 1.1 none keep" or "200 (OK) 1.1 length=5 close", then
 * "+continue", "+upgrade", and " name=(value)" for each field. The result lives until the next
 * call. */
const char *h1_describe(const struct h1_head *head, const char *data);

#endif
