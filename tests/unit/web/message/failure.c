/* Tests of what is recorded of calls that fail, and what is answered then. */
#include "../web_check.h"

#include "web/message/request.h"

#include <errno.h>

static tepal_res *(*fail_in)(tepal_req *req);
static tepal_res *call_it(tepal_req *req)
{
    return fail_in(req);
}

static void begin(void)
{
    tepal_any(app, "/", call_it);
    start(&(tepal_run_options){ .limits = { .max_body = 4 } });
}

/* How the handler is answered when the body is no text and no JSON, or too large. */
static void expect(tepal_res *(*handler)(tepal_req *req), const char *body, int status,
                   const char *answer)
{
    fail_in = handler;
    assert_reply(ask("POST", "/", NULL, body), status, answer);
}

static const char *nothing(tepal_req *req)
{
    return tepal_req_query(req, "none");
}

/* --- Several causes --------------------------------------------------------------------------- */

static tepal_res *text_then_field(tepal_req *req)
{
    tepal_req_text(req);
    assert_int_equal(tepal_req_error(req), TEPAL_ECHARSET);
    tepal_redirect(req, 200, "/");
    assert_int_equal(tepal_req_error(req), -EINVAL);
    return NULL;
}

static tepal_res *field_then_text(tepal_req *req)
{
    tepal_redirect(req, 200, "/");
    tepal_req_text(req);
    return NULL;
}

static tepal_res *fallback(tepal_req *req)
{
    const char *text = tepal_req_text(req);
    return tepal_text(req, 200, text ? text : "in its place");
}

/* Each body that is asked for again fails as before. */
static tepal_res *body_again(tepal_req *req)
{
    assert_null(tepal_req_body(req));
    assert_null(tepal_redirect(req, 200, "/"));
    assert_int_equal(tepal_req_error(req), -EINVAL);
    assert_null(tepal_req_text(req));
    assert_int_equal(tepal_req_error(req), TEPAL_EBODY_SIZE);
    return NULL;
}

/* What has failed before is no reason not to read the body. */
static tepal_res *body_after_failure(tepal_req *req)
{
    assert_null(tepal_redirect(req, 200, "/"));
    return tepal_text(req, 200, tepal_req_text(req));
}

static void the_last_cause_counts(void **state)
{
    (void)state;
    begin();
    expect(text_then_field, "\xff", 500, NULL);
    expect(field_then_text, "\xff", 400, NULL);
    expect(fallback, "\xff", 200, "in its place");
    expect(body_again, "large", 413, NULL);
    expect(body_after_failure, "text", 200, "text");
}

static int cancelled(void *arg)
{
    tepal_req *req = arg;
    return request_fail(req, tepal_sleep_ms(1000));
}

/* As a client's call does that is cancelled because another one has failed. */
static tepal_res *fail_and_cancel(tepal_req *req)
{
    if (*tepal_req_method(req) == 'P')
        tepal_req_text(req);
    tepal_group *group = tepal_req_group(req);
    tepal_spawn(group, cancelled, req, NULL);
    tepal_sleep_ms(1);
    tepal_group_cancel(group);
    assert_int_equal(tepal_group_wait(group), -ECANCELED);
    return NULL;
}

static void cancellation_replaces_none(void **state)
{
    (void)state;
    begin();
    expect(fail_and_cancel, "\xff", 400, NULL);
    fail_in = fail_and_cancel;
    assert_reply(get("/"), 503, NULL);
}

/* Each of these is given the NULL of a body that is no text. */
static tepal_res *null_to_text(tepal_req *req)
{
    return tepal_text(req, 200, tepal_req_text(req));
}
static tepal_res *null_to_textf(tepal_req *req)
{
    return tepal_textf(req, 200, "%s", tepal_req_text(req));
}
static tepal_res *null_to_htmlf(tepal_req *req)
{
    return tepal_htmlf(req, 200, "%s", tepal_req_text(req));
}
static tepal_res *null_to_jsonf(tepal_req *req)
{
    return tepal_jsonf(req, 200, "{s:s}", "text", tepal_req_text(req));
}
static tepal_res *null_to_json(tepal_req *req)
{
    return tepal_json(req, 200, json_incref(tepal_req_json(req)));
}
static tepal_res *null_to_data(tepal_req *req)
{
    return tepal_data(req, 200, NULL, tepal_req_text(req), 5);
}
static tepal_res *null_to_redirect(tepal_req *req)
{
    return tepal_redirect(req, 303, tepal_req_strdup(req, tepal_req_text(req)));
}
static tepal_res *null_to_header(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_set_header(res, "X-Text", tepal_req_text(req));
    return res;
}
static tepal_res *null_to_printf(tepal_req *req)
{
    return tepal_text(req, 200, tepal_req_printf(req, "%s", tepal_req_text(req)));
}
static tepal_res *null_to_escape(tepal_req *req)
{
    return tepal_html(req, 200, tepal_html_escape(req, tepal_req_text(req)));
}

static void null_leaves_the_cause(void **state)
{
    (void)state;
    static tepal_res *(*const handlers[])(tepal_req * req) = {
        null_to_text, null_to_textf,    null_to_htmlf,  null_to_jsonf,  null_to_json,
        null_to_data, null_to_redirect, null_to_header, null_to_printf, null_to_escape,
    };
    begin();
    for (size_t i = 0; i < sizeof(handlers) / sizeof(*handlers); i++)
        expect(handlers[i], "\xff", 400, NULL);
    assert_string_equal(logged(), "");
}

/* A bad string is a failure of its own, whatever came before. */
static tepal_res *bad_string_after_failure(tepal_req *req)
{
    tepal_req_text(req);
    return tepal_jsonf(req, 200, "s", "\xff");
}
static tepal_res *bad_status_after_failure(tepal_req *req)
{
    tepal_req_text(req);
    return tepal_jsonf(req, 7, "n");
}

static void other_mistakes_replace_it(void **state)
{
    (void)state;
    begin();
    expect(bad_string_after_failure, "\xff", 500, NULL);
    expect(bad_status_after_failure, "\xff", 500, NULL);
}

/* --- Answers that are recorded ---------------------------------------------------------------- */

static int status;
static const char *detail;

static json_t *helper(tepal_req *req)
{
    return tepal_reject(req, status, detail);
}

static tepal_res *reject_deep_below(tepal_req *req)
{
    return tepal_json(req, 200, helper(req));
}

static tepal_res *reject_and_fail(tepal_req *req)
{
    helper(req);
    return tepal_fail(req, tepal_req_error(req));
}

static tepal_res *rejectf(tepal_req *req)
{
    return tepal_rejectf(req, status, "%d of %s", 3, detail);
}

static tepal_res *rejectf_null(tepal_req *req)
{
    return tepal_rejectf(req, 404, "%s", nothing(req));
}

static tepal_res *rejectf_after_failure(tepal_req *req)
{
    return tepal_rejectf(req, 404, "%s", tepal_req_text(req));
}

static tepal_res *reject_twice(tepal_req *req)
{
    char text[] = "second";
    (void)tepal_reject(req, 404, "first");
    (void)tepal_reject(req, 403, text);
    memset(text, '?', sizeof(text));
    return NULL;
}

static tepal_res *reject_then_fail(tepal_req *req)
{
    (void)tepal_reject(req, 404, "first");
    return tepal_text(req, 200, tepal_req_text(req));
}

static tepal_res *reject_then_header(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_set_header(res, "X", tepal_reject(req, 409, "conflict"));
    return res;
}

static void rejections(void **state)
{
    (void)state;
    begin();
    status = 403;
    detail = "not yours";
    expect(reject_deep_below, "", 403, "403 Forbidden: not yours\n");
    expect(reject_and_fail, "", 403, "403 Forbidden: not yours\n");
    expect(rejectf, "", 403, "403 Forbidden: 3 of not yours\n");
    detail = NULL;
    expect(reject_deep_below, "", 403, "403 Forbidden\n");
    expect(reject_twice, "", 403, "403 Forbidden: second\n");
    expect(reject_then_fail, "\xff", 400, NULL);
    expect(reject_then_header, "", 409, "409 Conflict: conflict\n");
    expect(rejectf_after_failure, "\xff", 400, NULL);
    status = 503;
    expect(reject_deep_below, "", 503, "503 Service Unavailable\n");
    assert_string_equal(logged(), "");
    expect(rejectf_null, "", 500, NULL);
    assert_non_null(strstr(logged(), "tepal_rejectf: a text for \"%s\" is NULL"));
    log_forget();
    status = 1000;
    expect(reject_deep_below, "", 500, NULL);
    assert_non_null(strstr(logged(), "tepal_reject: status 1000 is not 200 to 999"));
}

/* --- What can be asked ------------------------------------------------------------------------ */

static void expect_failure(const tepal_req *req, int error, int answer, const char *text)
{
    tepal_failure failure = tepal_req_failure(req);
    assert_int_equal(failure.error, error);
    assert_int_equal(failure.error, tepal_req_error(req));
    assert_int_equal(failure.status, answer);
    if (text)
        assert_string_equal(failure.detail, text);
    else
        assert_null(failure.detail);
}

static tepal_res *tell(tepal_req *req)
{
    expect_failure(req, 0, 0, NULL);
    tepal_req_text(req);
    expect_failure(req, TEPAL_ECHARSET, 400, tepal_code_text(TEPAL_ECHARSET));
    tepal_redirect(req, 200, "/");
    expect_failure(req, -EINVAL, 500, "Internal Server Error");
    (void)tepal_reject(req, 404, "no such item");
    expect_failure(req, TEPAL_EREJECTED, 404, "no such item");
    (void)tepal_reject(req, 404, NULL);
    expect_failure(req, TEPAL_EREJECTED, 404, "Not Found");
    return ok(req);
}

static void what_is_recorded(void **state)
{
    (void)state;
    begin();
    expect(tell, "\xff", 200, "ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(the_last_cause_counts),
        WEB_TEST(cancellation_replaces_none),
        WEB_TEST(null_leaves_the_cause),
        WEB_TEST(other_mistakes_replace_it),
        WEB_TEST(rejections),
        WEB_TEST(what_is_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
