/* The life of a request, and its memory. */
#include "web/message/request.h"

#include "async/task/group.h"
#include "web/message/mistake.h"
#include "web/message/on_stack.h"
#include "web/text/printing.h"
#include "web/message/responses.h"
#include "web/text/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What is zero at first, one by one and in order: compilers make fewer stores of it than of a
 * memset(). */
static inline void zero(tepal_req *req)
{
    req->refused = req->error = req->told = req->body_error = 0;
    req->read_failed = 0;
    req->has_whole_body = req->body_taken = req->in_handler = false;
    req->prepared = req->preparing = req->has_streams = req->making_json = false;
    req->start_us = 0;
    req->state = NULL;
    req->deferred = NULL;
    req->group = NULL;
    req->responses = req->sending = NULL;
    req->path = req->host = req->remote = req->content_type = NULL;
    req->query = NULL;
    req->values = NULL;
    req->cookies = NULL;
    req->res_hooks = NULL;
    req->json = NULL;
    req->collecting.next = NULL;
}

struct exchange *exchange_open(struct server *server, size_t size)
{
    tepal_req *req = arena_new_owner(&server->loop->chunks, sizeof(*req),
                                     server->options.limits.max_request_memory);
    if (UNLIKELY(!req))
        return NULL;
    req->arena.budget = &server->memory.budget;
    struct exchange *exchange = arena_alloc(&req->arena, size);
    if (UNLIKELY(!exchange)) {
        arena_free_owner(&req->arena);
        return NULL;
    }
    exchange->req = req;
    req->exchange = exchange;
    req->server = server;
    req->app = server->app;
    req->last_resort.req = NULL;
    req->match.route = NULL;
    req->match.n_values = 0;
    req->match.path_exists = false;
    zero(req);
    return exchange;
}

void *exchange_alloc(struct exchange *exchange, size_t size)
{
    return request_alloc_text(exchange->req, size);
}

void exchange_close(struct exchange *exchange)
{
    tepal_req *req = exchange->req;
    struct server *server = req->server;
    while (req->deferred) {
        struct deferred *deferred = req->deferred;
        req->deferred = deferred->next;
        deferred->fn(deferred->arg);
    }
    request_close_group(req); /* that of such a function */
    while (req->responses) {
        tepal_res *res = req->responses;
        req->responses = res->next_of_req;
        responses_give(server->responses, res);
    }
    struct memory *memory = NULL;
    if (UNLIKELY(req->arena.used >
                 req->arena.pool->size)) { /* it has taken more than its share of the work */
        memory = &server->memory;
        if (req->collecting.next)
            list_remove(&req->collecting);
    }
    if (UNLIKELY(server->loop->debug != NULL)) {
        struct arena arena = req->arena; /* which the struct lies in */
        arena_overwrite(&arena);
        arena_clear(&arena);
    } else {
        arena_free_owner(&req->arena);
    }
    if (UNLIKELY(memory != NULL))
        memory_released(memory);
}

/* Whether what is encoded in a part of the target is UTF-8 as a whole. */
static bool is_encoded_text(const char *p, size_t len)
{
    enum { LONGEST = 4 * 3 }; /* a character of four octets */
    for (size_t i = 0; i < len; i++) {
        char octets[LONGEST];
        if (p[i] != '%')
            continue;
        size_t n = uri_decode(octets, p + i, len - i < LONGEST ? len - i : LONGEST, false);
        if ((unsigned char)octets[0] < 0x80)
            continue;
        size_t used = utf8_sequence(octets, n);
        if (used == 0)
            return false;
        i += 3 * used - 1; /* the target itself has ASCII only */
    }
    return true;
}

/* Whether the target is one that can be served here. Returns 0 or a status. Text that is none is
 * the client's fault, and is found before a handler trips over it. A URI of another scheme than the
 * connection's is not ours to answer for (RFC 9110 section 7.4). */
static int check_target(const tepal_req *req)
{
    const struct uri_target *target = &req->message->uri;
    const char *scheme = tepal_req_scheme(req);
    if (target->high && (!is_encoded_text(target->path, target->path_len) ||
                         !is_encoded_text(target->query, target->query_len)))
        return 400;
    if (target->scheme &&
        !http_same_name(target->scheme, target->scheme_len, scheme, strlen(scheme)))
        return 421;
    return 0;
}

/* A target that is refused with a status, or that has to be looked at. */
static NO_INLINE void odd_target(tepal_req *req, int status)
{
    if (status == 0)
        status = check_target(req);
    if (status == 0)
        return;
    req->refused = status;
    req->exchange->refused = true;
    req->message->uri = (struct uri_target){ .path = "/", .path_len = 1 };
}

void request_look(tepal_req *req, int status)
{
    const struct uri_target *target = &req->message->uri;
    if (UNLIKELY(status != 0 || target->high || target->scheme))
        odd_target(req, status);
}

int request_fail(tepal_req *req, int error)
{
    if (error != -ECANCELED || req->error == 0)
        req->error = error;
    return error;
}

/* Why the arena gave nothing for size octets: its limit, that of all requests, or the system. */
int request_no_memory(tepal_req *req, size_t size)
{
    struct arena *arena = &req->arena;
    const struct arena_budget *budget = arena->budget;
    size_t left = arena->limit > arena->used ? arena->limit - arena->used : 0;
    if (size + 64 > left)
        return request_fail(req, TEPAL_EREQUEST_MEMORY);
    bool all = budget->used > budget->max || size + 64 > budget->max - budget->used;
    return request_fail(req, all ? -ENOBUFS : -ENOMEM);
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

bool request_refuses_format(tepal_req *req, const char *call, const char *format)
{
    const struct exchange *exchange = req->exchange;
    bool received = exchange->ops->has(exchange, format);
    if (LIKELY(!received && !arena_has(&req->arena, format)) || !strchr(format, '%'))
        return false;
    mistake(req, -EINVAL, call,
            "the format \"%.100s\" is text of the request, which stands behind \"%%s\"", format);
    return true;
}

char *request_vprintf(tepal_req *req, const struct caller *caller, size_t *len, const char *format,
                      va_list args)
{
    size_t n;
    if (UNLIKELY(request_refuses_format(req, caller->call, format)))
        return NULL;
    va_list again;
    va_copy(again, args);
    char *text = arena_vprintf(&req->arena, &n, format, args);
    if (UNLIKELY(!text || printing_looks_null(text, n))) {
        if (!text || printing_has_null(format, again)) {
            mistake_in_format(req, caller, format, again);
            text = NULL;
        }
    }
    va_end(again);
    if (text && len)
        *len = n;
    return text;
}

void *tepal_req_alloc(tepal_req *req, size_t size)
{
    if (!request_is_given(req, "tepal_req_alloc"))
        return NULL;
    void *p = request_alloc(req, size);
    return p ? memset(p, 0, size) : NULL;
}

char *tepal_req_strdup(tepal_req *req, const char *s)
{
    if (!req || !s) {
        mistake_null(req, "tepal_req_strdup", "the text");
        return NULL;
    }
    size_t size = strlen(s) + 1;
    char *copy = request_alloc_text(req, size);
    if (copy)
        memcpy(copy, s, size);
    return copy;
}

char *tepal_req_printf(tepal_req *req, const char *format, ...)
{
    if (!req || !format) {
        mistake_null(req, "tepal_req_printf", "the format");
        return NULL;
    }
    static const struct caller caller = { .call = "tepal_req_printf" };
    va_list args;
    va_start(args, format);
    char *text = request_vprintf(req, &caller, NULL, format, args);
    va_end(args);
    return text;
}

int tepal_req_defer(tepal_req *req, void (*fn)(void *arg), const void *given)
{
    void *arg = (void *)(uintptr_t)given;
    if (!fn)
        return mistake_null(req, "tepal_req_defer", "the function");
    if (UNLIKELY(!req)) {
        fn(arg);
        return mistake_null(req, "tepal_req_defer", "the request");
    }
    if (UNLIKELY(is_on_stack(req, arg))) {
        fn(arg);
        return mistake(req, -EINVAL, "tepal_req_defer",
                       "the argument is a variable on the stack, which is gone when it is called");
    }
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
    if (!request_is_given(req, "tepal_req_group"))
        return NULL;
    if (!req->group && (req->group = tepal_group_new()))
        req->group->belongs_to = "the group is the request's, and is closed with it";
    if (!req->group)
        request_fail(req, -ENOMEM);
    return req->group;
}

void request_end_group(tepal_req *req)
{
    group_close_until(req->group, TEPAL_NEVER);
    req->group = NULL;
}

int tepal_req_set_state(tepal_req *req, const tepal_key *key, const void *given)
{
    void *value = (void *)(uintptr_t)given;
    if (UNLIKELY(!req || !key))
        return mistake_null(req, "tepal_req_set_state", "the key");
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
    if (!argument_is_given(req, "tepal_req_state", key, "the key"))
        return NULL;
    for (const struct state_entry *entry = req->state; entry; entry = entry->next)
        if (entry->key == key)
            return entry->value;
    return state_get(req->app->state, key);
}

void *tepal_req_arg(const tepal_req *req)
{
    if (!request_is_given(req, "tepal_req_arg"))
        return NULL;
    return req->match.route ? (void *)(uintptr_t)req->match.route->arg : NULL;
}

tepal_app *tepal_req_app(const tepal_req *req)
{
    return request_is_given(req, "tepal_req_app") ? req->app : NULL;
}

int tepal_req_error(const tepal_req *req)
{
    return request_is_given(req, "tepal_req_error") ? req->error : -EINVAL;
}
