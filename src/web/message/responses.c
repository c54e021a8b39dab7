/* Slabs of responses, each larger than the one before. */
#include "web/message/responses.h"

#include "base/mem.h"

enum { FIRST_SLAB = 32, LARGEST_SLAB = 4096, AGE_OF_STREAMS = 1024 };

struct response_slab {
    struct response_slab *next;
    size_t n;
    size_t no_size[2]; /* as in a response */
    tepal_res items[];
};

static void close_responses(struct loop_part *part)
{
    struct responses *responses = CONTAINER_OF(part, struct responses, part);
    while (responses->slabs) {
        struct response_slab *slab = responses->slabs;
        responses->slabs = slab->next;
        mem_free(slab);
    }
    mem_free(responses);
}

/* A slab twice as large as the latest one, all of it unused and linked. NULL when memory is
 * short. */
static struct response_slab *add_slab(struct responses *responses)
{
    size_t n = responses->slabs ? 2 * responses->slabs->n : FIRST_SLAB;
    n = n < LARGEST_SLAB ? n : LARGEST_SLAB;
    struct response_slab *slab = mem_zalloc(sizeof(*slab) + n * sizeof(slab->items[0]));
    if (!slab)
        return NULL;
    slab->n = n;
    slab->next = responses->slabs;
    responses->slabs = slab;
    for (size_t i = 0; i + 1 < n; i++)
        slab->items[i].next_of_req = &slab->items[i + 1];
    return slab;
}

static tepal_res *take_oldest(struct responses *responses)
{
    tepal_res *res = responses->aging;
    responses->aging = res->next_of_req;
    responses->n_aging--;
    return res;
}

tepal_res *responses_refill(struct responses *responses)
{
    if (responses->n_aging > AGE_OF_STREAMS)
        return take_oldest(responses);
    struct response_slab *slab = add_slab(responses);
    if (!slab)
        return NULL;
    responses->last_unused->next_of_req = &slab->items[1];
    responses->last_unused = &slab->items[slab->n - 1];
    return &slab->items[0];
}

struct responses *responses_find(const struct loop *loop)
{
    struct loop_part *part = loop_find_part(loop, close_responses);
    return part ? CONTAINER_OF(part, struct responses, part) : NULL;
}

struct responses *responses_of(struct loop *loop)
{
    struct responses *responses = responses_find(loop);
    if (responses)
        return responses;
    responses = mem_zalloc(sizeof(*responses));
    struct response_slab *slab = responses ? add_slab(responses) : NULL;
    if (!slab) {
        mem_free(responses);
        return NULL;
    }
    responses->unused = &slab->items[0];
    responses->last_unused = &slab->items[slab->n - 1];
    responses->part.close = close_responses;
    loop_add_part(loop, &responses->part);
    return responses;
}

bool responses_live(const struct responses *responses, const tepal_res *res)
{
    for (const struct response_slab *slab = responses->slabs; slab; slab = slab->next) {
        uintptr_t at = (uintptr_t)res - (uintptr_t)slab->items;
        if (at < slab->n * sizeof(*res) && at % sizeof(*res) == 0)
            return res->req != NULL;
    }
    return false;
}
