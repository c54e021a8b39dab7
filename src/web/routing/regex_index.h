/* The expressions that may match one segment of a path, found by the text that they begin with:
 * "/report-7-{x}.csv" does not cost more because there are a thousand of its kind. They are tried
 * in the order in which they were added.
 */
#ifndef TEPAL_WEB_ROUTING_REGEX_INDEX_H
#define TEPAL_WEB_ROUTING_REGEX_INDEX_H

#include "base/map.h"
#include "web/routing/segment_regex.h"

#include <tepal/base.h>

#include <stddef.h>

/* By how many lengths of their beginnings they are told apart; further ones by a shorter length. */
enum { REGEX_INDEX_LENGTHS = 8 };

struct router_node;

/* One expression, and where it leads. */
struct regex_branch {
    struct regex_branch *next_made;     /* in the index */
    struct regex_branch *next_of_chain; /* of those that are found together */
    size_t order;
    char *text;
    char *prefix, *suffix; /* that every match begins and ends with */
    size_t prefix_len, suffix_len;
    struct segment_regex *regex;
    struct router_node *node;
};

/* Those with the same beginning, as far as the index looks at it. */
struct regex_chain {
    struct regex_branch *first, *last;
};

struct regex_index {
    struct map texts;  /* expression -> branch */
    struct map chains; /* beginning -> chain */
    struct regex_branch *branches;
    size_t lens[REGEX_INDEX_LENGTHS], n_lens, n;
};

void regex_index_clear(struct regex_index *index);

/* The branch of the segment's expression, or NULL. */
struct regex_branch *regex_index_get(const struct regex_index *index,
                                     const struct pattern_segment *segment);

/* Adds a branch for the segment's expression, without a node. Returns 0, TEPAL_EPATTERN with *why,
 * which lives as long as the index, or -ENOMEM. */
int regex_index_add(struct regex_index *index, struct segment_matcher *matcher,
                    const struct pattern_segment *segment, const char **why,
                    struct regex_branch **out);

/* A walk along the branches that may match a segment. */
struct regex_walk {
    const struct regex_branch *heads[REGEX_INDEX_LENGTHS];
    size_t n;
    tepal_bytes segment;
};

void regex_walk_begin(struct regex_walk *walk, const struct regex_index *index,
                      tepal_bytes segment);

/* The next one, or NULL. */
const struct regex_branch *regex_walk_next(struct regex_walk *walk);

#endif
