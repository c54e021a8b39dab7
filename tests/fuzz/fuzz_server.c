/* A differential test of the whole server. The input decides on limits, on a
 * pipeline of requests (bodies of both framings, HTTP/1.0, expectations, fields
 * and lines of all lengths, one defect) and on where the octets are cut. The
 * pipeline is sent whole and cut, each to a server of its own, and what comes
 * back is compared with a model of statuses, bodies and the connection's end.
 * Then it is sent once more while an allocation fails, or all from there on:
 * whatever is answered must be one of what the model allows or an error, and
 * the next connection is served. */
#include "fuzz.h"

#include "base/mem.h"

#include <tepal.h>
#include <tepal/testing.h>

enum { MAX_REQUESTS = 6, MAX_OCTETS = 64 * 1024, MAX_CONTENT = 3000, MAX_CUTS = 24 };

/* --- Decisions
 * --------------------------------------------------------------------------------
 */

/* The input, and numbers made of it when it has come to its end. */
struct decisions {
    const uint8_t *data;
    size_t size;
    uint64_t state;
};

static unsigned decide(struct decisions *decisions, unsigned n)
{
    if (decisions->size > 0) {
        unsigned value = *decisions->data++;
        decisions->size--;
        decisions->state = (decisions->state ^ value) * 0x100000001b3u;
        if (n > 256 && decisions->size > 0) {
            value = value << 8 | *decisions->data++;
            decisions->size--;
        }
        return value % n;
    }
    decisions->state ^= decisions->state << 13;
    decisions->state ^= decisions->state >> 7;
    decisions->state ^= decisions->state << 17;
    return (unsigned)(decisions->state >> 20) % n;
}

static bool one_in(struct decisions *decisions, unsigned n)
{
    return decide(decisions, n) == 0;
}

/* --- The application
 * -------------------------------------------------------------------------- */

static tepal_res *plain(tepal_req *req)
{
    return tepal_text(req, 200, "plain\n");
}

static tepal_res *echo(tepal_req *req)
{
    const tepal_bytes *body = tepal_req_body(req);
    return body ? tepal_data(req, 200, "text/plain", body->data, body->len) : NULL;
}

/* Begins its response before it has read the body. */
static tepal_res *mirror(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    tepal_bytes piece;
    int rc = tepal_write(res, "begin ", 6);
    while (rc >= 0 && (rc = tepal_req_read(req, &piece)) > 0)
        rc = tepal_write(res, piece.data, piece.len);
    return rc < 0 ? NULL : res;
}

static tepal_app *make_app(void)
{
    static const tepal_route routes[] = {
        { .method = "GET", .pattern = "/plain", .handler = plain },
        { .method = "POST", .pattern = "/ignore", .handler = plain },
        { .method = "POST", .pattern = "/echo", .handler = echo },
        { .method = "POST", .pattern = "/mirror", .handler = mirror },
        { 0 },
    };
    tepal_app *app = tepal_app_new();
    REQUIRE(app);
    tepal_routes(app, routes);
    return app;
}

/* --- Requests, and what is to be expected of them
 * --------------------------------------------- */

enum resource { PLAIN, IGNORE, ECHO, MIRROR, MISSING, WRONG_METHOD, HEAD, RESOURCES };

enum defect {
    NONE,
    SPACE_BEFORE_COLON,
    NO_HOST,
    TWO_HOSTS,
    BAD_LENGTH,
    LENGTH_AND_CHUNKED,
    FOLDED,
    CONTROL,
    BAD_VERSION,
    BAD_CHUNK,
    DEFECTS
};

/* One answer: any of the statuses that are not 0, or of none when nothing has
 * to come. */
struct expected {
    const char *method;
    int statuses[4];
    bool has_body;
    char body[MAX_CONTENT + 16];
    size_t len;
    bool is_last;  /* the connection ends after it */
    bool may_last; /* it may end */
};

struct scene {
    struct decisions decisions;
    tepal_run_options options;
    char octets[MAX_OCTETS];
    size_t len;
    struct expected expected[MAX_REQUESTS];
    size_t n_expected;
    bool over; /* what follows is not answered for sure */
};

static void put(struct scene *scene, const char *data, size_t len)
{
    REQUIRE(scene->len + len <= MAX_OCTETS);
    memcpy(scene->octets + scene->len, data, len);
    scene->len += len;
}

static void put_text(struct scene *scene, const char *text)
{
    put(scene, text, strlen(text));
}

static void put_padding(struct scene *scene, size_t len)
{
    for (size_t i = 0; i < len; i++)
        put(scene, "x", 1);
}

static void add_status(struct expected *expected, int status)
{
    int i = 0;
    while (i < 4 && expected->statuses[i] != 0 && expected->statuses[i] != status)
        i++;
    REQUIRE(i < 4);
    expected->statuses[i] = status;
}

/* A size around a limit, but not so near that it matters what exactly counts,
 * or an ordinary one. */
static size_t padding(struct scene *scene, size_t limit, size_t most)
{
    if (!one_in(&scene->decisions, 6))
        return decide(&scene->decisions, 30);
    size_t size = one_in(&scene->decisions, 2) ? limit + 40 : limit / 2;
    return size < most ? size : most;
}

static void put_chunked(struct scene *scene, const char *content, size_t len, bool is_bad)
{
    char line[64];
    size_t at = 0, bad_at = is_bad && len > 0 ? decide(&scene->decisions, (unsigned)len) : 0;
    while (at < len) {
        size_t size = 1 + decide(&scene->decisions, (unsigned)(len - at));
        if (is_bad && at + size > bad_at) {
            put_text(scene, "-1\r\n");
            return;
        }
        snprintf(line, sizeof(line), one_in(&scene->decisions, 3) ? "%zx;a=\"b\"\r\n" : "%zX\r\n",
                 size);
        put_text(scene, line);
        put(scene, content + at, size);
        put_text(scene, "\r\n");
        at += size;
    }
    if (is_bad)
        put_text(scene, "z\r\n");
    else
        put_text(scene, one_in(&scene->decisions, 3) ? "0\r\nX-Trailer: 1\r\n\r\n" : "0\r\n\r\n");
}

struct plan {
    enum resource resource;
    enum defect defect;
    bool is_old, keeps, closes, expects, is_chunked, has_body;
    size_t content, query, field, fields;
};

static struct plan make_plan(struct scene *scene, enum defect defect)
{
    struct decisions *decisions = &scene->decisions;
    struct plan plan = { .resource = decide(decisions, RESOURCES), .defect = defect };
    plan.is_old = one_in(decisions, 8);
    plan.keeps = plan.is_old && one_in(decisions, 2);
    plan.closes = one_in(decisions, 12);
    plan.has_body = plan.resource == IGNORE || plan.resource == ECHO || plan.resource == MIRROR;
    plan.is_chunked = plan.has_body && !plan.is_old && one_in(decisions, 2);
    plan.expects = plan.has_body && one_in(decisions, 5);
    plan.content = one_in(decisions, 4) ? decide(decisions, MAX_CONTENT) : decide(decisions, 40);
    plan.query = padding(scene, scene->options.limits.max_request_line, 9000);
    plan.field = padding(scene, scene->options.limits.max_head, 20000);
    plan.fields = one_in(decisions, 8) ? decide(decisions, 40) : 0;
    return plan;
}

static void put_line(struct scene *scene, const struct plan *plan)
{
    static const char *const starts[] = {
        [PLAIN] = "GET /plain",    [IGNORE] = "POST /ignore",  [ECHO] = "POST /echo",
        [MIRROR] = "POST /mirror", [MISSING] = "GET /missing", [WRONG_METHOD] = "PUT /plain",
        [HEAD] = "HEAD /plain",
    };
    put_text(scene, starts[plan->resource]);
    put_text(scene, "?");
    put_padding(scene, plan->query);
    put_text(scene, plan->defect == BAD_VERSION ? " HTTP/1.x\r\n"
                    : plan->is_old              ? " HTTP/1.0\r\n"
                                                : " HTTP/1.1\r\n");
}

static void put_fields(struct scene *scene, const struct plan *plan)
{
    static const char *const defects[DEFECTS] = {
        [SPACE_BEFORE_COLON] = "X-A : 1\r\n",
        [TWO_HOSTS] = "Host: b\r\n",
        [BAD_LENGTH] = "Content-Length: 5x\r\n",
        [LENGTH_AND_CHUNKED] = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        [FOLDED] = "X-A: 1\r\n 2\r\n",
        [CONTROL] = "X-A: \x01\r\n",
    };
    char line[64];
    if (plan->defect != NO_HOST)
        put_text(scene, "Host: a\r\n");
    put_text(scene, "X-Padding: ");
    put_padding(scene, plan->field);
    put_text(scene, "\r\n");
    for (size_t i = 0; i < plan->fields; i++)
        put_text(scene, "X-More: 1\r\n");
    if (plan->keeps)
        put_text(scene, "Connection: keep-alive\r\n");
    if (plan->closes)
        put_text(scene, "Connection: close\r\n");
    if (plan->expects)
        put_text(scene, "Expect: 100-continue\r\n");
    if (defects[plan->defect])
        put_text(scene, defects[plan->defect]);
    if (plan->has_body && plan->defect != BAD_LENGTH && plan->defect != LENGTH_AND_CHUNKED) {
        snprintf(line, sizeof(line), "Content-Length: %zu\r\n", plan->content);
        put_text(scene, plan->is_chunked ? "Transfer-Encoding: chunked\r\n" : line);
    }
    put_text(scene, "\r\n");
}

/* The fields of a head: its lines but the first and the last, which is empty.
 */
static size_t count_fields(const char *head, size_t len)
{
    size_t lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += head[i] == '\n';
    return lines - 2;
}

/* What a head leads to that is refused: any of the reasons that it has. */
static void expect_refusal(const struct scene *scene, const struct plan *plan, size_t line,
                           const char *head, size_t len, struct expected *expected)
{
    const tepal_run_options *options = &scene->options;
    size_t fields = count_fields(head, len);
    if (line > options->limits.max_request_line)
        add_status(expected, 414);
    if (len > options->limits.max_head)
        add_status(expected, 431);
    if (fields > options->limits.max_fields)
        add_status(expected, 431);
    if (plan->defect == BAD_VERSION)
        add_status(expected, 400);
    else if (plan->defect == NO_HOST ? !plan->is_old
                                     : plan->defect != NONE && plan->defect != BAD_CHUNK)
        add_status(expected, 400);
}

static void expect_answer(const struct scene *scene, const struct plan *plan, const char *content,
                          struct expected *expected)
{
    bool is_bad = plan->defect == BAD_CHUNK && plan->is_chunked;
    bool is_large = plan->resource == ECHO && plan->content > scene->options.limits.max_body;
    expected->has_body = true;
    expected->len = 0;
    if (plan->resource == MISSING || plan->resource == WRONG_METHOD) {
        add_status(expected, plan->resource == MISSING ? 404 : 405);
        expected->has_body = false;
    } else if (is_bad && plan->resource != IGNORE) {
        add_status(expected, 400);
        if (is_large)
            add_status(expected, 413);
        expected->has_body = false;
    } else if (is_large) {
        add_status(expected, 413);
        expected->has_body = false;
        expected->may_last = true;
    } else {
        add_status(expected, 200);
        if (plan->resource == ECHO || plan->resource == MIRROR) {
            expected->len = (size_t)snprintf(expected->body, sizeof(expected->body), "%s%.*s",
                                             plan->resource == MIRROR ? "begin " : "",
                                             (int)plan->content, content);
        } else if (plan->resource != HEAD) {
            expected->len = (size_t)snprintf(expected->body, sizeof(expected->body), "plain\n");
        }
    }
    expected->is_last = is_bad || plan->closes || (plan->is_old && !plan->keeps);
    /* A stream of unknown length ends an HTTP/1.0 connection. */
    expected->is_last |= plan->is_old && plan->resource == MIRROR;
    /* A client that expects 100 may have been answered before it sent the body.
   */
    expected->may_last |= plan->expects && plan->resource != ECHO;
}

static void add_request(struct scene *scene, enum defect defect)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz\r\n0123456789 ";
    char content[MAX_CONTENT];
    struct plan plan = make_plan(scene, defect);
    struct expected *expected = &scene->expected[scene->n_expected];
    size_t begin = scene->len;
    *expected = (struct expected){ .method = plan.resource == HEAD ? "HEAD" : "POST" };
    for (size_t i = 0; i < plan.content; i++)
        content[i] = letters[(i * 7 + plan.content) % (sizeof(letters) - 1)];
    put_line(scene, &plan);
    size_t line = scene->len - begin;
    put_fields(scene, &plan);
    size_t head = scene->len - begin;
    if (plan.has_body && plan.is_chunked)
        put_chunked(scene, content, plan.content, defect == BAD_CHUNK);
    else if (plan.has_body)
        put(scene, content, plan.content);
    if (scene->over)
        return;
    expect_refusal(scene, &plan, line, scene->octets + begin, head, expected);
    if (expected->statuses[0] != 0)
        expected->is_last = true;
    else
        expect_answer(scene, &plan, content, expected);
    /* A response that has begun cannot become an error. */
    if (expected->statuses[0] == 400 && plan.resource == MIRROR && defect == BAD_CHUNK)
        add_status(expected, -1);
    scene->n_expected++;
    if (scene->n_expected == scene->options.limits.max_requests)
        expected->is_last = true;
    scene->over = expected->is_last || expected->may_last;
}

static void make_scene(struct scene *scene, const uint8_t *data, size_t size)
{
    static const size_t lines[] = { 8192, 100, 400, 2000 }, heads[] = { 32768, 600, 3000, 9000 };
    static const size_t fields[] = { 128, 8, 20 }, bodies[] = { 1 << 20, 10, 1000 };
    *scene = (struct scene){ .decisions = { data, size, 0xcbf29ce484222325u } };
    struct decisions *decisions = &scene->decisions;
    unsigned narrow = decide(decisions, 4);
    scene->options.limits.max_request_line = lines[narrow];
    scene->options.limits.max_head = heads[narrow];
    scene->options.limits.max_fields = fields[decide(decisions, 3)];
    scene->options.limits.max_body = bodies[decide(decisions, 3)];
    scene->options.limits.max_requests = one_in(decisions, 4) ? 1 + decide(decisions, 4) : 0;
    size_t n = 1 + decide(decisions, MAX_REQUESTS);
    size_t bad = one_in(decisions, 3) ? decide(decisions, (unsigned)n) : n;
    for (size_t i = 0; i < n && scene->len < MAX_OCTETS / 2; i++)
        add_request(scene, i == bad ? 1 + decide(decisions, DEFECTS - 1) : NONE);
}

/* --- Sending, and looking at what comes back
 * -------------------------------------------------- */

static void send_cut(tepal_test *client, struct scene *scene, unsigned n_cuts)
{
    size_t at = 0;
    int rc = 0;
    for (unsigned i = 0; i < n_cuts && rc == 0 && at < scene->len; i++) {
        size_t left = scene->len - at;
        size_t most = one_in(&scene->decisions, 3) ? 4 : left;
        size_t len = 1 + decide(&scene->decisions, (unsigned)(most < left ? most : left));
        rc = tepal_test_write(client, scene->octets + at, len);
        at += len;
    }
    if (rc == 0 && at < scene->len)
        tepal_test_write(client, scene->octets + at, scene->len - at);
    /* A server that has refused something may be gone before all is sent. */
}

/* Shows what was sent and what came back, and aborts. */
static _Noreturn void show_and_fail(const struct scene *scene, size_t i,
                                    const tepal_test_reply *reply, const char *what)
{
    fprintf(stderr, "---- sent\n%.*s\n---- answer %zu, to a %s: %s\n", (int)scene->len,
            scene->octets, i, i < scene->n_expected ? scene->expected[i].method : "GET", what);
    for (int k = 0; i < scene->n_expected && k < 4; k++)
        fprintf(stderr, "allowed: %d\n", scene->expected[i].statuses[k]);
    if (reply)
        fprintf(stderr, "---- received (%d)\n%.*s\n", reply->status, (int)reply->raw.len,
                reply->raw.data);
    abort();
}

static bool is_allowed(const struct expected *expected, int status)
{
    for (int i = 0; i < 4; i++)
        if (expected->statuses[i] == (status == 0 ? -1 : status) && expected->statuses[i] != 0)
            return true;
    return false;
}

static void compare(struct scene *scene, unsigned n_cuts)
{
    tepal_app *app = make_app();
    tepal_test *client = tepal_test_new(app, &(tepal_test_options){ .run = &scene->options });
    REQUIRE(client);
    send_cut(client, scene, n_cuts);
    for (size_t i = 0; i < scene->n_expected; i++) {
        const struct expected *expected = &scene->expected[i];
        tepal_test_reply *reply = tepal_test_receive(client, expected->method);
        if (!reply || !is_allowed(expected, reply->status))
            show_and_fail(scene, i, reply, "a status that is not allowed");
        if (reply->status == 200 && expected->has_body &&
            (reply->body.len != expected->len ||
             memcmp(reply->body.data, expected->body, expected->len) != 0))
            show_and_fail(scene, i, reply, "another body");
        if (expected->is_last && !expected->may_last) {
            tepal_test_reply *more = tepal_test_receive(client, "GET");
            if (!more || more->status != 0 || more->raw.len != 0)
                show_and_fail(scene, i + 1, more, "an answer after the last one");
        }
    }
    if (!scene->over) {
        static const char last[] = "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n";
        REQUIRE(tepal_test_write(client, last, strlen(last)) == 0);
        tepal_test_reply *reply = tepal_test_receive(client, "GET");
        REQUIRE(reply && reply->status == 200);
    }
    tepal_test_close(client);
    tepal_app_close(app);
}

static void run_short_of_memory(struct scene *scene)
{
    tepal_app *app = make_app();
    tepal_test *client = tepal_test_new(app, &(tepal_test_options){ .run = &scene->options });
    REQUIRE(client);
    mem_fail_nth(1 + decide(&scene->decisions, 60), one_in(&scene->decisions, 2));
    send_cut(client, scene, decide(&scene->decisions, 6));
    for (size_t i = 0; i < scene->n_expected; i++) {
        const struct expected *expected = &scene->expected[i];
        tepal_test_reply *reply = tepal_test_receive(client, expected->method);
        if (!reply || reply->status == 0)
            break;
        REQUIRE(is_allowed(expected, reply->status) || reply->status >= 500 ||
                reply->status == 413 || reply->status == 400);
        if (!is_allowed(expected, reply->status))
            break;
    }
    mem_fail_nth(0, 0);
    tepal_test_disconnect(client);
    tepal_test_reply *reply = tepal_test_get(client, "/plain");
    REQUIRE(reply && reply->status == 200);
    tepal_test_close(client);
    tepal_app_close(app);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct scene scene;
    tepal_log_set_level(TEPAL_LOG_NONE);
    make_scene(&scene, data, size);
    compare(&scene, 0);
    compare(&scene, 1 + decide(&scene.decisions, MAX_CUTS));
    run_short_of_memory(&scene);
    return 0;
}
