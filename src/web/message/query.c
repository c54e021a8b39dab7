/* The query of a request. It is taken apart once, when it is first asked for, and its lists are
 * made when the first of them is; after that no call takes memory, and finding a name does not go
 * through them all. */
#include "http/uri.h"
#include "web/message/mistake.h"

#include <stdlib.h>
#include <string.h>

/* Up to so many pairs are looked through; more are sorted by name. */
enum { FEW_PAIRS = 8 };

struct query {
    size_t n;
    const tepal_pair **sorted; /* equal names in their order; NULL where there are few */
    const char **lists; /* the values of sorted[i] to [i + n - 1], of one name, from [2 * i] on,
                                  and a NULL behind; NULL before they are asked for */
    tepal_pair pairs[];
};

const char *tepal_req_query_string(tepal_req *req)
{
    if (!request_is_given(req, "tepal_req_query_string"))
        return NULL;
    /* The query is the end of the target, so it is terminated already. */
    return req->message->uri.query ? req->message->uri.query : "";
}

/* Decodes to *out, which is moved behind the text and its NUL. */
static const char *decode_to(char **out, const char *text, size_t len)
{
    char *start = *out;
    *out += uri_decode(start, text, len, true);
    *(*out)++ = '\0';
    return start;
}

/* Decodes all pairs. Their text takes no more room than the query and a NUL: a pair has two NULs in
 * the place of '=' and '&', and one without '=' has its NUL for a value. */
static void decode_pairs(struct query *query, const struct uri_target *target, char *text)
{
    const char *rest = target->query;
    size_t len = target->query_len;
    struct uri_pair pair;
    while (uri_next_pair(&rest, &len, &pair)) {
        tepal_pair *to = &query->pairs[query->n++];
        to->name = decode_to(&text, pair.name, pair.name_len);
        bool has_value = pair.value > pair.name + pair.name_len;
        to->value = has_value ? decode_to(&text, pair.value, pair.value_len) : text - 1;
    }
}

static int compare_pairs(const void *a, const void *b)
{
    const tepal_pair *one = *(const tepal_pair *const *)a, *two = *(const tepal_pair *const *)b;
    int order = strcmp(one->name, two->name);
    return order ? order : one < two ? -1 : one > two;
}

static int sort_pairs(tepal_req *req, struct query *query)
{
    query->sorted = request_alloc(req, query->n * sizeof(*query->sorted));
    if (!query->sorted)
        return req->error;
    for (size_t i = 0; i < query->n; i++)
        query->sorted[i] = &query->pairs[i];
    qsort(query->sorted, query->n, sizeof(*query->sorted), compare_pairs);
    return 0;
}

static size_t count_pairs(const struct uri_target *target)
{
    const char *rest = target->query;
    size_t len = target->query_len, n = 0;
    struct uri_pair pair;
    while (uri_next_pair(&rest, &len, &pair))
        n++;
    return n;
}

/* The query, taken apart; NULL when there is none, or with the cause recorded. */
static struct query *query_of(tepal_req *req)
{
    if (req->query || !req->message->uri.query)
        return req->query;
    size_t n = count_pairs(&req->message->uri);
    struct query *query = request_alloc(req, sizeof(*query) + n * sizeof(query->pairs[0]));
    char *text = query ? request_alloc_text(req, req->message->uri.query_len + 1) : NULL;
    if (!text)
        return NULL;
    query->n = 0;
    query->sorted = NULL;
    query->lists = NULL;
    decode_pairs(query, &req->message->uri, text);
    if (n > FEW_PAIRS && sort_pairs(req, query) < 0)
        return NULL;
    return req->query = query;
}

/* The first of the sorted pairs whose name is not before this one; n when all are. */
static size_t first_of(const struct query *query, const char *name)
{
    size_t low = 0, high = query->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(query->sorted[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whether the i-th of the sorted pairs has the name. */
static bool is_at(const struct query *query, size_t i, const char *name)
{
    return i < query->n && strcmp(query->sorted[i]->name, name) == 0;
}

const char *tepal_req_query(tepal_req *req, const char *name)
{
    if (!argument_is_given(req, "tepal_req_query", name, "the name"))
        return NULL;
    const struct query *query = query_of(req);
    if (query && query->sorted) {
        size_t first = first_of(query, name);
        return is_at(query, first, name) ? query->sorted[first]->value : NULL;
    }
    for (size_t i = 0; query && i < query->n; i++)
        if (strcmp(query->pairs[i].name, name) == 0)
            return query->pairs[i].value;
    return NULL;
}

static int make_lists(tepal_req *req, struct query *query)
{
    if (!query->sorted && sort_pairs(req, query) < 0)
        return req->error;
    const char **lists = request_alloc(req, 2 * query->n * sizeof(*lists)), **to = lists;
    if (!lists)
        return req->error;
    for (size_t i = 0; i < query->n; i++) {
        if (i == 0 || strcmp(query->sorted[i]->name, query->sorted[i - 1]->name) != 0)
            to = &lists[2 * i];
        *to++ = query->sorted[i]->value;
        *to = NULL;
    }
    query->lists = lists;
    return 0;
}

const char *const *tepal_req_query_all(tepal_req *req, const char *name)
{
    static const char *const none[] = { NULL };
    if (!argument_is_given(req, "tepal_req_query_all", name, "the name") ||
        !req->message->uri.query)
        return none;
    struct query *query = query_of(req);
    if (!query)
        return NULL;
    if (query->n == 0)
        return none;
    if (!query->lists && make_lists(req, query) < 0)
        return NULL;
    size_t first = first_of(query, name);
    return is_at(query, first, name) ? &query->lists[2 * first] : none;
}

bool tepal_req_each_query(tepal_req *req, size_t *at, tepal_pair *pair)
{
    if (!places_are_given(req, "tepal_req_each_query", at, pair))
        return false;
    const struct query *query = query_of(req);
    if (!query || *at >= query->n)
        return false;
    *pair = query->pairs[(*at)++];
    return true;
}
