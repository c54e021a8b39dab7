/* Counting references of values that are not only ours. */
#include "web/json/owner.h"

#include "base/mem.h"
#include "web/message/mistake.h"

#include <string.h>

struct json_given {
    json_t *values[JSON_GIVEN_MAX];
    bool again[JSON_GIVEN_MAX]; /* it was: then it is left to whom it belongs */
    unsigned next;
};

/* References in reserve: no handler drops as many. */
enum { LENT = 1 << 20 };

/* Constants such as true are never freed. */
static bool is_counted(const json_t *value)
{
    return value->refcount != (size_t)-1;
}

/* --- What is lent ----------------------------------------------------------------------------- */

void json_lend(json_t *value)
{
    if (is_counted(value))
        value->refcount += LENT;
}

void json_take_back(const tepal_req *req, json_t *value)
{
    if (!is_counted(value))
        return;
    if (value->refcount > LENT) {
        value->refcount -= LENT;
        return;
    }
    value->refcount = 1;
    mistake_say_once(req, ONCE_JSON, "tepal_req_json",
                     "the value was released, which is the request's: tepal_json() takes over what "
                     "it is given, so give json_incref() of it, and no json_decref()");
}

/* Whether the value is inside of the other one: then its reference is that one's. */
static bool is_inside(json_t *in, const json_t *value, size_t depth)
{
    enum { MAX_DEPTH = 512 };
    const char *key;
    json_t *item;
    size_t i;
    if (depth == MAX_DEPTH)
        return false;
    json_array_foreach(in, i, item)
    {
        if (item == value || is_inside(item, value, depth + 1))
            return true;
    }
    json_object_foreach(in, key, item)
    {
        if (item == value || is_inside(item, value, depth + 1))
            return true;
    }
    return false;
}

/* --- What is given ---------------------------------------------------------------------------- */

void json_given_free(struct json_given *given)
{
    for (size_t i = 0; i < JSON_GIVEN_MAX; i++)
        if (given && !given->again[i])
            json_decref(given->values[i]);
    mem_free(given);
}

/* Puts it in the place of the oldest one that may go. */
static void keep(struct json_given *given, json_t *value)
{
    unsigned n = 0;
    while (given->again[given->next] && n++ < JSON_GIVEN_MAX)
        given->next = (given->next + 1) % JSON_GIVEN_MAX;
    if (given->again[given->next])
        return; /* all are left to others, and so is this one */
    json_decref(given->values[given->next]);
    given->values[given->next] = value;
    given->next = (given->next + 1) % JSON_GIVEN_MAX;
}

struct json_given *json_given_new(void)
{
    return mem_zalloc(sizeof(struct json_given));
}

static bool was_given(struct json_given *given, const json_t *value)
{
    for (size_t i = 0; i < JSON_GIVEN_MAX; i++)
        if (given->values[i] == value)
            return given->again[i] = true;
    return false;
}

void json_drop_given(const tepal_req *req, const char *call, json_t *value, size_t len)
{
    if (!value)
        return;
    struct json_given *given = req->server->json_given;
    if (value->refcount != 1)
        json_decref(value);
    else if (req->json && is_inside(req->json, value, 0))
        mistake_say_once(req, ONCE_JSON, call,
                         "the value is a part of the request's body, whose it stays: give "
                         "json_incref() of it (or O in a format)");
    else if (len > JSON_GIVEN_LARGEST)
        json_decref(value);
    else if (was_given(given, value))
        mistake_say_once(
            req, ONCE_JSON, call,
            "the value was given away before: give json_incref() of what is kept (or O "
            "in a format)");
    else
        keep(given, value);
}
