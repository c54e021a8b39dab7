/* The memory of all responses of a loop. A handler may keep a response longer than its request, and
 * use it then: so responses lie in memory of their own that is used for nothing else as long as the
 * loop lives, and what is not a living response is recognised by its address.
 *
 * The one that has been unused for longest is taken first, so that a pointer that was kept too long
 * does not soon lead to another response; and still later where it was a stream, which tasks of
 * other requests may write to.
 */
#ifndef TEPAL_WEB_MESSAGE_RESPONSES_H
#define TEPAL_WEB_MESSAGE_RESPONSES_H

#include "async/loop/loop.h"
#include "web/message/response.h"

struct response_slab;

struct responses {
    struct loop_part part;
    struct response_slab *slabs;     /* latest first */
    tepal_res *unused, *last_unused; /* the oldest first; one at least */
    tepal_res *aging, *last_aging;   /* the same of those that were streams; may be none */
    size_t n_aging;
};

/* Those of the loop, which are made at first use. NULL when memory is short. */
struct responses *responses_of(struct loop *loop);

/* The same, but NULL when there are none yet. */
struct responses *responses_find(const struct loop *loop);

/* Makes more unused ones. Returns one of them, or NULL. */
tepal_res *responses_refill(struct responses *responses);

/* An unused one: its next one is in next_of_req, all else is of no meaning. NULL when memory is
 * short. */
static inline tepal_res *responses_take(struct responses *responses)
{
    tepal_res *res = responses->unused;
    if (UNLIKELY(!res->next_of_req))
        return responses_refill(responses);
    responses->unused = res->next_of_req;
    return res;
}

/* The request of the response ends. */
static inline void responses_give(struct responses *responses, tepal_res *res)
{
    res->req = NULL;
    res->next_of_req = NULL;
    if (UNLIKELY(res->stream)) {
        *(responses->aging ? &responses->last_aging->next_of_req : &responses->aging) = res;
        responses->last_aging = res;
        responses->n_aging++;
        return;
    }
    responses->last_unused->next_of_req = res;
    responses->last_unused = res;
}

/* Whether this is a response of a request that has not ended. Any pointer may be asked about. */
bool responses_live(const struct responses *responses, const tepal_res *res);

#endif
