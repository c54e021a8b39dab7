/* tepal in the benchmark, and under the conformance suite: as a real service would be, with 200
 * more routes, a middleware, and all timeouts armed.
 *
 * /plaintext, /json, /hello/{name}; and /anything, which tells in JSON what it was asked. */
#include <tepal.h>

#include <stdio.h>
#include <string.h>

static tepal_res *plaintext(tepal_req *req)
{
    return tepal_text(req, 200, "Hello, World!");
}

static tepal_res *json(tepal_req *req)
{
    return tepal_jsonf(req, 200, "{s:s}", "message", "Hello, World!");
}

static tepal_res *hello(tepal_req *req)
{
    return tepal_textf(req, 200, "Hello, %s!\n", tepal_req_match(req, "name"));
}

/* A name and a value into an object; repeated names have their values joined. Octets that are no
 * UTF-8 are shown as question marks. */
static int put(json_t *object, const char *name, const char *value)
{
    json_t *text = json_string(value);
    if (!text) {
        char copy[8192];
        snprintf(copy, sizeof(copy), "%s", value);
        for (char *p = copy; *p; p++)
            *p = (unsigned char)*p < 0x80 ? *p : '?';
        text = json_string(copy);
    }
    return json_object_set_new(object, name, text);
}

static tepal_res *anything(tepal_req *req)
{
    const tepal_bytes *body = tepal_req_body(req);
    if (!body)
        return NULL;
    tepal_pair pair;
    json_t *args = json_object(), *headers = json_object();
    for (size_t at = 0; tepal_req_each_query(req, &at, &pair);)
        put(args, pair.name, pair.value);
    for (size_t at = 0; tepal_req_each_header(req, &at, &pair);)
        put(headers, pair.name, tepal_req_header(req, pair.name));
    json_t *data = json_stringn(body->data, body->len);
    return tepal_json(req, 200,
                      json_pack("{s:s, s:o, s:o, s:o}", "method", tepal_req_method(req), "args",
                                args, "headers", headers, "data", data ? data : json_null()));
}

static tepal_res *pass_on(tepal_req *req, tepal_next *next)
{
    return tepal_next_call(next, req);
}

static void add_more_routes(tepal_app *app)
{
    char pattern[64];
    for (int i = 0; i < 100; i++) {
        snprintf(pattern, sizeof(pattern), "/service%d", i);
        tepal_get(app, pattern, plaintext);
        snprintf(pattern, sizeof(pattern), "/api/v1/thing%d/{id:int}", i);
        tepal_get(app, pattern, plaintext);
    }
}

int main(int argc, char **argv)
{
    tepal_app *app = tepal_app_new();
    tepal_use(app, pass_on, NULL);
    tepal_get(app, "/plaintext", plaintext);
    tepal_get(app, "/json", json);
    tepal_get(app, "/hello/{name}", hello);
    tepal_any(app, "/anything", anything);
    add_more_routes(app);
    return tepal_run_args(app, argc, argv, &(tepal_run_options){ .access_log.off = true });
}
