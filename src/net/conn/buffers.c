/* The memory of a connection's buffers. It knows nothing of reading and writing. */
#include "net/conn/buffers.h"

#include "async/loop/loop.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

static void give_back(struct octets *octets)
{
    if (octets->cap == LOOP_BUFFER_SIZE)
        block_give(&loop_current->buffers, octets->data);
    else
        mem_free(octets->data);
}

/* Most buffers have the size of a block, which the loop keeps warm. */
static char *take(size_t cap)
{
    return cap == LOOP_BUFFER_SIZE ? block_take(&loop_current->buffers) : mem_alloc(cap);
}

int octets_reserve(struct octets *octets, size_t more, size_t max)
{
    size_t len = octets_len(octets);
    if (octets->cap - octets->end >= more)
        return 0;
    if (octets->cap - len >= more) {
        memmove(octets->data, octets->data + octets->start, len);
    } else {
        if (more > SIZE_MAX / 2 - len)
            return -ENOMEM;
        size_t cap = octets->cap * 2 < max ? octets->cap * 2 : max;
        if (cap < len + more)
            cap = len + more;
        if (cap < LOOP_BUFFER_SIZE)
            cap = LOOP_BUFFER_SIZE;
        char *data = take(cap);
        if (!data)
            return -ENOMEM;
        if (len > 0)
            memcpy(data, octets->data + octets->start, len);
        give_back(octets);
        octets->data = data;
        octets->cap = cap;
    }
    octets->start = 0;
    octets->end = len;
    return 0;
}

void octets_drop(struct octets *octets, size_t n)
{
    octets->start += n;
    if (octets->start == octets->end)
        octets->start = octets->end = 0;
}

size_t octets_take(struct octets *octets, char *to, size_t size)
{
    size_t n = octets_len(octets) < size ? octets_len(octets) : size;
    if (n > 0)
        memcpy(to, octets->data + octets->start, n);
    octets_drop(octets, n);
    return n;
}

void octets_clear(struct octets *octets)
{
    octets->start = octets->end = 0;
    octets_release(octets);
}

void octets_release(struct octets *octets)
{
    if (octets->start < octets->end || !octets->data)
        return;
    give_back(octets);
    *octets = (struct octets){ 0 };
}

struct conn_buffers *buffers_need(struct tepal_conn *conn)
{
    if (!conn->buffers) {
        conn->buffers = mem_zalloc(sizeof(*conn->buffers));
        if (conn->buffers)
            conn->buffers->max_out = LOOP_BUFFER_SIZE;
    }
    return conn->buffers;
}

void buffers_free(struct tepal_conn *conn)
{
    struct conn_buffers *b = conn->buffers;
    conn->buffers = NULL;
    octets_clear(&b->in);
    octets_clear(&b->out);
    mem_free(b);
}
