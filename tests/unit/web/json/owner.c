/* Tests of references to JSON values that were not the handler's: nothing is freed too early, the
 * log says so once, and what is right is freed exactly once. */
#include "../web_check.h"

static json_t *constant, *seen;

/* --- The value of a body ---------------------------------------------------------------------- */

static tepal_res *release_body(tepal_req *req)
{
    json_t *body = tepal_req_json(req);
    if (!body)
        return NULL;
    json_decref(body);
    return tepal_textf(req, 200, "%zu", json_object_size(body));
}

static tepal_res *give_body(tepal_req *req)
{
    return tepal_json(req, 200, tepal_req_json(req));
}

static tepal_res *give_part_of_body(tepal_req *req)
{
    json_t *part = json_object_get(tepal_req_json(req), "a");
    return part ? tepal_json(req, 200, part) : NULL;
}

static tepal_res *steal_part_of_body(tepal_req *req)
{
    json_t *part = json_object_get(tepal_req_json(req), "a");
    return part ? tepal_jsonf(req, 200, "[o]", part) : NULL;
}

static tepal_res *right(tepal_req *req)
{
    json_t *body = tepal_req_json(req);
    if (!body)
        return NULL;
    json_decref(seen);
    seen = json_incref(json_object_get(body, "a"));
    json_t *inner = json_object_get(body, "a");
    return tepal_jsonf(req, 200, "[o,O,o]", json_incref(body), inner, json_incref(inner));
}

static const struct {
    const char *path;
    tepal_handler *handler;
    const char *body, *says;
} rows[] = {
    { "/release", release_body, "1", "tepal_req_json: the value was released" },
    { "/give", give_body, "{\"a\":[1]}", "tepal_req_json: the value was released" },
    { "/part", give_part_of_body, "[1]", "tepal_json: the value is a part of the request's body" },
    { "/steal", steal_part_of_body, "[[1]]",
      "tepal_jsonf: the value is a part of the request's body" },
    { "/right", right, "[{\"a\":[1]},[1],[1]]", NULL },
};

static void values_of_bodies(void **state)
{
    (void)state;
    seen = NULL;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        tepal_post(app, rows[i].path, rows[i].handler);
    start(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        log_forget();
        for (int n = 0; n < 3; n++)
            assert_reply(ask("POST", rows[i].path, NULL, "{\"a\":[1]}"), 200, rows[i].body);
        const char *said = rows[i].says ? strstr(logged(), rows[i].says) : NULL;
        if (!rows[i].says != !said)
            fail_msg("%s: %s", rows[i].path, logged());
        assert_null(said ? strstr(said + 1, rows[i].says) : said); /* once for the route */
    }
    assert_int_equal(seen->refcount, 1); /* what is kept is the keeper's alone */
    json_decref(seen);
}

/* --- A value of the program ------------------------------------------------------------------- */

static tepal_res *give_constant(tepal_req *req)
{
    return tepal_json(req, 200, constant);
}

static tepal_res *give_constant_in_format(tepal_req *req)
{
    return tepal_jsonf(req, 200, "{s:o}", "c", constant);
}

static tepal_res *give_reference(tepal_req *req)
{
    return tepal_json(req, 200, json_incref(constant));
}

static tepal_res *give_true(tepal_req *req)
{
    return tepal_json(req, 200, json_true());
}

static tepal_res *give_new(tepal_req *req)
{
    return tepal_json(req, 200, json_pack("[i]", 7));
}

static void values_of_the_program(void **state)
{
    (void)state;
    constant = json_pack("{s:[i,i]}", "of", 1, 2);
    tepal_get(app, "/constant", give_constant);
    tepal_get(app, "/format", give_constant_in_format);
    tepal_get(app, "/reference", give_reference);
    tepal_get(app, "/true", give_true);
    tepal_get(app, "/new", give_new);
    start(NULL);
    for (int i = 0; i < 100; i++) {
        assert_reply(get("/reference"), 200, "{\"of\":[1,2]}");
        assert_reply(get("/true"), 200, "true");
        assert_reply(get("/new"), 200, "[7]");
    }
    assert_string_equal(logged(), "");
    assert_int_equal(constant->refcount, 1);
    for (int i = 0; i < 100; i++) {
        assert_reply(get("/constant"), 200, "{\"of\":[1,2]}");
        assert_reply(get("/format"), 200, "{\"c\":{\"of\":[1,2]}}");
        assert_reply(get("/new"), 200, "[7]");
    }
    const char *said =
        strstr(logged(), "GET /constant: tepal_json: the value was given away before");
    assert_non_null(said);
    assert_null(strstr(said + 1, "GET /constant"));
    assert_non_null(strstr(logged(), "GET /format: tepal_jsonf: the value was given away before"));
    tepal_test_close(client);
    client = NULL;
    assert_int_equal(constant->refcount, 1); /* it was never the library's */
    json_decref(constant);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(values_of_bodies),
        WEB_TEST(values_of_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
