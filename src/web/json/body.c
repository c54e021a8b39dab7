/* The body of a request as JSON. What it will cost is counted before, and a large one is made, and
 * freed, in steps, between which others have their turn. */
#include "async/task/task.h"
#include "web/json/owner.h"
#include "web/json/scan.h"
#include "web/server/memory.h"
#include "web/message/mistake.h"

#include <errno.h>
#include <string.h>

enum {
    LARGE = 32 * 1024,        /* octets of text from which on it goes in steps */
    SCAN_STEP = 64 * 1024,    /* octets of text that are counted in one go */
    PARSE_STEP = 4 * 1024,    /* and that are parsed: under a millisecond of the densest JSON */
    LARGE_TABLE = 256 * 1024, /* octets of a table whose doubling is felt */
    FREE_STEP = 1024,         /* values that are freed */
    LEVEL_STACK = 128,        /* octets of stack for a level: parsing it, or freeing it */
    SPARE_STACK = 8 * 1024,   /* and for all the rest */
    FREE_LEVELS = 64,         /* that are freed in steps; what is deeper goes at once */
};

static const size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES;

/* --- Counting --------------------------------------------------------------------------------- */

/* Suspends for large texts. Returns 0 or an error. */
static int scan_text(struct json_scan *scan, tepal_bytes text, size_t max_depth)
{
    json_scan_init(scan);
    while (text.len > 0) {
        size_t step = text.len < SCAN_STEP ? text.len : SCAN_STEP;
        json_scan_feed(scan, text.data, step);
        if (scan->too_deep || scan->max_depth > max_depth)
            return TEPAL_EJSON;
        text.data += step;
        text.len -= step;
        int rc = text.len > 0 ? tepal_sleep_ms(0) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- Parsing ---------------------------------------------------------------------------------- */

struct parse {
    tepal_bytes text; /* that is still to be parsed */
    size_t step;      /* octets of it until the next break */
    bool in_steps;
    int error; /* that ended it in a break */
    json_t *json;
};

/* Gives the parser the next piece; between two of them others have their turn. */
static size_t next_piece(void *buffer, size_t room, void *arg)
{
    struct parse *parse = arg;
    if (parse->step == 0) {
        parse->step = PARSE_STEP;
        parse->error = tepal_sleep_ms(0);
        if (parse->error < 0)
            return (size_t)-1;
    }
    size_t len = parse->text.len < room ? parse->text.len : room;
    if (len > parse->step)
        len = parse->step;
    memcpy(buffer, parse->text.data, len);
    parse->text.data += len;
    parse->text.len -= len;
    parse->step -= len;
    return len;
}

/* Fits tepal_offload(). */
static int parse_text(void *arg)
{
    struct parse *parse = arg;
    parse->json = parse->in_steps ? json_load_callback(next_piece, parse, flags, NULL)
                                  : json_loadb(parse->text.data, parse->text.len, flags, NULL);
    return parse->error < 0 ? parse->error : parse->json ? 0 : TEPAL_EJSON;
}

/* Whether what is left of the task's stack is enough for so many levels. */
static bool stack_is_enough(size_t depth)
{
    const struct stack *stack = loop_current->current->stack;
    size_t left = (size_t)((char *)__builtin_frame_address(0) - stack->low);
    return left > depth * LEVEL_STACK + SPARE_STACK;
}

/* Parses here, or in a thread: where there is more stack, and where nobody waits while a table of
 * many members is doubled, which is no matter of steps. Suspends unless the text is small. */
static int parse(tepal_bytes text, const struct json_scan *scan, json_t **json)
{
    struct parse parse = { .text = text, .step = PARSE_STEP, .in_steps = text.len > LARGE };
    bool here = stack_is_enough(scan->max_depth) && scan->table <= LARGE_TABLE;
    parse.in_steps &= here;
    int rc = here ? parse_text(&parse) : tepal_offload(parse_text, &parse);
    *json = parse.json;
    return rc;
}

/* --- Freeing ---------------------------------------------------------------------------------- */

/* The value in a container that is freed next; NULL when it is empty. */
static json_t *next_inside(json_t *container)
{
    if (json_is_array(container))
        return json_array_get(container, json_array_size(container) - 1);
    return json_object_iter_value(json_object_iter(container));
}

/* Takes that value off. Returns 0 or -1. */
static int take_off(json_t *container)
{
    if (json_is_array(container))
        return json_array_remove(container, json_array_size(container) - 1);
    return json_object_del(container, json_object_iter_key(json_object_iter(container)));
}

/* Whether it is a container whose content is nobody else's, and not gone yet. */
static bool is_full(const json_t *value)
{
    return (json_is_array(value) || json_is_object(value)) && value->refcount == 1 &&
           (json_array_size(value) > 0 || json_object_size(value) > 0);
}

/* Empties a container from within. */
static void empty_in_steps(json_t *json)
{
    json_t *path[FREE_LEVELS] = { json }, *inside;
    size_t depth = is_full(json), n = 0;
    while (depth > 0) {
        inside = next_inside(path[depth - 1]);
        if (!inside)
            depth--;
        else if (depth < FREE_LEVELS && is_full(inside))
            path[depth++] = inside;
        else if (take_off(path[depth - 1]) < 0 || (++n % FREE_STEP == 0 && tepal_sleep_ms(0) < 0))
            return;
    }
}

static void drop_small(void *arg)
{
    tepal_req *req = arg;
    json_take_back(req, req->json);
    json_decref(req->json);
}

static void drop_large(void *arg)
{
    tepal_req *req = arg;
    json_take_back(req, req->json);
    empty_in_steps(req->json);
    json_decref(req->json);
}

/* --- All of it -------------------------------------------------------------------------------- */

/* A byte order mark may be ignored (RFC 8259 section 8.1). */
static tepal_bytes without_mark(tepal_bytes text)
{
    if (text.len < 3 || memcmp(text.data, "\xef\xbb\xbf", 3) != 0)
        return text;
    return (tepal_bytes){ .data = text.data + 3, .len = text.len - 3 };
}

/* Counts memory as the request's. What is large waits until the server has it. Returns 0 or an
 * error. */
static int charge(tepal_req *req, size_t size)
{
    struct arena *arena = &req->arena;
    if (arena->used > arena->limit || size > arena->limit - arena->used)
        return TEPAL_EREQUEST_MEMORY;
    int rc = size > MEMORY_SMALL ? memory_wait(req, size) : 0;
    if (rc < 0)
        return rc;
    return arena_charge(arena, size) ? 0 : request_no_memory(req, size);
}

/* Makes the value, with its memory counted as the request's. Returns 0 or an error. */
static int make_json(tepal_req *req, tepal_bytes text)
{
    struct json_scan scan;
    int rc = scan_text(&scan, text, req->server->options.limits.max_json_depth);
    if (rc < 0)
        return rc;
    size_t passing = json_scan_passing(&scan);
    rc = charge(req, scan.memory + passing);
    if (rc < 0)
        return rc;
    json_t *json = NULL;
    rc = parse(text, &scan, &json);
    arena_discharge(&req->arena, passing);
    if (rc < 0) {
        json_decref(json);
        arena_discharge(&req->arena, scan.memory);
        return rc;
    }
    json_lend(json);
    req->json = json;
    rc = tepal_req_defer(req, text.len > LARGE ? drop_large : drop_small, req);
    if (rc < 0)
        req->json = NULL;
    return rc;
}

json_t *tepal_req_json(tepal_req *req)
{
    if (!request_is_given(req, "tepal_req_json"))
        return NULL;
    if (req->json)
        return req->json;
    const tepal_bytes *body = tepal_req_body(req);
    if (!body)
        return NULL;
    /* Another task of the request is at it. */
    int rc = req->making_json ? -EBUSY : 0;
    if (rc == 0) {
        req->making_json = true;
        rc = make_json(req, without_mark(*body));
        req->making_json = false;
    }
    if (rc < 0)
        request_fail(req, rc);
    return req->json;
}
