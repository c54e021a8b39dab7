/* One allocation for the parser's state, the fields it has found, and the octets. */
#include "web/exchange/partial_head.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

struct partial_head {
    struct h1_head head; /* without its table of fields */
    uint32_t len;
    struct message_field fields[]; /* and then the octets */
};

int partial_head_keep(struct partial_head **partial, struct h1_conn *http,
                      const struct h1_head *head)
{
    uint32_t len = http->in_end - http->in_start;
    size_t fields_size = head->message.n_fields * sizeof(head->message.fields[0]);
    struct partial_head *kept = mem_alloc(sizeof(*kept) + fields_size + len);
    if (!kept)
        return -ENOMEM;
    kept->head = *head;
    kept->len = len;
    memcpy(kept->fields, head->message.fields, fields_size);
    memcpy((char *)kept->fields + fields_size, http->in + http->in_start, len);
    *partial = kept;
    http->in_start = http->in_end = 0;
    return 0;
}

static int make_room(struct h1_conn *http, uint32_t len)
{
    int rc = h1_conn_reserve_input(http);
    while (rc == 0 && http->in_cap <= len) {
        http->in_end = http->in_cap; /* full: so it grows */
        rc = h1_conn_reserve_input(http);
    }
    http->in_start = http->in_end = 0;
    return rc;
}

long partial_head_restore(struct partial_head **partial, struct h1_conn *http, struct h1_head *head)
{
    struct partial_head *kept = *partial;
    if (!kept)
        return 0;
    int rc = make_room(http, kept->len);
    if (rc < 0)
        return rc;
    struct message_field *table = head->message.fields;
    size_t fields_size = kept->head.message.n_fields * sizeof(*table);
    *head = kept->head;
    head->message.fields = table;
    memcpy(table, kept->fields, fields_size);
    memcpy(http->in, (char *)kept->fields + fields_size, kept->len);
    http->in_end = kept->len;
    partial_head_free(kept);
    *partial = NULL;
    return 0;
}

bool partial_head_look(struct partial_head *kept, struct h1_head *head, tepal_bytes *octets)
{
    if (!kept)
        return false;
    *head = kept->head;
    head->message.fields = kept->fields;
    head->message.data = (char *)kept->fields + head->message.n_fields * sizeof(*kept->fields);
    *octets = (tepal_bytes){ .data = head->message.data, .len = kept->len };
    return true;
}

void partial_head_free(struct partial_head *partial)
{
    mem_free(partial);
}
