/* The life of a request, and its memory. */
#include "web/request.h"

#include "async/group.h"
#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

tepal_req *request_new(struct connection *connection)
{
    struct server *server = connection->server;
    struct arena arena;
    if (arena_init(&arena, &server->loop->chunks, server->options.max_request_memory) < 0)
        return NULL;
    tepal_req *req = arena_alloc(&arena, sizeof(*req));
    struct h1_field *fields = NULL;
    if (req)
        fields = arena_alloc(&arena, server->head_limits.max_fields * sizeof(*fields));
    if (!fields) {
        arena_clear(&arena);
        return NULL;
    }
    req->arena = arena;
    req->connection = connection;
    req->app = server->app;
    req->data = "";
    h1_head_init(&req->head, false, fields);
    req->match.route = NULL;
    req->match.n_values = 0;
    req->match.path_exists = false;
    req->target = (struct uri_target){ .path = "/", .path_len = 1 };
    req->body = (struct body_reader){ .conn = &connection->http, .done = true };
    req->refused = req->error = 0;
    req->start_us = 0;
    req->state = NULL;
    req->deferred = NULL;
    req->group = NULL;
    req->sending = NULL;
    req->path = req->host = req->remote = req->content_type = NULL;
    req->has_whole_body = req->body_taken = false;
    req->json = NULL;
    return req;
}

void request_free(tepal_req *req)
{
    while (req->deferred) {
        struct deferred *deferred = req->deferred;
        req->deferred = deferred->next;
        deferred->fn(deferred->arg);
    }
    /* The struct lies in the arena that it holds. */
    struct arena arena = req->arena;
    arena_clear(&arena);
}

void request_head_complete(tepal_req *req)
{
    struct http_conn *http = &req->connection->http;
    struct h1_head *head = &req->head;
    /* The terminators go over delimiters inside the head, which nobody needs any more. */
    char *data = http->in + (req->data - http->in);
    h1_head_terminate(head, data);
    int rc = uri_parse_target(data + head->method, head->method_len, data + head->target,
                              head->target_len, &req->target);
    if (rc < 0) {
        req->refused = -rc;
        req->target = (struct uri_target){ .path = "/", .path_len = 1 };
    }
}

void request_refuse(tepal_req *req, int status)
{
    static const char nothing[] = "UNKNOWN\0/";
    struct h1_field *fields = req->head.fields;
    h1_head_init(&req->head, false, fields);
    req->data = nothing;
    req->head.method_len = 7;
    req->head.target = 8;
    req->head.target_len = 1;
    req->refused = status;
}

int request_fail(tepal_req *req, int error)
{
    if (req->error == 0)
        req->error = error;
    return error;
}

/* Why the arena gave nothing for size octets: its limit, or the system. */
int request_no_memory(tepal_req *req, size_t size)
{
    struct arena *arena = &req->arena;
    size_t left = arena->limit > arena->used ? arena->limit - arena->used : 0;
    return request_fail(req, size + 64 > left ? TEPAL_EREQUEST_MEMORY : -ENOMEM);
}

void *request_alloc(tepal_req *req, size_t size)
{
    void *p = arena_alloc(&req->arena, size);
    if (UNLIKELY(!p))
        request_no_memory(req, size);
    return p;
}

char *request_alloc_text(tepal_req *req, size_t size)
{
    char *p = arena_alloc_text(&req->arena, size);
    if (UNLIKELY(!p))
        request_no_memory(req, size);
    return p;
}

char *request_vprintf(tepal_req *req, size_t *len, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    char *text = arena_vprintf(&req->arena, len, format, args);
    if (UNLIKELY(!text)) {
        int n = vsnprintf(NULL, 0, format, again);
        request_no_memory(req, n > 0 ? (size_t)n + 1 : 0);
    }
    va_end(again);
    return text;
}

void *tepal_req_alloc(tepal_req *req, size_t size)
{
    return request_alloc(req, size);
}

char *tepal_req_strdup(tepal_req *req, const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = request_alloc_text(req, size);
    if (copy)
        memcpy(copy, s, size);
    return copy;
}

char *tepal_req_printf(tepal_req *req, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = request_vprintf(req, NULL, format, args);
    va_end(args);
    return text;
}

int tepal_req_defer(tepal_req *req, void (*fn)(void *arg), void *arg)
{
    struct deferred *deferred = request_alloc(req, sizeof(*deferred));
    if (!deferred) {
        fn(arg);
        return req->error;
    }
    *deferred = (struct deferred){ .fn = fn, .arg = arg, .next = req->deferred };
    req->deferred = deferred;
    return 0;
}

tepal_group *tepal_req_group(tepal_req *req)
{
    if (!req->group && (req->group = tepal_group_new()))
        req->group->belongs_to = "the group is the request's, and is closed with it";
    if (!req->group)
        request_fail(req, -ENOMEM);
    return req->group;
}

int tepal_req_set(tepal_req *req, const tepal_key *key, void *value)
{
    for (struct state_entry *entry = req->state; entry; entry = entry->next)
        if (entry->key == key) {
            entry->value = value;
            return 0;
        }
    struct state_entry *entry = request_alloc(req, sizeof(*entry));
    if (!entry)
        return req->error;
    *entry = (struct state_entry){ .key = key, .value = value, .next = req->state };
    req->state = entry;
    return 0;
}

void *tepal_req_state(const tepal_req *req, const tepal_key *key)
{
    for (const struct state_entry *entry = req->state; entry; entry = entry->next)
        if (entry->key == key)
            return entry->value;
    return state_get(req->app->state, key);
}

tepal_app *tepal_req_app(const tepal_req *req)
{
    return req->app;
}

int tepal_req_error(const tepal_req *req)
{
    return req->error;
}
