/* Replies of a test: what the server has sent is taken apart, and kept as long as the test. */
#include "web/testing/reply.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/chunk.h"
#include "http/field.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct kept_reply *testreply_new(struct kept_reply **list)
{
    struct kept_reply *kept = mem_zalloc(sizeof(*kept));
    if (kept) {
        kept->next = *list;
        *list = kept;
    }
    return kept;
}

void testreply_free_all(struct kept_reply **list)
{
    while (*list) {
        struct kept_reply *kept = *list;
        *list = kept->next;
        json_decref(kept->json);
        mem_free((char *)(uintptr_t)kept->reply.raw.data);
        mem_free((char *)(uintptr_t)kept->reply.body.data);
        mem_free(kept->values);
        mem_free(kept);
    }
}

static int copy_bytes(tepal_bytes *out, tepal_bytes in)
{
    char *copy = mem_strndup(in.len ? in.data : "", in.len);
    *out = (tepal_bytes){ .data = copy, .len = copy ? in.len : 0 };
    return copy ? 0 : -ENOMEM;
}

int testreply_fill(struct kept_reply *kept, tepal_bytes raw, tepal_bytes body)
{
    tepal_test_reply *reply = &kept->reply;
    if (copy_bytes(&reply->raw, raw) < 0 || copy_bytes(&reply->body, body) < 0)
        return -ENOMEM;
    reply->text = reply->body.data;
    return 0;
}

int testreply_take(struct kept_reply *kept, const struct message *message, size_t text_len,
                   tepal_bytes body)
{
    kept->values = mem_strndup(message->data, text_len);
    if (!kept->values || testreply_fill(kept, (tepal_bytes){ 0 }, body) < 0)
        return -ENOMEM;
    kept->head.message = *message;
    for (size_t i = 0; i < message->n_fields; i++)
        kept->fields[i] = message->fields[i];
    return 0;
}

/* --- Parsing ---------------------------------------------------------------------------------- */

/* Where the body of the head ends in data[0..len), and the decoded body; 0 when more is to come, -1
 * when it is malformed. */
static long body_end(struct kept_reply *kept, const char *data, size_t len, size_t head_len,
                     bool at_end, struct buf *body)
{
    const char *in = data + head_len;
    size_t left = len - head_len;
    buf_clear(body);
    switch (kept->head.framing) {
    case H1_BODY_LENGTH:
        if (left < kept->head.message.content_length)
            return 0;
        left = (size_t)kept->head.message.content_length;
        break;
    case H1_BODY_UNTIL_CLOSE:
        if (!at_end)
            return 0;
        break;
    case H1_BODY_CHUNKED: {
        struct chunk_decoder decoder = { 0 };
        const struct chunk_limits limits = { 8192, 32768, TESTREPLY_MAX_FIELDS };
        struct chunk_step step;
        int rc = 0;
        while (rc == 0 && left > 0) {
            rc = chunk_decode(&decoder, in, left, &limits, &step);
            if (rc < 0 || buf_append(body, step.data, step.len) < 0)
                return -1;
            in += step.used;
            left -= step.used;
        }
        return rc == 1 ? in - data : 0;
    }
    default:
        left = 0;
    }
    return buf_append(body, in, left) < 0 ? -1 : (long)(head_len + left);
}

long testreply_parse(struct kept_reply *kept, const char *method, tepal_bytes received, bool at_end,
                     struct buf *body)
{
    const struct h1_limits limits = { 64 * 1024, 1024 * 1024, TESTREPLY_MAX_FIELDS };
    size_t at = 0;
    while (received.len > at) {
        const char *data = received.data + at;
        size_t len = received.len - at;
        h1_head_init(&kept->head, true, kept->fields);
        long head_len = h1_parse(&kept->head, data, len, &limits);
        if (head_len <= 0)
            return head_len < 0 ? -1 : 0;
        h1_response_to(&kept->head, method);
        kept->head_at = at;
        if (kept->head.message.status >= 200) {
            long end = body_end(kept, data, len, (size_t)head_len, at_end, body);
            return end <= 0 ? end : (long)at + end;
        }
        at += (size_t)head_len; /* 1xx: interim */
    }
    return 0;
}

/* --- Looking at them -------------------------------------------------------------------------- */

void testreply_need(const char *call, const void *argument, const char *what)
{
    char text[64];
    if (argument)
        return;
    snprintf(text, sizeof(text), "%s is NULL", what);
    misuse(call, text);
}

const char *tepal_test_header(const tepal_test_reply *reply, const char *name)
{
    testreply_need("tepal_test_header", reply, "the reply");
    testreply_need("tepal_test_header", name, "the name");
    struct kept_reply *kept = (struct kept_reply *)(uintptr_t)reply;
    if (reply->status == 0)
        return NULL;
    if (!kept->values) {
        kept->values = mem_strndup(reply->raw.data + kept->head_at, reply->raw.len - kept->head_at);
        if (!kept->values)
            return NULL;
        h1_head_terminate(&kept->head, kept->values);
    }
    for (size_t i = 0; i < kept->head.message.n_fields; i++)
        if (http_same_name(kept->values + kept->fields[i].name, kept->fields[i].name_len, name,
                           strlen(name)))
            return kept->values + kept->fields[i].value;
    return NULL;
}

json_t *tepal_test_json(tepal_test_reply *reply)
{
    testreply_need("tepal_test_json", reply, "the reply");
    struct kept_reply *kept = (struct kept_reply *)reply;
    if (!kept->json)
        kept->json = json_loadb(reply->body.data, reply->body.len, JSON_DECODE_ANY, NULL);
    return kept->json;
}
