/* Route patterns: from text to segments, and from segments and values to a URL.
 *
 * The text is described in tepal/route.h. Matching is the router's.
 */
#ifndef TEPAL_WEB_ROUTING_PATTERN_H
#define TEPAL_WEB_ROUTING_PATTERN_H

#include "base/platform.h"

#include <tepal/base.h>
#include <tepal/http_error.h>

#include <stdbool.h>
#include <stddef.h>

/* How many variables a pattern may have. */
enum { PATTERN_MAX_VARIABLES = 32 };

/* In the order in which the router tries them. */
enum segment_kind { SEGMENT_FIXED, SEGMENT_INT, SEGMENT_REGEX, SEGMENT_ANY, SEGMENT_PATH };

/* A piece of a segment: text, or a variable. A segment of several pieces is matched by a regular
 * expression made of them. */
struct pattern_piece {
    char *text;  /* fixed text (decoded), or the name of the variable */
    char *regex; /* of a variable with one, else NULL */
    bool variable, is_int, is_path;
};

struct pattern_segment {
    enum segment_kind kind;
    char *text; /* FIXED: the decoded text. REGEX: the whole expression, without anchors */
    struct pattern_piece *pieces; /* of one piece, which is a variable, the expression is its own */
    size_t n_pieces;
};

struct pattern {
    char *source;
    struct pattern_segment *segments;
    size_t n_segments;
    const char *names[PATTERN_MAX_VARIABLES]; /* of the variables, in order */
    bool is_int[PATTERN_MAX_VARIABLES];
    size_t n_names;
};

/* Parses a pattern. Returns 0; TEPAL_EPATTERN with *why, a constant text; or -ENOMEM. */
int pattern_parse(struct pattern *pattern, const char *source, const char **why);

void pattern_clear(struct pattern *pattern);

/* Whether the text is what an int variable matches. */
bool pattern_is_int(tepal_bytes text);

#endif
