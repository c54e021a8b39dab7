/* The body of a response as a whole: looking at it, replacing it, and giving lent octets back. */
#include "web/message/mistake.h"
#include "web/message/on_stack.h"

#include <errno.h>
#include <string.h>

/* Octets that the program has lent, in the memory of the request. */
struct lent_body {
    void (*release)(void *arg); /* NULL: it has been called */
    void *arg;
};

static void give_back(void *arg)
{
    struct lent_body *lent = arg;
    void (*release)(void *arg) = lent->release;
    lent->release = NULL;
    if (release)
        release(lent->arg);
}

/* Whether there may be such a body. */
static int check_octets(tepal_req *req, const char *call, const void *data, size_t len)
{
    if (UNLIKELY(len > PTRDIFF_MAX))
        return mistake(req, -EINVAL, call, "the length is %zd", (ssize_t)len);
    return LIKELY(data || len == 0) ? 0 : mistake_null(req, call, "the data");
}

/* The copy has a NUL behind it. */
static const char *copy_octets(tepal_req *req, const void *data, size_t len)
{
    char *copy = request_alloc_text(req, len + 1);
    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

/* In place of the body that was there. */
static void put_body(tepal_res *res, const void *data, size_t len)
{
    struct lent_body *lent = res->lent;
    res->lent = NULL;
    res->body = (tepal_bytes){ .data = data, .len = len };
    if (UNLIKELY(lent != NULL))
        give_back(lent);
}

int response_copy_body(tepal_res *res, const char *call, const void *data, size_t len)
{
    int rc = check_octets(res->req, call, data, len);
    const char *copy = rc == 0 ? copy_octets(res->req, data, len) : NULL;
    if (UNLIKELY(!copy))
        return response_refuse(res, rc < 0 ? rc : res->req->error);
    put_body(res, copy, len);
    return 0;
}

/* Whether the body can be replaced. Returns 0, or an error. */
static int check_replacing(tepal_res *res, const char *call)
{
    if (!response_is_usable(res, call, false))
        return -EINVAL;
    if (res->head_sent)
        return response_sent_already(res, call, "the body");
    if (res->stream)
        return response_refuse(
            res, mistake(res->req, -EINVAL, call, "the response was made by tepal_stream()"));
    return 0;
}

const tepal_bytes *tepal_res_body(const tepal_res *res)
{
    return response_is_usable(res, "tepal_res_body", false) && !res->stream ? &res->body : NULL;
}

int tepal_res_set_body(tepal_res *res, const void *data, size_t len)
{
    static const char call[] = "tepal_res_set_body";
    int rc = check_replacing(res, call);
    return rc < 0 ? rc : response_copy_body(res, call, data, len);
}

static int lend(tepal_res *res, const void *data, size_t len, struct lent_body its)
{
    static const char call[] = "tepal_res_lend_body";
    struct lent_body *lent = NULL;
    int rc = check_replacing(res, call);
    if (rc < 0)
        return rc;
    rc = check_octets(res->req, call, data, len);
    if (rc == 0 && len > 0 && UNLIKELY(is_on_stack(res->req, data)))
        rc = mistake(res->req, -EINVAL, call,
                     "the data is a variable on the stack, which is gone when it is sent: give it "
                     "to tepal_res_set_body(), which copies it");
    if (rc == 0 && its.release) {
        lent = request_alloc(res->req, sizeof(*lent));
        rc = lent ? 0 : res->req->error;
    }
    if (lent) {
        *lent = (struct lent_body){ 0 };
        rc = tepal_req_defer(res->req, give_back, lent);
    }
    if (rc < 0)
        return response_refuse(res, rc);
    if (lent)
        *lent = its;
    put_body(res, data, len);
    res->lent = lent;
    return 0;
}

int tepal_res_lend_body(tepal_res *res, const void *data, size_t len, void (*release)(void *arg),
                        const void *arg)
{
    struct lent_body its = { .release = release, .arg = (void *)(uintptr_t)arg };
    int rc = lend(res, data, len, its);
    if (rc < 0)
        give_back(&its);
    return rc;
}
