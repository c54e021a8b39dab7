/* An application and its test: the test client talks to the real server code, without a network, on
 * a clock that jumps to the next timer. An hour of waiting takes no time.
 *
 *     build/examples/greeter --test         -> every test passed
 *     build/examples/greeter --port 8080
 */
#include <stdio.h>
#include <string.h>

#include <tepal.h>
#include <tepal/testing.h>

/* --- The application -------------------------------------------------------------------------- */

static tepal_res *greet(tepal_req *req)
{
    json_t *body = tepal_req_json(req);
    const char *name;
    if (!body)
        return NULL;
    if (json_unpack(body, "{s:s}", "name", &name) < 0)
        return tepal_error(req, 422, "name (string) is required");
    return tepal_jsonf(req, 200, "{s:s, s:s}", "greeting", tepal_req_match(req, "greeting"), "name",
                       name);
}

static tepal_res *later(tepal_req *req)
{
    if (tepal_sleep_ms(3600 * 1000) < 0)
        return NULL;
    return tepal_text(req, 200, "an hour has passed\n");
}

static tepal_app *new_app(void)
{
    tepal_app *app = tepal_app_new();
    tepal_post(app, "/{greeting}", greet);
    tepal_get(app, "/later", later);
    return app;
}

/* --- Its test --------------------------------------------------------------------------------- */

static int failures;

static void check(bool is_right, const char *what)
{
    if (!is_right)
        printf("failed: %s\n", what);
    failures += !is_right;
}

static bool is_text(json_t *object, const char *key, const char *text)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value && strcmp(value, text) == 0;
}

/* The handler alone, on a request that no connection carries: no application is needed. */
static void test_greet(void)
{
    tepal_test *test = tepal_test_new(NULL, NULL);
    const tepal_pair match[] = { { "greeting", "hi" }, { 0 } };
    const tepal_fetch_options bob = { .text = "{\"name\": \"Bob\"}",
                                      .content_type = "application/json" };
    const tepal_made made = { .fetch = &bob, .match = match };
    tepal_test_reply *reply = test ? tepal_test_call(test, greet, &made) : NULL;
    check(reply && is_text(tepal_test_json(reply), "greeting", "hi"), "a handler is called");
    tepal_test_close(test);
}

static int test(void)
{
    test_greet();
    tepal_app *app = new_app();
    tepal_test *test = tepal_test_new(app, NULL);
    const tepal_fetch_options half = { .text = "{", .content_type = "application/json" };
    if (!test)
        return 1; /* why is logged */

    json_t *ann = json_pack("{s:s}", "name", "Ann");
    tepal_test_reply *reply = tepal_test_post_json(test, "/hello", ann);
    json_t *said = tepal_test_json(reply);
    check(reply->status == 200, "a greeting is answered with 200");
    check(is_text(said, "greeting", "hello") && is_text(said, "name", "Ann"), "it is repeated");

    reply = tepal_test_post_json(test, "/hello", json_pack("{s:i}", "name", 7));
    check(reply->status == 422, "a name is text");
    reply = tepal_test_send(test, "/hello", &half);
    check(reply->status == 400, "the body is JSON");
    reply = tepal_test_get(test, "/hello");
    check(reply->status == 405, "greetings are sent by POST");
    reply = tepal_test_get(test, "/later");
    check(reply->status == 200, "an hour passes at once");

    tepal_test_close(test);
    tepal_app_close(app);
    puts(failures ? "tests failed" : "every test passed");
    return failures ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--test") == 0)
        return test();
    return tepal_run_args(new_app(), argc, argv, NULL);
}
