/* Segments of a path that are matched by a regular expression (PCRE2, JIT). */
#ifndef TEPAL_WEB_SEGMENT_REGEX_H
#define TEPAL_WEB_SEGMENT_REGEX_H

#include "web/pattern.h"

#include <tepal/base.h>

#include <stdbool.h>
#include <stddef.h>

/* How many steps of backtracking a match may take; more is no match. */
enum { SEGMENT_REGEX_MATCH_LIMIT = 100000 };

struct segment_regex;

/* Compiles the expression of a segment. Returns 0, TEPAL_EPATTERN with *why, which lives as long as
 * *out, or -ENOMEM. *out is to be freed in any case. */
int segment_regex_new(struct segment_regex **out, const struct pattern_segment *segment,
                      const char **why);

/* NULL is allowed. */
void segment_regex_free(struct segment_regex *regex);

/* Matches the whole text. Returns how many values it has written, at most room (a segment has one
 * variable at least), or 0 when it does not match. The values of int variables must satisfy is_int.
 */
int segment_regex_match(const struct segment_regex *regex, tepal_bytes text, tepal_bytes *values,
                        size_t room, bool (*is_int)(tepal_bytes));

#endif
