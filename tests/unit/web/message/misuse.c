/* Tests of what becomes of wrong arguments, and of responses that are not the request's: a 500, and
 * a line in the log that names the request, the call and the value. Never the end of the process,
 * and never somebody else's data. */
#include "../web_check.h"

#include "web/app/application.h"
#include "web/server/server.h"
#include "net/addr.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* --- Arguments -------------------------------------------------------------------------------- */

/* What is NULL where a program did not think of it. It comes from the request, as compilers see
 * through a plain NULL. */
static const char *nothing(tepal_req *req)
{
    return tepal_req_query(req, "none");
}

static tepal_res *no_location(tepal_req *req)
{
    return tepal_redirect(req, 302, nothing(req));
}
static tepal_res *no_url(tepal_req *req)
{
    return tepal_redirect(req, 303, tepal_req_url(req, "nowhere", NULL));
}
static tepal_res *no_value_in_url(tepal_req *req)
{
    return tepal_redirect(
        req, 303, tepal_req_url(req, "item", (tepal_pair[]){ { "id", nothing(req) }, { 0 } }));
}
static tepal_res *redirect_with_200(tepal_req *req)
{
    return tepal_redirect(req, 200, "/");
}
static tepal_res *no_text(tepal_req *req)
{
    return tepal_text(req, 200, nothing(req));
}
static tepal_res *no_html(tepal_req *req)
{
    return tepal_html(req, 200, nothing(req));
}
/* -Wformat-security finds these, but it is not on by default. */
#pragma GCC diagnostic ignored "-Wformat-security"
static tepal_res *target_as_format(tepal_req *req)
{
    return tepal_textf(req, 200, tepal_req_target(req), 0);
}
static tepal_res *path_as_format(tepal_req *req)
{
    return tepal_errorf(req, 404, tepal_req_path(req), 0);
}
static tepal_res *own_text_as_format(tepal_req *req)
{
    return tepal_htmlf(req, 200, tepal_req_strdup(req, "50%s"), 0);
}
static tepal_res *value_as_format(tepal_req *req)
{
    tepal_res *res = tepal_empty(req, 204);
    tepal_res_set_headerf(res, "X-Target", tepal_req_target(req), 0);
    return res;
}
static int written;
static tepal_res *piece_as_format(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    written = tepal_writef(res, tepal_req_target(req));
    return res;
}
static tepal_res *text_without_percent(tepal_req *req)
{
    return tepal_textf(req, 200, tepal_req_path(req), 0);
}
static tepal_res *null_in_text(tepal_req *req)
{
    return tepal_textf(req, 200, "%d %5.1f %s and %s\n", 1, 2.0, "good", nothing(req));
}
static tepal_res *null_in_html(tepal_req *req)
{
    return tepal_htmlf(req, 200, "<p>%s</p>", tepal_html_escape(req, nothing(req)));
}
static tepal_res *null_in_error(tepal_req *req)
{
    return tepal_errorf(req, 404, "no item %s", nothing(req));
}
static tepal_res *null_in_header(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_set_headerf(res, "X-Name", "%s", nothing(req));
    return res;
}
static tepal_res *no_name_of_header(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_set_header(res, nothing(req), "x");
    return res;
}
static tepal_res *no_value_of_header(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_add_header(res, "X-Name", nothing(req));
    return res;
}
static tepal_res *bad_header(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_set_header(res, "X Name", "the value");
    return res;
}
static tepal_res *bad_value(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_set_header(res, "X-Name", "a\nb");
    return res;
}
static tepal_res *bad_type(tepal_req *req)
{
    return tepal_data(req, 200, "text/\x01", "x", 1);
}
static tepal_res *no_cookie(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_set_cookie(res, "a", nothing(req), NULL);
    return res;
}
static tepal_res *no_name_of_cookie(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_remove_cookie(res, nothing(req), NULL);
    return res;
}
static tepal_res *bad_cookie(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_set_cookie(res, "a", "x;y", NULL);
    return res;
}
static tepal_res *no_data(tepal_req *req)
{
    return tepal_data(req, 200, NULL, nothing(req), 5);
}
static tepal_res *negative_length(tepal_req *req)
{
    return tepal_data(req, 200, NULL, "x", (size_t)-1);
}
static tepal_res *no_json(tepal_req *req)
{
    return tepal_json(req, 200, json_pack("{s:s}", "a", nothing(req)));
}
static tepal_res *no_jsonf(tepal_req *req)
{
    return tepal_jsonf(req, 200, nothing(req));
}
static tepal_res *no_piece(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    written = tepal_write(res, nothing(req), 5);
    return res;
}
static tepal_res *no_format_of_piece(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    written = tepal_writef(res, nothing(req), 0);
    return res;
}
static tepal_res *null_in_piece(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    written = tepal_writef(res, "%d %s\n", 1, nothing(req));
    return res;
}
static tepal_res *null_in_large_piece(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    written = tepal_writef(res, "%600d %s", 1, nothing(req));
    return res;
}
static tepal_res *percent_in_piece(tepal_req *req)
{
    static char format[] = "100%";
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    written = tepal_writef(res, format, 0);
    return res;
}
static tepal_res *status_0(tepal_req *req)
{
    return tepal_text(req, 0, "x");
}
static tepal_res *status_99(tepal_req *req)
{
    return tepal_empty(req, 99);
}
static tepal_res *status_1200(tepal_req *req)
{
    return tepal_error(req, 1200, NULL);
}
static tepal_res *status_of_stream(tepal_req *req)
{
    return tepal_stream(req, -5, "text/plain");
}
static tepal_res *status_of_json(tepal_req *req)
{
    return tepal_json(req, 100, json_null());
}
static tepal_res *fail_with_0(tepal_req *req)
{
    return tepal_fail(req, 0);
}
static tepal_res *percent(tepal_req *req)
{
    static char format[] = "100%"; /* not seen by the compiler */
    return tepal_textf(req, 200, format, 0);
}
static tepal_res *percent_in_header(tepal_req *req)
{
    static char format[] = "50%";
    tepal_res *res = ok(req);
    tepal_res_set_headerf(res, "X-Share", format, 0);
    return res;
}
static tepal_res *no_copy(tepal_req *req)
{
    return tepal_req_strdup(req, nothing(req)) ? ok(req) : NULL;
}
static tepal_res *null_in_printf(tepal_req *req)
{
    return tepal_req_printf(req, "%-8s", nothing(req)) ? ok(req) : NULL;
}
static tepal_res *no_function(tepal_req *req)
{
    return tepal_req_defer(req, NULL, req) == 0 ? ok(req) : NULL;
}

struct row {
    const char *path;
    tepal_handler *handler;
    const char *says;
};

static const struct row wrong[] = {
    { "/location", no_location, "tepal_redirect: location is NULL" },
    { "/url", no_url, "tepal_req_url: no route is named \"nowhere\"" },
    { "/url-value", no_value_in_url,
      "tepal_req_url: no value for \"id\" of route \"item\", /item/{id}" },
    { "/200", redirect_with_200, "tepal_redirect: status 200 is not 301, 302, 303, 307 or 308" },
    { "/text", no_text, "tepal_text: the text is NULL" },
    { "/html", no_html, "tepal_html: the text is NULL" },
    { "/text-null", null_in_text, "tepal_textf: a text for \"%d %5.1f %s and %s\\x0a\" is NULL" },
    { "/html-null", null_in_html, "tepal_html_escape: the text is NULL" },
    { "/error-null", null_in_error, "tepal_errorf: a text for \"no item %s\" is NULL" },
    { "/header-null", null_in_header, "tepal_res_set_headerf: X-Name: a text for \"%s\" is NULL" },
    { "/header-name", no_name_of_header, "tepal_res_set_header: the name is NULL" },
    { "/header-value", no_value_of_header, "tepal_res_add_header: the value of X-Name is NULL" },
    { "/header-bad", bad_header,
      "tepal_res_set_header: the field \"X Name\" has a forbidden character in its name: \"the value\"" },
    { "/value-bad", bad_value,
      "tepal_res_set_header: the field \"X-Name\" has a forbidden character in its value: "
      "\"a\\x0ab\"" },
    { "/type-bad", bad_type,
      "tepal_data: the field \"Content-Type\" has a forbidden character in its value: "
      "\"text/\\x01\"" },
    { "/cookie", no_cookie, "tepal_res_set_cookie: the value of a is NULL" },
    { "/cookie-name", no_name_of_cookie, "tepal_res_remove_cookie: the name is NULL" },
    { "/cookie-bad", bad_cookie,
      "tepal_res_set_cookie: the cookie \"a\" has a forbidden character" },
    { "/data", no_data, "tepal_data: the data is NULL" },
    { "/length", negative_length, "tepal_data: the length is -1" },
    { "/json", no_json, "tepal_json: the value (what made it has failed) is NULL" },
    { "/jsonf", no_jsonf, "tepal_jsonf: the format is NULL" },
    { "/write", no_piece, "tepal_write: the data is NULL" },
    { "/writef", no_format_of_piece, "tepal_writef: the format is NULL" },
    { "/writef-null", null_in_piece, "tepal_writef: a text for \"%d %s\\x0a\" is NULL" },
    { "/writef-large", null_in_large_piece, "tepal_writef: a text for \"%600d %s\" is NULL" },
    { "/writef-percent", percent_in_piece,
      "tepal_writef: the format \"100%\" cannot be printed: Invalid argument" },
    { "/0", status_0, "tepal_text: status 0 is not 200 to 999" },
    { "/99", status_99, "tepal_empty: status 99 is not 200 to 999" },
    { "/1200", status_1200, "tepal_error: status 1200 is not 200 to 999" },
    { "/-5", status_of_stream, "tepal_stream: status -5 is not 200 to 999" },
    { "/100", status_of_json, "tepal_json: status 100 is not 200 to 999" },
    { "/fail", fail_with_0, "tepal_fail: error 0 is not negative" },
    { "/percent", percent, "tepal_textf: the format \"100%\" cannot be printed: Invalid argument" },
    { "/header-percent", percent_in_header,
      "tepal_res_set_headerf: X-Share: the format \"50%\" cannot be printed" },
    { "/strdup", no_copy, "tepal_req_strdup: the text is NULL" },
    { "/printf", null_in_printf, "tepal_req_printf: a text for \"%-8s\" is NULL" },
    { "/defer", no_function, "tepal_req_defer: the function is NULL" },
};

/* How many lines the log has had. */
static int n_lines(void)
{
    int n = 0;
    for (const char *p = logged(); (p = strchr(p, '\n')); p++)
        n++;
    return n;
}

static void expect_500(const char *path, const char *says)
{
    char line[256];
    log_forget();
    tepal_test_reply *reply = get(path);
    assert_reply(reply, 500, "500 Internal Server Error\n");
    assert_false(reply->closed);
    snprintf(line, sizeof(line), "GET %s: %s", path, says);
    if (!strstr(logged(), line) || n_lines() != 1)
        fail_msg("\"%s\" is not all of the log: %s", line, logged());
}

static void wrong_arguments(void **state)
{
    (void)state;
    tepal_routes(app, (const tepal_route[]){ { "GET", "/item/{id}", ok, .name = "item" }, { 0 } });
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        tepal_get(app, wrong[i].path, wrong[i].handler);
    start(NULL);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        expect_500(wrong[i].path, wrong[i].says);
}

/* What a client sent is not what its answer is formatted by. */
static void texts_of_the_request(void **state)
{
    (void)state;
    tepal_get(app, "/target/{x}", target_as_format);
    tepal_get(app, "/path/{x}", path_as_format);
    tepal_get(app, "/own", own_text_as_format);
    tepal_get(app, "/value/{x}", value_as_format);
    tepal_get(app, "/piece/{x}", piece_as_format);
    tepal_get(app, "/plain", text_without_percent);
    start(NULL);
    expect_500("/target/%25s%25n",
               "tepal_textf: the format \"/target/%25s%25n\" is text of the request");
    expect_500("/path/%25s%25n", "tepal_errorf: the format \"/path/%s%n\" is text of the request");
    expect_500("/own", "tepal_htmlf: the format \"50%s\" is text of the request");
    expect_500("/value/%41",
               "tepal_res_set_headerf: the format \"/value/%41\" is text of the request");
    expect_500("/piece/%41", "tepal_writef: the format \"/piece/%41\" is text of the request");
    assert_int_equal(written, -EINVAL);
    assert_reply(get("/plain"), 200, "/plain");
}

static tepal_res *texts_as_values(tepal_req *req)
{
    tepal_res *res = tepal_text(req, 200, tepal_req_target(req));
    tepal_res_set_header(res, "X-Set", tepal_req_target(req));
    tepal_res_add_header(res, "X-Added", tepal_req_target(req));
    tepal_log(TEPAL_LOG_INFO, tepal_req_target(req));
    return res;
}

static tepal_res *error_as_value(tepal_req *req)
{
    return tepal_error(req, 404, tepal_req_target(req));
}

static tepal_res *markup_as_value(tepal_req *req)
{
    return tepal_html(req, 200, "<b>100%s</b>");
}

/* As a value it is sent as it is. */
static void texts_are_no_formats(void **state)
{
    (void)state;
    tepal_get(app, "/text/{x}", texts_as_values);
    tepal_get(app, "/error/{x}", error_as_value);
    tepal_get(app, "/markup", markup_as_value);
    start(NULL);
    log_forget();
    tepal_test_reply *reply = get("/text/%25s%25n");
    assert_reply(reply, 200, "/text/%25s%25n");
    assert_string_equal(tepal_test_header(reply, "X-Set"), "/text/%25s%25n");
    assert_string_equal(tepal_test_header(reply, "X-Added"), "/text/%25s%25n");
    assert_string_equal(logged(), "/text/%25s%25n\n");
    assert_reply(get("/error/%25s%25n"), 404, "404 Not Found: /error/%25s%25n\n");
    assert_reply(get("/markup"), 200, "<b>100%s</b>");
}

/* The route is named where it is not what was asked for. */
static void the_pattern_is_named(void **state)
{
    (void)state;
    tepal_get(app, "/u/{name}", no_location);
    start(NULL);
    expect_500("/u/you", "tepal_redirect: location is NULL (route /u/{name})");
}

/* --- NULL that follows from a failure --------------------------------------------------------- */

static tepal_res *no_body(tepal_req *req)
{
    json_t *body = tepal_req_json(req);
    return tepal_json(req, 200, json_incref(body));
}

static tepal_res *no_text_of_body(tepal_req *req)
{
    return tepal_text(req, 200, tepal_req_text(req));
}

static tepal_res *no_value_for_url(tepal_req *req)
{
    const tepal_pair variables[] = { { "id", tepal_req_text(req) }, { 0 } };
    return tepal_redirect(req, 303, tepal_req_url(req, "item", variables));
}

static void a_failure_is_not_hidden(void **state)
{
    (void)state;
    tepal_routes(app, (const tepal_route[]){ { "GET", "/item/{id}", ok, .name = "item" }, { 0 } });
    tepal_post(app, "/url", no_value_for_url);
    tepal_post(app, "/json", no_body);
    tepal_post(app, "/text", no_text_of_body);
    start(NULL);
    assert_reply(ask("POST", "/json", NULL, "{"), 400, "400 Bad Request: malformed JSON\n");
    assert_reply(ask("POST", "/text", NULL, "\xff"), 400, NULL);
    assert_reply(ask("POST", "/url", NULL, "\xff"), 400, NULL);
    assert_string_equal(logged(), "");
}

/* --- Names that are NULL ---------------------------------------------------------------------- */

static tepal_res *null_names(tepal_req *req)
{
    const char *name = nothing(req);
    size_t found = 0;
    found += tepal_req_query(req, name) != NULL;
    found += tepal_req_query_all(req, name)[0] != NULL;
    found += tepal_req_header(req, name) != NULL;
    found += tepal_req_header_all(req, name)[0] != NULL;
    found += tepal_req_cookie(req, name) != NULL;
    found += tepal_req_match(req, name) != NULL;
    found += tepal_req_match_int(req, name) != 0;
    found += tepal_res_header(ok(req), name) != NULL;
    return tepal_textf(req, 200, "%zu", found);
}

static void names_that_are_null(void **state)
{
    (void)state;
    tepal_get(app, "/", null_names);
    start(NULL);
    assert_reply(get("/"), 200, "0");
    static const char *const calls[] = { "query",  "query_all", "header",   "header_all",
                                         "cookie", "match",     "match_int" };
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        char line[128];
        snprintf(line, sizeof(line), "GET /: tepal_req_%s: the name is NULL", calls[i]);
        assert_non_null(strstr(logged(), line));
    }
    assert_non_null(strstr(logged(), "GET /: tepal_res_header: the name is NULL"));
}

/* In the middle of a stream: what has been sent cannot be taken back, so it is broken off. */
static tepal_res *null_in_second_piece(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    if (tepal_writef(res, "%s", "(null)") == 0)
        written = tepal_writef(res, "%s", nothing(req));
    return res;
}

static void null_in_a_stream(void **state)
{
    (void)state;
    tepal_get(app, "/", null_in_second_piece);
    start(NULL);
    written = 0;
    tepal_test_reply *reply = get("/");
    assert_int_equal(written, -EINVAL);
    assert_int_equal(reply->status, 0);
    assert_non_null(strstr(wire(reply), "(null)\r\n"));
    assert_null(strstr(wire(reply), "0\r\n\r\n"));
    assert_true(reply->closed);
    assert_non_null(strstr(logged(), "GET /: tepal_writef: a text for \"%s\" is NULL\n"));
}

/* "(null)" that is no NULL. */
static tepal_res *says_null(tepal_req *req)
{
    return tepal_textf(req, 200, "%s (null) %.0s%*d", "(null)", nothing(req) ? "" : "x", 3, 7);
}

static void null_as_a_word(void **state)
{
    (void)state;
    tepal_get(app, "/", says_null);
    start(NULL);
    assert_reply(get("/"), 200, "(null) (null)   7");
    assert_string_equal(logged(), "");
}

/* --- Octets on a stack ------------------------------------------------------------------------ */

static tepal_res *data_on_stack(tepal_req *req)
{
    char text[64];
    snprintf(text, sizeof(text), "from the stack");
    return lent(req, text, strlen(text));
}

struct call {
    tepal_req *req;
    tepal_res *res;
};

static int data_of_job(void *arg)
{
    struct call *call = arg;
    call->res = data_on_stack(call->req);
    return 0;
}

/* A task of the request's: its own stack is gone, too. */
static tepal_res *data_on_stack_of_job(tepal_req *req)
{
    struct call call = { .req = req };
    tepal_group *group = tepal_req_group(req);
    int rc = tepal_spawn(group, data_of_job, &call, NULL);
    return rc == 0 && tepal_group_wait(group) == 0 ? call.res : ok(req);
}

/* The handler's stack, seen from another task. */
static char *of_handler;

static int data_of_handler(void *arg)
{
    struct call *call = arg;
    call->res = lent(call->req, of_handler, 1);
    return 0;
}

static tepal_res *data_on_stack_of_handler(tepal_req *req)
{
    char text[64] = "x";
    struct call call = { .req = req };
    of_handler = text;
    tepal_group *group = tepal_req_group(req);
    int rc = tepal_spawn(group, data_of_handler, &call, NULL);
    return rc == 0 && tepal_group_wait(group) == 0 ? call.res : ok(req);
}

static int n_deferred;

static void count_deferred(void *arg)
{
    n_deferred += *(int *)arg;
}

static tepal_res *deferred_on_stack(tepal_req *req)
{
    int one = 1;
    return tepal_req_defer(req, count_deferred, &one) < 0 ? NULL : ok(req);
}

static const char constant[] = "constant";
static char variable[] = "variable";

static tepal_res *data_elsewhere(tepal_req *req)
{
    char *copy = tepal_req_alloc(req, 4);
    if (!copy)
        return NULL;
    memcpy(copy, "copy", 4);
    switch (tepal_req_query(req, "n")[0]) {
    case '0':
        return lent(req, constant, 8);
    case '1':
        return lent(req, variable, 8);
    case '2':
        return lent(req, copy, 4);
    default:
        return lent(req, NULL, 0);
    }
}

static void octets_on_a_stack(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "/handler", data_on_stack, "tepal_res_lend_body: the data is a variable on the stack" },
        { "/job", data_on_stack_of_job,
          "tepal_res_lend_body: the data is a variable on the stack" },
        { "/other", data_on_stack_of_handler,
          "tepal_res_lend_body: the data is a variable on the stack" },
        { "/defer", deferred_on_stack, "tepal_req_defer: the argument is a variable on the stack" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        tepal_get(app, rows[i].path, rows[i].handler);
    tepal_get(app, "/good", data_elsewhere);
    start(NULL);
    n_deferred = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        expect_500(rows[i].path, rows[i].says);
    assert_int_equal(n_deferred, 1); /* at once, while the variable is there */
    assert_reply(get("/good?n=0"), 200, "constant");
    assert_reply(get("/good?n=1"), 200, "variable");
    assert_reply(get("/good?n=2"), 200, "copy");
    assert_reply(get("/good?n=3"), 200, "");
}

/* In a thread: whatever is made there, its stack is not to be sent. */
static int make_in_thread(void *arg)
{
    return data_of_job(arg);
}

static tepal_res *data_on_stack_of_thread(tepal_req *req)
{
    struct call *call = tepal_req_alloc(req, sizeof(*call));
    if (!call)
        return NULL;
    *call = (struct call){ .req = req };
    return tepal_offload(make_in_thread, call) == 0 ? call->res : ok(req);
}

static void octets_on_a_thread_s_stack(void **state)
{
    (void)state;
    tepal_get(app, "/thread", data_on_stack_of_thread);
    start(NULL);
    expect_500("/thread", "tepal_res_lend_body: the data is a variable on the stack");
}

/* --- Responses of others ---------------------------------------------------------------------- */

static tepal_res *kept;

static tepal_res *cached(tepal_req *req)
{
    if (!kept)
        kept = tepal_textf(req, 200, "secret of %s\n", tepal_req_header(req, "X-Who"));
    return kept;
}

static tepal_res *touch_kept(tepal_req *req)
{
    int failed = 0;
    failed += tepal_res_set_header(kept, "X-Mine", "1") == -EINVAL;
    failed += tepal_res_add_header(kept, "X-Mine", "1") == -EINVAL;
    failed += tepal_res_set_status(kept, 404, NULL) == -EINVAL;
    failed += tepal_res_status(kept) == -EINVAL;
    failed += tepal_res_set_cookie(kept, "a", "b", NULL) == -EINVAL;
    failed += tepal_res_remove_cookie(kept, "a", NULL) == -EINVAL;
    failed += tepal_res_set_length(kept, 5) == -EINVAL;
    failed += tepal_res_header(kept, "X-Mine") == NULL;
    failed += tepal_res_set_body(kept, "x", 1) == -EINVAL;
    failed += tepal_res_lend_body(kept, "x", 1, NULL, NULL) == -EINVAL;
    failed += tepal_res_body(kept) == NULL;
    tepal_res_set_close(kept);
    return tepal_textf(req, 200, "%d", failed);
}

static void expect_only(const char *says)
{
    if (!strstr(logged(), says))
        fail_msg("\"%s\" is not in the log: %s", says, logged());
}

static void a_response_kept_over_requests(void **state)
{
    (void)state;
    kept = NULL;
    tepal_get(app, "/", cached);
    tepal_get(app, "/touch", touch_kept);
    start(NULL);
    assert_reply(ask("GET", "/", "X-Who: alice", NULL), 200, "secret of alice\n");
    expect_500("/", "the handler: returned a response that is not to this request");
    tepal_test_disconnect(client);
    expect_500("/", "the handler: returned a response that is not to this request");
    assert_reply(get("/touch"), 200, "11");
    expect_only("GET /touch: tepal_res_set_header: the response is of a request that has ended");
    expect_only("GET /touch: tepal_res_set_close: the response is of a request that has ended");
    tepal_test_reply *reply = get("/touch");
    assert_field(reply, "X-Mine", NULL);
    assert_false(reply->closed);
}

/* One that is kept while another server, and loop, is made. */
static void a_response_kept_over_servers(void **state)
{
    (void)state;
    kept = NULL;
    tepal_get(app, "/", cached);
    start(NULL);
    assert_reply(ask("GET", "/", "X-Who: alice", NULL), 200, "secret of alice\n");
    again();
    tepal_get(app, "/", cached);
    start(NULL);
    expect_500("/", "the handler: returned a response that is not to this request");
}

static tepal_res *made_up(tepal_req *req)
{
    (void)req;
    return (tepal_res *)(void *)variable;
}

static void a_response_that_is_none(void **state)
{
    (void)state;
    tepal_get(app, "/", made_up);
    start(NULL);
    expect_500("/", "the handler: returned a response that is not to this request");
}

static tepal_res *through_middleware(tepal_req *req, tepal_next *next)
{
    tepal_res *res = tepal_next_call(next, req);
    return kept ? kept : (kept = res);
}

static void a_response_kept_by_a_middleware(void **state)
{
    (void)state;
    kept = NULL;
    tepal_use(app, through_middleware, NULL);
    tepal_get(app, "/", ok);
    start(NULL);
    assert_reply(get("/"), 200, "ok");
    expect_500("/", "a middleware: returned a response that is not to this request");
    expect_500("/none", "a middleware: returned a response that is not to this request");
}

/* --- Two requests at once --------------------------------------------------------------------- */

/* A second connection to the server, besides the client's. */
static int connect_another(void)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    struct addr peer = { .un.sun_family = AF_UNIX };
    server_attach(app->server, pair[1], &peer);
    return pair[0];
}

/* What the server has sent there. */
static const char *received(int fd)
{
    static char text[4096];
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static tepal_res *slow(tepal_req *req)
{
    kept = tepal_text(req, 200, "for the first\n");
    tepal_sleep_ms(1000);
    return kept;
}

static tepal_res *return_kept(tepal_req *req)
{
    (void)req;
    return kept;
}

static void a_response_to_another_request(void **state)
{
    (void)state;
    static const char first[] = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n";
    tepal_get(app, "/first", slow);
    tepal_get(app, "/second", return_kept);
    tepal_get(app, "/touch", touch_kept);
    start(NULL);
    assert_reply(get("/none"), 404, NULL); /* the client has its connection */
    int fd = connect_another();
    assert_int_equal(send(fd, first, strlen(first), 0), strlen(first));
    tepal_test_advance(client, 10);
    expect_500("/second", "the handler: returned a response that is not to this request");
    assert_reply(get("/touch"), 200, "11");
    expect_only("GET /touch: tepal_res_set_header: the response is one to another request");
    assert_string_equal(received(fd), "");
    tepal_test_advance(client, 2000);
    const char *text = received(fd);
    assert_non_null(strstr(text, "\r\n\r\nfor the first\n"));
    assert_null(strstr(text, "X-Mine"));
    assert_null(strstr(text, "Connection: close"));
    close(fd);
    tepal_test_advance(client, 10);
}

/* A stream may be written to by whoever knows it, as long as it lives. */
static tepal_res *open_stream(tepal_req *req)
{
    kept = tepal_stream(req, 200, "text/plain");
    tepal_write(kept, "begun ", 6);
    tepal_sleep_ms(1000);
    return kept;
}

static tepal_res *write_to_kept(tepal_req *req)
{
    return tepal_textf(req, 200, "%d", tepal_write(kept, "by another", 10));
}

static void a_stream_of_another_request(void **state)
{
    (void)state;
    static const char first[] = "GET /open HTTP/1.1\r\nHost: a\r\n\r\n";
    tepal_get(app, "/open", open_stream);
    tepal_get(app, "/write", write_to_kept);
    start(NULL);
    assert_reply(get("/none"), 404, NULL);
    int fd = connect_another();
    assert_int_equal(send(fd, first, strlen(first), 0), strlen(first));
    tepal_test_advance(client, 10);
    assert_reply(get("/write"), 200, "0");
    tepal_test_advance(client, 2000);
    assert_non_null(strstr(received(fd), "by another"));
    assert_string_equal(logged(), "");
    close(fd);
    tepal_test_advance(client, 10);
}

/* --- A stream that is written to after its end ------------------------------------------------ */

static int late_result;

static tepal_res *begin_stream(tepal_req *req)
{
    kept = tepal_stream(req, 200, "text/plain");
    tepal_write(kept, "begun", 5);
    return kept;
}

static tepal_res *write_late(tepal_req *req)
{
    late_result = tepal_write(kept, "late", 4);
    return ok(req);
}

static tepal_res *other_stream(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    tepal_write(res, "mine", 4);
    late_result = tepal_write(kept, "late", 4);
    return res;
}

static int write_in_background(void *arg)
{
    (void)arg;
    late_result = tepal_write(kept, "late", 4);
    return 0;
}

static tepal_res *write_from_background(tepal_req *req)
{
    tepal_spawn(tepal_app_group(tepal_req_app(req)), write_in_background, NULL, NULL);
    tepal_sleep_ms(10);
    return ok(req);
}

static void a_stream_that_has_ended(void **state)
{
    (void)state;
    tepal_get(app, "/begin", begin_stream);
    tepal_get(app, "/late", write_late);
    tepal_get(app, "/other", other_stream);
    tepal_get(app, "/background", write_from_background);
    start(NULL);
    assert_reply(get("/begin"), 200, "begun");
    late_result = 0;
    assert_reply(get("/late"), 200, "ok");
    assert_int_equal(late_result, -EINVAL);
    expect_only("GET /late: tepal_write: the response is of a request that has ended");
    /* Another stream does not take its place. */
    for (int i = 0; i < 20; i++) {
        late_result = 0;
        assert_reply(get("/other"), 200, "mine");
        assert_int_equal(late_result, -EINVAL);
    }
    late_result = 0;
    assert_reply(get("/background"), 200, "ok");
    assert_int_equal(late_result, -EINVAL);
    expect_only("tepal_write: the response is of a request that has ended");
}

/* --- Memory of a request that has ended ------------------------------------------------------- */

static const char *kept_text;

static tepal_res *keep_text(tepal_req *req)
{
    char *large = tepal_req_alloc(req, 100 * 1000);
    kept_text = tepal_req_printf(req, "of the first request");
    return large ? ok(req) : NULL;
}

static int debug_on(tepal_app *a, void *arg)
{
    (void)arg;
    (void)a;
    return tepal_debug(&(tepal_debug_options){ .no_live_report = true });
}

static void memory_is_overwritten_in_debug_mode(void **state)
{
    (void)state;
    tepal_on_startup(app, debug_on, NULL);
    tepal_get(app, "/", keep_text);
    start(NULL);
    assert_reply(get("/"), 200, "ok");
    for (int i = 0; i < 20 && !SANITIZED; i++) /* which makes it unreadable anyway */
        assert_int_equal((unsigned char)kept_text[i], 0xdd);
    assert_reply(get("/"), 200, "ok");
}

/* --- Names that a pattern does not have ------------------------------------------------------- */

static tepal_res *misspelt(tepal_req *req)
{
    const char *name = tepal_req_match(req, "nmae");
    long long n = (long long)tepal_req_match_int(req, "idd");
    return tepal_textf(req, 200, "%s %lld", name ? name : "-", n);
}

static tepal_res *ask_for_id(tepal_req *req, tepal_next *next)
{
    tepal_req_match(req, "id");
    return tepal_next_call(next, req);
}

static void names_the_pattern_has_not(void **state)
{
    (void)state;
    tepal_use(app, ask_for_id, NULL); /* which stands around other routes as well */
    tepal_get(app, "/u/{name}", misspelt);
    tepal_get(app, "/v/{name}", misspelt);
    tepal_get(app, "/ok", ok);
    start(NULL);
    assert_reply(get("/ok"), 200, "ok");
    assert_string_equal(logged(), "");
    for (int i = 0; i < 3; i++)
        assert_reply(get("/u/you"), 200, "- 0");
    assert_int_equal(n_lines(), 1);
    expect_only("GET /u/you: tepal_req_match: the pattern /u/{name} has no variable \"nmae\"");
    assert_reply(get("/v/you"), 200, "- 0");
    assert_int_equal(n_lines(), 2);
}

/* --- Too late --------------------------------------------------------------------------------- */

static tepal_res *late_fields(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    tepal_write(res, "x", 1);
    late_result = tepal_res_set_header(res, "X-Late", "1");
    if (tepal_res_set_status(res, 404, NULL) != TEPAL_ESENT)
        late_result = 1;
    return res;
}

static void fields_after_the_head(void **state)
{
    (void)state;
    tepal_get(app, "/", late_fields);
    start(NULL);
    for (int i = 0; i < 3; i++) {
        assert_reply(get("/"), 200, "x");
        assert_int_equal(late_result, TEPAL_ESENT);
    }
    assert_int_equal(n_lines(), 1);
    expect_only(
        "GET /: tepal_res_set_header: X-Late is left as it is: the head of the response was "
        "sent before");
}

/* --- Streams that are none -------------------------------------------------------------------- */

static tepal_res *write_to_whole(tepal_req *req)
{
    tepal_res *res = ok(req);
    assert_int_equal(tepal_write(res, "x", 1), -EINVAL);
    return res;
}

static void pieces_of_what_is_whole(void **state)
{
    (void)state;
    tepal_get(app, "/", write_to_whole);
    start(NULL);
    expect_500("/", "tepal_write: the response was not made by tepal_stream()");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(wrong_arguments),
        WEB_TEST(texts_of_the_request),
        WEB_TEST(texts_are_no_formats),
        WEB_TEST(the_pattern_is_named),
        WEB_TEST(a_failure_is_not_hidden),
        WEB_TEST(names_that_are_null),
        WEB_TEST(null_in_a_stream),
        WEB_TEST(null_as_a_word),
        WEB_TEST(octets_on_a_stack),
        WEB_TEST(octets_on_a_thread_s_stack),
        WEB_TEST(a_response_kept_over_requests),
        WEB_TEST(a_response_kept_over_servers),
        WEB_TEST(a_response_that_is_none),
        WEB_TEST(a_response_kept_by_a_middleware),
        WEB_TEST(a_response_to_another_request),
        WEB_TEST(a_stream_of_another_request),
        WEB_TEST(a_stream_that_has_ended),
        WEB_TEST(memory_is_overwritten_in_debug_mode),
        WEB_TEST(names_the_pattern_has_not),
        WEB_TEST(fields_after_the_head),
        WEB_TEST(pieces_of_what_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
