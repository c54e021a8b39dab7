/* Segments of a path that are matched by a regular expression (PCRE2, JIT). */
#ifndef TEPAL_WEB_ROUTING_SEGMENT_REGEX_H
#define TEPAL_WEB_ROUTING_SEGMENT_REGEX_H

#include "web/routing/pattern.h"

#include <tepal/base.h>

#include <stdbool.h>
#include <stddef.h>

/* How many steps of backtracking a match may take, and how many KiB of memory where the JIT's stack
 * is too small; more is an error. */
enum { SEGMENT_REGEX_MATCH_LIMIT = 100000, SEGMENT_REGEX_MAX_KIB = 8 * 1024 };

/* What matching needs, for all expressions of a router: no match suspends, so one is enough. Its
 * stack is its own, so that a match takes nothing worth mentioning of a task's. */
struct segment_matcher;

struct segment_regex;

/* NULL when memory is short. */
struct segment_matcher *segment_matcher_new(void);

/* NULL is allowed. */
void segment_matcher_free(struct segment_matcher *matcher);

/* Compiles the expression of a segment, which the matcher is to match. Returns 0, TEPAL_EPATTERN
 * with *why, which lives as long as *out, or -ENOMEM. *out is to be freed in any case. */
int segment_regex_new(struct segment_regex **out, struct segment_matcher *matcher,
                      const struct pattern_segment *segment, const char **why);

/* NULL is allowed. */
void segment_regex_free(struct segment_regex *regex);

/* Matches the whole text. Returns how many values it has written, at most room (a segment has one
 * variable at least), 0 when it does not match, TEPAL_EPATTERN when it takes more than its limits,
 * or -ENOMEM. The values of int variables are integers. */
int segment_regex_match(const struct segment_regex *regex, struct segment_matcher *matcher,
                        tepal_bytes text, tepal_bytes *values, size_t room);

#endif
