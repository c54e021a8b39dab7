/* A map from beginnings to chains of branches, asked once for each length that beginnings have. */
#include "web/routing/regex_index.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

void regex_index_clear(struct regex_index *index)
{
    while (index->branches) {
        struct regex_branch *branch = index->branches;
        index->branches = branch->next_made;
        segment_regex_free(branch->regex);
        mem_free(branch->text);
        mem_free(branch->prefix);
        mem_free(branch->suffix);
        mem_free(branch);
    }
    for (size_t i = 0; i < index->chains.size; i++)
        mem_free(index->chains.entries[i].value);
    map_clear(&index->chains);
    map_clear(&index->texts);
}

struct regex_branch *regex_index_get(const struct regex_index *index,
                                     const struct pattern_segment *segment)
{
    return map_get(&index->texts, segment->text, strlen(segment->text));
}

/* A copy of the text of a piece; "" for a variable. */
static char *fixed_text(const struct pattern_piece *piece, size_t *len)
{
    const char *text = piece->variable ? "" : piece->text;
    *len = strlen(text);
    return mem_strdup(text);
}

static int init_branch(struct regex_branch *branch, struct segment_matcher *matcher,
                       const struct pattern_segment *segment, const char **why)
{
    branch->text = mem_strdup(segment->text);
    branch->prefix = fixed_text(&segment->pieces[0], &branch->prefix_len);
    branch->suffix = fixed_text(&segment->pieces[segment->n_pieces - 1], &branch->suffix_len);
    if (!branch->text || !branch->prefix || !branch->suffix)
        return -ENOMEM;
    return segment_regex_new(&branch->regex, matcher, segment, why);
}

/* By how much of the beginning a branch is found: all, or the most that the lengths allow. */
static size_t key_len_of(struct regex_index *index, size_t prefix_len)
{
    size_t best = 0;
    if (index->n_lens == 0)
        index->lens[index->n_lens++] = 0; /* which fits all */
    for (size_t i = 0; i < index->n_lens; i++)
        if (index->lens[i] <= prefix_len && index->lens[i] > best)
            best = index->lens[i];
    if (best == prefix_len || index->n_lens == REGEX_INDEX_LENGTHS)
        return best;
    return index->lens[index->n_lens++] = prefix_len;
}

static int add_to_chain(struct regex_index *index, struct regex_branch *branch)
{
    size_t len = key_len_of(index, branch->prefix_len);
    struct regex_chain *chain = map_get(&index->chains, branch->prefix, len);
    if (chain) {
        chain->last->next_of_chain = branch;
        chain->last = branch;
        return 0;
    }
    chain = mem_alloc(sizeof(*chain));
    if (!chain || map_set(&index->chains, branch->prefix, len, chain) < 0) {
        mem_free(chain);
        return -ENOMEM;
    }
    *chain = (struct regex_chain){ .first = branch, .last = branch };
    return 0;
}

int regex_index_add(struct regex_index *index, struct segment_matcher *matcher,
                    const struct pattern_segment *segment, const char **why,
                    struct regex_branch **out)
{
    struct regex_branch *branch = mem_zalloc(sizeof(*branch));
    if (!branch)
        return -ENOMEM;
    branch->next_made = index->branches;
    index->branches = branch;
    branch->order = index->n++;
    int rc = init_branch(branch, matcher, segment, why);
    if (rc == 0)
        rc = map_set(&index->texts, branch->text, strlen(branch->text), branch);
    if (rc == 0)
        rc = add_to_chain(index, branch);
    *out = branch;
    return rc;
}

/* --- Finding ---------------------------------------------------------------------------------- */

void regex_walk_begin(struct regex_walk *walk, const struct regex_index *index, tepal_bytes segment)
{
    walk->n = 0;
    walk->segment = segment;
    for (size_t i = 0; i < index->n_lens; i++) {
        const struct regex_chain *chain =
            index->lens[i] <= segment.len ? map_get(&index->chains, segment.data, index->lens[i])
                                          : NULL;
        if (chain)
            walk->heads[walk->n++] = chain->first;
    }
}

static bool may_match(const struct regex_branch *branch, tepal_bytes segment)
{
    return branch->prefix_len + branch->suffix_len <= segment.len &&
           memcmp(segment.data, branch->prefix, branch->prefix_len) == 0 &&
           memcmp(segment.data + segment.len - branch->suffix_len, branch->suffix,
                  branch->suffix_len) == 0;
}

const struct regex_branch *regex_walk_next(struct regex_walk *walk)
{
    while (true) {
        const struct regex_branch **first = NULL;
        for (size_t i = 0; i < walk->n; i++)
            if (walk->heads[i] && (!first || walk->heads[i]->order < (*first)->order))
                first = &walk->heads[i];
        if (!first)
            return NULL;
        const struct regex_branch *branch = *first;
        *first = branch->next_of_chain;
        if (may_match(branch, walk->segment))
            return branch;
    }
}
