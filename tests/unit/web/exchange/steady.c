/* Tests of what a keep-alive request costs once all is warm: no allocation, neither of ours nor
 * of a library; and of what an idle connection holds. */
#include "../web_check.h"

#include "async/loop/loop.h"
#include "base/mem.h"
#include "web/app/application.h"
#include "web/exchange/connection.h"

#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

/* Calls of malloc() and its kin are counted, whoever makes them: these take the place of the C
 * library's own. A sanitizer has its own in that place. */

static size_t n_calls;

#if defined(__GLIBC__) && !defined(TEPAL_ASAN) && !defined(TEPAL_TSAN)
enum { COUNTING = 1 };

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *p);

void *malloc(size_t size)
{
    n_calls++;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    n_calls++;
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    n_calls++;
    return __libc_realloc(old, size);
}

void free(void *p)
{
    __libc_free(p);
}
#else
enum { COUNTING = 0 };
#endif

static tepal_res *plaintext(tepal_req *req)
{
    return tepal_data(req, 200, "text/plain", "Hello, World!", 13);
}

static tepal_res *json(tepal_req *req)
{
    return tepal_jsonf(req, 200, "{s:s}", "message", "Hello, World!");
}

static tepal_res *name(tepal_req *req)
{
    return tepal_textf(req, 200, "Hello, %s!\n", tepal_req_match(req, "name"));
}

static tepal_res *word(tepal_req *req)
{
    tepal_res *res =
        tepal_textf(req, 200, "%s %s", tepal_req_match(req, "word"), tepal_req_query(req, "q"));
    tepal_res_set_headerf(res, "X-Field", "%d", 1);
    return res;
}

static tepal_res *middleware(tepal_req *req, tepal_next *next)
{
    return tepal_next_call(next, req);
}

static int client_fd;

static void attach(void)
{
    int pair[2];
    struct addr peer = { .un.sun_family = AF_UNIX };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    server_attach(app->server, pair[1], &peer);
    client_fd = pair[0];
}

static void exchange(const char *octets_, const char *end)
{
    char got[4096];
    assert_int_equal(write(client_fd, octets_, strlen(octets_)), (ssize_t)strlen(octets_));
    while (loop_turn(loop_current, false))
        continue;
    ssize_t n = recv(client_fd, got, sizeof(got) - 1, 0);
    assert_true(n > 0);
    got[n] = '\0';
    assert_memory_equal(got, "HTTP/1.1 200 OK\r\n", 17);
    assert_string_equal(strstr(got, "\r\n\r\n") + 4, end);
}

static void no_allocations(void **state)
{
    (void)state;
    static const struct {
        const char *target, *body;
    } rows[] = {
        { "/plaintext", "Hello, World!" },        { "/json", "{\"message\":\"Hello, World!\"}" },
        { "/hello/you", "Hello, you!\n" },        { "/word/abc?q=%41", "abc A" },
        { "/cached/wor%6Cd", "Hello, world!\n" },
    };
    tepal_use(app, middleware, NULL);
    tepal_get(app, "/plaintext", plaintext);
    tepal_get(app, "/json", json);
    tepal_get(app, "/hello/{name}", name);
    tepal_get(app, "/word/{word:[a-z]+}", word);
    tepal_get(app, "/cached/{name}", name);
    start(NULL);
    attach();
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char text[256];
        size_t ours = 0, all = 0;
        sprintf(text,
                "GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n",
                rows[i].target);
        for (int round = 0; round < 20; round++) {
            if (round == 10) {
                ours = mem_count();
                all = n_calls;
            }
            exchange(text, rows[i].body);
        }
        assert_int_equal(mem_count(), ours);
        assert_int_equal(n_calls, all);
    }
    /* They are counted indeed; but valgrind has its own functions in that place, too. */
    assert_true(n_calls > 0 || !COUNTING || RUNNING_ON_VALGRIND);
    close(client_fd);
}

static void size_of_an_idle_connection(void **state)
{
    (void)state;
    /* Two words of malloc's own at most, and its rounding. */
    void *p = malloc(sizeof(struct connection));
    size_t size = malloc_usable_size(p) + sizeof(size_t);
    free(p);
    assert_true(sizeof(struct connection) + 2 * sizeof(size_t) <= 240);
    if (!SANITIZED && !RUNNING_ON_VALGRIND)
        assert_true(size <= 240);
    tepal_get(app, "/hello/{name}", name);
    start(NULL);
    attach();
    exchange("GET /hello/a HTTP/1.1\r\nHost: a\r\n\r\n", "Hello, a!\n");
    /* Nothing else is held between two requests: no buffer, no task. */
    struct connection *c = CONTAINER_OF(app->server->connections.next, struct connection, node);
    assert_null(c->http.in);
    assert_null(c->http.out);
    assert_null(c->http.work);
    assert_null(c->task);
    assert_null(c->partial);
    close(client_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(no_allocations),
        WEB_TEST(size_of_an_idle_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
