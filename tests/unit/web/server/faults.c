/* Tests of a shortage of memory: each allocation of a request that uses everything fails once, and
 * once all from there on. Never a crash, a hang or a leak; the client gets a well-formed answer or
 * a closed connection; and the next request is served. */
#include "../web_check.h"

#include "async/task/task.h"
#include "base/mem.h"
#include "web/app/application.h"
#include "web/server/server.h"

static int n_deferred, n_called;
static char *big;
enum { BIG = 100 * 1000 };

static void count_call(void *arg)
{
    (void)arg;
    n_called++;
}

static int nap(void *arg)
{
    (void)arg;
    return tepal_sleep_ms(10);
}

static tepal_res *middleware(tepal_req *req, tepal_next *next)
{
    static const tepal_key key = { "key" };
    tepal_req_set_state(req, &key, big);
    tepal_res *res = tepal_next_call(next, req);
    tepal_res_set_header(res, "X-Middleware", tepal_req_path(req) ? tepal_req_path(req) : "-");
    tepal_res_set_cookie(res, "name", "value", NULL);
    return res;
}

/* Uses all that a request has, and half of the time goes on after a failure. */
static tepal_res *everything(tepal_req *req)
{
    n_deferred++;
    tepal_req_defer(req, count_call, NULL);
    tepal_group *group = tepal_req_group(req);
    if (group && tepal_spawn(group, nap, NULL, NULL) == 0)
        tepal_group_wait(group);
    json_t *json = tepal_req_json(req);
    const char *cookie = tepal_req_cookie(req, "c"), *query = tepal_req_query(req, "q");
    tepal_req_header(req, "X-Twice");
    tepal_req_content_type(req);
    tepal_req_remote(req);
    tepal_req_host(req);
    tepal_req_url(req, "everything", (tepal_pair[]){ { "id", "1" }, { "name", "n" }, { 0 } });
    tepal_html_escape(req, "<>");
    char *room = tepal_req_alloc(req, 50000);
    if (!json || !cookie || !query || !room)
        return tepal_req_match_int(req, "id") % 2 ? NULL : tepal_fail(req, tepal_req_error(req));
    const char *kind = tepal_req_match(req, "name");
    if (strcmp(kind, "big") == 0)
        return lent(req, big, BIG);
    if (strcmp(kind, "jsonf") == 0)
        return tepal_jsonf(req, 200, "{s:s#,s:o}", "big", big, 5000, "json", json_incref(json));
    if (strcmp(kind, "json") == 0)
        return tepal_json(req, 200, json_incref(json));
    if (strcmp(kind, "text") == 0)
        return tepal_text(req, 200, big);
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    int rc = tepal_writef(res, "%s", big);
    if (rc == 0)
        rc = tepal_write(res, big, BIG);
    return rc < 0 ? tepal_fail(req, rc) : res;
}

static void *json_alloc(size_t size)
{
    return mem_alloc(size);
}

/* The request in octets; the body is chunked, and its head comes in two parts. */
static const char *const fields =
    "Host: a\r\nCookie: a=b; c=d\r\nX-Twice: 1\r\nX-Twice: 2\r\nContent-Type: Application/JSON\r\n";
static char request[20000];

static void make_request(int id, const char *kind, bool chunked)
{
    char *p =
        request + sprintf(request, "POST /every/%d/%s%%20?q=%%41 HTTP/1.1\r\n%s", id, kind, fields);
    p = strstr(request, "%20");
    memmove(p, p + 3, strlen(p + 3) + 1);
    p = request + strlen(request);
    static char body[9000] = "{\"a\":[1,2,3],\"text\":\"";
    memset(body + 21, 'x', 7000);
    strcpy(body + 7021, "\"}");
    if (chunked)
        sprintf(p, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n", strlen(body), body);
    else
        sprintf(p, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
}

/* Sends the request in pieces, with the n-th allocation failing. Returns whether one has failed. */
static bool attempt(size_t n, bool sticky)
{
    size_t len = strlen(request);
    tepal_test_disconnect(client);
    mem_fail_nth(n, sticky);
    int rc = tepal_test_write(client, request, 30);
    if (rc == 0)
        rc = tepal_test_write(client, request + 30, len - 30 - 100);
    if (rc == 0)
        tepal_test_write(client, request + len - 100, 100);
    tepal_test_reply *reply = tepal_test_receive(client, "POST");
    bool failed = mem_failures() > 0;
    mem_fail_nth(0, 0);
    if (!failed)
        assert_int_equal(reply->status, 200);
    else if (reply && reply->status != 0)
        assert_true(reply->status == 200 || reply->status == 400 || reply->status == 413 ||
                    reply->status >= 500);
    tepal_test_disconnect(client);
    assert_int_equal(app->server->n_connections, 0);
    assert_int_equal(loop_current->n_tasks, 0);
    assert_int_equal(n_called, n_deferred);
    return failed;
}

static void serve(void)
{
    static const tepal_route table[] = {
        { "POST", "/every/{id:int}/{name:[a-z]+}", everything, .name = "everything" }, { 0 }
    };
    tepal_routes(app, table);
    tepal_use(app, middleware, NULL);
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .access_log.format = "%a %t %r %s %{X-Twice}i %{Cookie}o",
                                .access_log.fd = 999 });
}

static void fail_each(bool sticky)
{
    static const char *const kinds[] = { "big", "jsonf", "json", "text", "stream" };
    json_set_alloc_funcs(json_alloc, mem_free);
    big = octets(BIG);
    serve();
    for (size_t i = 0; i < 2 * sizeof(kinds) / sizeof(*kinds); i++) {
        make_request((int)i, kinds[i / 2], i % 2);
        size_t n = 1;
        while (attempt(n, sticky)) {
            /* Fresh: nothing is kept that the failure has touched. */
            assert_reply(get("/"), 200, "ok");
            n += RUNNING_ON_VALGRIND ? 3 : 1;
            log_forget();
        }
        assert_true(n > 5);
    }
    free(big);
    web_teardown(NULL);
    json_set_alloc_funcs(malloc, free);
}

static void one_allocation_fails(void **state)
{
    (void)state;
    fail_each(false);
}

static void all_fail_from_one_on(void **state)
{
    (void)state;
    fail_each(true);
}

/* A new connection: without memory for it the client is turned away, and that is all. */
static void connecting(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    start(NULL);
    for (size_t n = 1; n < 30; n++) {
        tepal_test_disconnect(client);
        block_pool_clear(&loop_current->buffers); /* so that they have to be taken anew */
        block_pool_clear(&loop_current->chunks);
        mem_fail_nth(n, 0);
        tepal_test_write(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
        tepal_test_reply *reply = tepal_test_receive(client, "GET");
        bool failed = mem_failures() > 0;
        mem_fail_nth(0, 0);
        if (!failed) {
            assert_reply(reply, 200, "ok");
            return;
        }
    }
    fail_msg("it never passed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(one_allocation_fails),
        WEB_TEST(all_fail_from_one_on),
        WEB_TEST(connecting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
