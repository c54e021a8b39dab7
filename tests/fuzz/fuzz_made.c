/* The two carriers against one another: a request is sent to an application on a connection, and
 * given to it as a made one. What the handlers see, and what they are answered with, must be the
 * same.
 *
 * The input is lines: the method, the target, fields as "name: value", an empty line, and the
 * body. */
#include "fuzz.h"

#include <strings.h>
#include <tepal.h>
#include <tepal/testing.h>

enum { MAX_FIELDS = 12, MAX_INPUT = 8192 };

/* --- The application: what a handler sees, as text -------------------------------------------- */

static tepal_res *show(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    tepal_pair pair;
    tepal_writef(res, "%s %s %s %s\n", tepal_req_method(req), tepal_req_target(req),
                 tepal_req_path(req), tepal_req_host(req));
    for (size_t at = 0; tepal_req_each_header(req, &at, &pair);)
        tepal_writef(res, "header %s=%s\n", pair.name, pair.value);
    for (size_t at = 0; tepal_req_each_query(req, &at, &pair);)
        tepal_writef(res, "query %s=%s\n", pair.name, pair.value);
    for (size_t at = 0; tepal_req_each_cookie(req, &at, &pair);)
        tepal_writef(res, "cookie %s=%s\n", pair.name, pair.value);
    const tepal_bytes *body = tepal_req_body(req);
    if (!body)
        return NULL;
    tepal_write(res, body->data, body->len);
    return res;
}

static tepal_res *match(tepal_req *req)
{
    const char *a = tepal_req_match(req, "a"), *type = tepal_req_content_type(req);
    return tepal_textf(req, 200, "%s %s %s", tepal_req_pattern(req), a ? a : "-",
                       type ? type : "-");
}

static tepal_res *json(tepal_req *req)
{
    json_t *value = tepal_req_json(req);
    return value ? tepal_json(req, 200, json_incref(value)) : NULL;
}

static tepal_res *status(tepal_req *req)
{
    return tepal_text(req, (int)(200 + tepal_req_match_int(req, "n") % 300), tepal_req_text(req));
}

static tepal_app *make_app(void)
{
    tepal_app *app = tepal_app_new();
    REQUIRE(app);
    tepal_any(app, "/", show);
    tepal_get(app, "/m/{a}", match);
    tepal_get(app, "/p/{a:path}", match);
    tepal_post(app, "/json", json);
    tepal_any(app, "/s/{n:int}", status);
    return app;
}

/* --- The request ------------------------------------------------------------------------------ */

struct input {
    char *rest; /* of the text, which is cut at the ends of its lines */
    tepal_pair fields[MAX_FIELDS + 1];
    tepal_made made;
    tepal_fetch_options fetch;
};

/* The next line; "" behind the last. */
static char *next_line(struct input *input)
{
    char *line = input->rest, *end = strchr(line, '\n');
    input->rest = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    return line;
}

/* Fields that say how a message is framed: a made one has no framing. */
static bool is_framing(const char *name)
{
    return strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0;
}

static void take_field(struct input *input, size_t *n, char *line)
{
    char *colon = strchr(line, ':');
    if (!colon)
        return;
    *colon = '\0';
    if (!is_framing(line))
        input->fields[(*n)++] = (tepal_pair){ .name = line, .value = colon + 1 };
}

static void take_input(struct input *input, char *text)
{
    size_t n = 0;
    char *line;
    memset(input, 0, sizeof(*input));
    input->rest = text;
    input->fetch.method = next_line(input);
    input->made.target = next_line(input);
    while (*(line = next_line(input)) && n < MAX_FIELDS)
        take_field(input, &n, line);
    if (*input->rest)
        input->fetch.text = input->rest;
    input->fetch.headers = input->fields;
    input->made.fetch = &input->fetch;
    input->made.max_piece = n;
}

/* --- Comparing -------------------------------------------------------------------------------- */

static void compare_field(const tepal_test_reply *sent, const tepal_test_reply *called,
                          const char *name)
{
    const char *one = tepal_test_header(sent, name), *other = tepal_test_header(called, name);
    REQUIRE(!one == !other);
    REQUIRE(!one || strcmp(one, other) == 0);
}

static void compare(const tepal_test_reply *sent, const tepal_test_reply *called)
{
    static const char *const names[] = { "Content-Type", "Content-Length", "Allow", "Server" };
    REQUIRE(sent && called);
    REQUIRE(sent->status == called->status);
    if (sent->status == 0)
        return;
    REQUIRE(sent->body.len == called->body.len);
    REQUIRE(memcmp(sent->body.data, called->body.data, sent->body.len) == 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        compare_field(sent, called, names[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static tepal_app *app;
    struct input input;
    if (size > MAX_INPUT)
        return 0;
    tepal_log_set_level(TEPAL_LOG_NONE);
    if (!app)
        app = make_app();
    char *text = calloc(size + 1, 1);
    REQUIRE(text);
    memcpy(text, data, size);
    take_input(&input, text);
    const tepal_run_options options = {
        .limits = { .max_body = 1000, .max_fields = 10, .max_request_line = 200, .max_head = 1000 }
    };
    tepal_test *test = tepal_test_new(app, &(tepal_test_options){ .run = &options });
    REQUIRE(test);
    tepal_test_reply *sent = tepal_test_send(test, input.made.target, &input.fetch);
    compare(sent, tepal_test_call(test, NULL, &input.made));
    tepal_test_close(test);
    free(text);
    return 0;
}
