/* Tests of JSON bodies that are large, deep, or cost much: what others get of the loop meanwhile,
 * and what it may cost. */
#include "../web_check.h"

#include "async/loop/loop.h"
#include "base/mem.h"

static int last_error;
static json_t *kept;

static tepal_res *count(tepal_req *req)
{
    json_t *json = tepal_req_json(req);
    last_error = tepal_req_error(req);
    if (!json)
        return NULL;
    size_t n = json_is_array(json) ? json_array_size(json) : json_object_size(json);
    return tepal_textf(req, 200, "%zu", n);
}

/* "[unit,unit,...]" of about size octets. */
static char *array_of(const char *unit, size_t size, size_t *n)
{
    size_t len = strlen(unit);
    char *text = malloc(size + len + 3), *p = text;
    assert_non_null(text);
    *p++ = '[';
    for (*n = 0; (size_t)(p - text) < size; ++*n)
        p += sprintf(p, "%s%s", *n ? "," : "", unit);
    strcpy(p, "]");
    return text;
}

static void expect_count(const char *body, size_t n)
{
    char text[32];
    sprintf(text, "%zu", n);
    assert_reply(ask("POST", "/", NULL, body), 200, text);
}

/* --- Memory ----------------------------------------------------------------------------------- */

/* What a client can make of a MiB is part of the memory of its request. */
static void memory(void **state)
{
    (void)state;
    static const char *const dense[] = { "{}", "[]", "{\"\":0}", "[0]" };
    size_t n;
    tepal_post(app, "/", count);
    start(NULL);
    for (size_t i = 0; i < sizeof(dense) / sizeof(*dense); i++) {
        char *body = array_of(dense[i], 1000000, &n);
        size_t before = mem_count();
        assert_reply(ask("POST", "/", NULL, body), 413,
                     "413 Content Too Large: memory of the request is used up\n");
        assert_int_equal(last_error, TEPAL_EREQUEST_MEMORY);
        assert_in_range(mem_count() - before, 0, 200);
        tepal_test_disconnect(client);
        free(body);
    }
    char *body = array_of("{\"id\":1,\"name\":\"Item 1\",\"price\":19.99}", 700000, &n);
    expect_count(body, n);
    free(body);
    again();
    tepal_post(app, "/", count);
    start(&(tepal_run_options){ .limits.max_request_memory = TEPAL_UNLIMITED });
    body = array_of("{}", 100000, &n);
    expect_count(body, n);
    free(body);
}

/* And part of the memory of all. */
static void memory_of_all(void **state)
{
    (void)state;
    size_t n;
    tepal_post(app, "/", count);
    start(&(tepal_run_options){ .limits.max_memory = 2 * 1024 * 1024 });
    char *body = array_of("{}", 30000, &n); /* 2.3 MB */
    assert_reply(ask("POST", "/", NULL, body), 503, NULL);
    assert_int_equal(last_error, -ENOBUFS);
    tepal_test_disconnect(client);
    free(body);
    body = array_of("{}", 10000, &n);
    expect_count(body, n);
    free(body);
}

/* Around the limit: 224 octets for each object, and 128 for the array with 8 places
 * more for each that is doubled, 4 for each octet of the longest token, and 1 KiB. */
static void exact_memory(void **state)
{
    (void)state;
    size_t n;
    char *body = array_of("{}", 200, &n);
    size_t least = 0;
    for (size_t limit = 64 * 1024; limit < 128 * 1024 && !least; limit += 512) {
        tepal_post(app, "/", count);
        start(&(tepal_run_options){ .limits.max_request_memory = limit });
        int status = ask("POST", "/", NULL, body)->status;
        assert_true(status == 200 || status == 413);
        if (status == 200)
            least = limit;
        again();
    }
    free(body);
    assert_in_range(least, 64 * 1024, 80 * 1024);
}

/* --- The loop --------------------------------------------------------------------------------- */

static int turns;

static int take_turns(void *arg)
{
    (void)arg;
    while (tepal_sleep_ms(0) == 0)
        turns++;
    return 0;
}

static tepal_res *count_beside(tepal_req *req)
{
    if (!tepal_req_body(req))
        return NULL;
    tepal_group *group = tepal_group_new();
    turns = 0;
    int rc = tepal_spawn(group, take_turns, NULL, NULL);
    tepal_res *res = rc < 0 ? NULL : count(req);
    tepal_group_close(group);
    return res;
}

/* Others have their turn every few KiB. */
static void others_have_turns(void **state)
{
    (void)state;
    size_t n;
    tepal_post(app, "/", count_beside);
    start(&(tepal_run_options){ .limits.max_request_memory = TEPAL_UNLIMITED });
    char *body = array_of("{\"a\":[1,\"\\u00e9\"]}", 1000000, &n);
    expect_count(body, n);
    assert_in_range(turns, 1000000 / (16 * 1024), 1000);
    free(body);
    /* Tables of many members are not doubled here. */
    body = malloc(400000);
    char *p = body + sprintf(body, "{\"z\":0");
    for (n = 1; n < 20000; n++)
        p += sprintf(p, ",\"%zx\":[%zu]", n, n);
    strcpy(p, "}");
    expect_count(body, n);
    assert_in_range(turns, 1, 1000000);
    free(body);
    body = array_of("1", 10000, &n);
    expect_count(body, n);
    assert_in_range(turns, 0, 2); /* small ones need none */
    free(body);
}

static tepal_res *check_text(tepal_req *req)
{
    if (!tepal_req_body(req))
        return NULL;
    tepal_group *group = tepal_group_new();
    turns = 0;
    int rc = tepal_spawn(group, take_turns, NULL, NULL);
    const char *text = rc < 0 ? NULL : tepal_req_text(req);
    tepal_group_close(group);
    return text ? tepal_textf(req, 200, "%zu", strlen(text)) : NULL;
}

/* A text that is looked at in steps is the same text, wherever a step ends. */
static void long_texts(void **state)
{
    (void)state;
    static const char *const letters[] = { "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
    tepal_post(app, "/", check_text);
    start(NULL);
    for (size_t i = 0; i < 4; i++)
        for (size_t shift = 0; shift < 4; shift++) {
            size_t len = strlen(letters[i]), n = 700000 / len, all = shift + n * len;
            char *body = malloc(all + 1), said[32];
            memset(body, 'x', shift);
            for (size_t k = 0; k < n; k++)
                memcpy(body + shift + k * len, letters[i], len);
            body[all] = '\0';
            sprintf(said, "%zu", all);
            assert_reply(ask("POST", "/", NULL, body), 200, said);
            assert_in_range(turns, 1, 4);
            body[all - 1] = (char)0xff;
            assert_reply(ask("POST", "/", NULL, body), 400, NULL);
            tepal_test_disconnect(client);
            free(body);
        }
}

static tepal_job job;

static int parse_job(void *arg)
{
    json_t *json = tepal_req_json(arg);
    return json ? 0 : tepal_req_error(arg);
}

static int cancel_it(void *arg)
{
    for (int i = 0; i < 5; i++)
        if (tepal_sleep_ms(0) < 0)
            return 0;
    /* Who comes while another task is at it is told so. */
    *(json_t **)arg = tepal_req_json((void *)job.arg);
    tepal_job_cancel(&job);
    return 0;
}

static tepal_res *cancelled(tepal_req *req)
{
    json_t *other = (json_t *)req;
    if (!tepal_req_body(req))
        return NULL;
    job = (tepal_job){ .fn = parse_job, .arg = req };
    tepal_group *group = tepal_group_new();
    if (tepal_job_start(group, &job) < 0 || tepal_spawn(group, cancel_it, &other, NULL) < 0)
        return NULL;
    tepal_group_wait(group);
    tepal_group_close(group);
    json_t *json = tepal_req_json(req); /* the body is still there */
    return tepal_textf(req, 200, "%s %d %zu", tepal_code_name(job.result), other == NULL,
                       json_array_size(json));
}

static void cancellation(void **state)
{
    (void)state;
    size_t n;
    char said[64], *body = array_of("[1,[2]]", 300000, &n);
    tepal_post(app, "/", cancelled);
    start(NULL);
    sprintf(said, "EBUSY 1 %zu", n); /* the first cause that was recorded */
    assert_reply(ask("POST", "/", NULL, body), 200, said);
    free(body);
}

static tepal_res *keep(tepal_req *req)
{
    json_t *json = tepal_req_json(req);
    if (!json)
        return NULL;
    kept = json_incref(json_array_get(json, 0));
    return tepal_json(req, 200, json_incref(json_array_get(json, 1)));
}

/* Freeing in steps leaves alone what somebody else has taken. */
static void what_is_kept(void **state)
{
    (void)state;
    size_t n, all = 0;
    char *body = array_of("[[{\"a\":[1,2,3]}],{\"b\":{\"c\":\"d\"},\"e\":[]},[[[]]]]", 200000, &n);
    tepal_post(app, "/", keep);
    start(NULL);
    assert_reply(ask("POST", "/", NULL, body), 200,
                 "[[{\"a\":[1,2,3]}],{\"b\":{\"c\":\"d\"},\"e\":[]},[[[]]]]");
    again();
    all = json_array_size(kept);
    assert_int_equal(kept->refcount, 1);
    assert_int_equal(all, 3);
    json_decref(kept);
    free(body);
}

/* --- The stack -------------------------------------------------------------------------------- */

/* Brackets in brackets, with much behind them if it shall be large. */
static char *deep(size_t depth, bool object, size_t more)
{
    char *text = malloc(depth * 6 + more + 16), *p = text;
    assert_non_null(text);
    for (size_t i = 0; i < depth; i++)
        p += sprintf(p, object ? "{\"a\":" : "[");
    p += sprintf(p, "\"");
    memset(p, 'x', more);
    p += more;
    p += sprintf(p, "\"");
    for (size_t i = 0; i < depth; i++)
        *p++ = object ? '}' : ']';
    *p = '\0';
    return text;
}

static tepal_res *echo(tepal_req *req)
{
    json_t *json = tepal_req_json(req);
    return json ? tepal_json(req, 200, json_incref(json)) : NULL;
}

/* A handler that has little left of its stack. */
static tepal_res *echo_on_top(tepal_req *req)
{
    volatile char much[170 * 1024];
    much[0] = much[sizeof(much) - 1] = 1;
    tepal_res *res = echo(req);
    return much[0] ? res : NULL;
}

/* No depth that is allowed overflows a stack that is allowed. */
static void deep_bodies(void **state)
{
    (void)state;
    static const tepal_run_options rows[] = {
        { .stack_size = 48 * 1024, .limits.max_json_depth = 0 },
        { .stack_size = 256 * 1024, .limits.max_json_depth = 512 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        tepal_post(app, "/", echo);
        tepal_post(app, "/top", i == 1 ? echo_on_top : echo);
        start(&rows[i]);
        for (int variant = 0; variant < 8; variant++) {
            size_t depth = i == 0 ? 128 : 512;
            char *body = deep(depth, variant & 1, variant & 2 ? 40000 : 1);
            const char *target = variant & 4 ? "/top" : "/";
            assert_reply(ask("POST", target, NULL, body), 200, body);
            free(body);
        }
        again();
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        WEB_TEST(memory),       WEB_TEST(memory_of_all),
        WEB_TEST(exact_memory), WEB_TEST(others_have_turns),
        WEB_TEST(long_texts),   WEB_TEST(cancellation),
        WEB_TEST(what_is_kept), WEB_TEST(deep_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
