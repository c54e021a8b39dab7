/* A small to-do service: a JSON API, and a page that uses it. The items are in an SQLite file.
 *
 *     make demo                                         or
 *     build/examples/todo --port 8080 --db todo.db      and then open http://127.0.0.1:8080/
 *
 *     GET     /api/todos           all items
 *     POST    /api/todos           {"title": "Buy milk"} makes one: 201
 *     DELETE  /api/todos?done=1    removes those that are done, and returns them
 *     GET     /api/todos/1         one item
 *     PATCH   /api/todos/1         {"title": "Buy tea"}, {"done": true}, or both
 *     DELETE  /api/todos/1         removes it: 204
 *
 * An item is {"id": 1, "title": "Buy milk", "done": false, "created": "2026-11-22T13:00:00Z"}.
 * 422 is a title that is not 1 to 200 characters, 404 an item that is not there, 507 a full list or
 * disk, 503 a database that another program keeps locked;
 * the reason comes as {"status": 422, "error": "..."}.
 *
 *     curl --json '{"title": "Buy milk"}' http://127.0.0.1:8080/api/todos
 */
#include <errno.h>
#include <string.h>

#include <tepal.h>

#include "store.h"
#include "todo_page.h" /* made of the files in page/: index_html, style_css, app_js */

#define MAX_TITLE 200 /* characters; page/index.html says the same */

static const tepal_key STORE = { "store" };

/* --- The page --------------------------------------------------------------------------------- */

static tepal_res *page(tepal_req *req)
{
    return tepal_data(req, 200, "text/html; charset=utf-8", index_html, sizeof(index_html));
}

static tepal_res *style(tepal_req *req)
{
    return tepal_data(req, 200, "text/css; charset=utf-8", style_css, sizeof(style_css));
}

static tepal_res *script(tepal_req *req)
{
    return tepal_data(req, 200, "text/javascript; charset=utf-8", app_js, sizeof(app_js));
}

/* The browser shall load nothing from elsewhere, and run no script but ours. */
static const tepal_pair guards[] = {
    { "Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
      "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
    { "X-Content-Type-Options", "nosniff" },
    { "Referrer-Policy", "no-referrer" },
    { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Cache-Control", "no-cache" },
    { 0 },
};

static int set_fields(tepal_req *req, tepal_res *res, void *arg)
{
    int rc = 0;
    for (const tepal_pair *field = arg; field->name && rc == 0; field++)
        rc = tepal_res_set_header(res, field->name, field->value);
    (void)req;
    return rc;
}

/* --- The API ---------------------------------------------------------------------------------- */

/* The answer for a result of the store: the value, which the call takes over, or an error. */
static tepal_res *answer(tepal_req *req, int rc, int status, json_t *value)
{
    if (rc == -ENOENT)
        return tepal_error(req, 404, "there is no such item");
    if (rc == -EDQUOT)
        return tepal_error(req, 507, "the list is full");
    if (rc == -ENOSPC)
        return tepal_error(req, 507, "the disk is full");
    if (rc == -EBUSY || rc == -ETIMEDOUT)
        return tepal_error(req, 503, "the database is busy");
    return rc < 0 ? tepal_fail(req, rc) : tepal_json(req, status, value);
}

static bool is_title(const char *text)
{
    size_t characters = 0;
    for (const char *at = text; *at; at++)
        characters += (*at & 0xc0) != 0x80; /* all octets of UTF-8 but those that continue one */
    return characters <= MAX_TITLE && text[strspn(text, " \t\r\n")] != '\0';
}

/* Reads and checks what the client says about an item. Suspends. False: *refusal is the answer. */
static bool read_change(tepal_req *req, struct store_change *change, tepal_res **refusal)
{
    *refusal = NULL;
    /* Pages of other sites can make a browser send a form, but not JSON. */
    const char *type = tepal_req_content_type(req);
    if (!type || strcmp(type, "application/json") != 0) {
        *refusal = tepal_error(req, 415, "the body must be application/json");
        return false;
    }
    json_t *body = tepal_req_json(req);
    if (!body)
        return false; /* the request knows why */

    json_error_t error;
    *change = (struct store_change){ .done = -1 };
    if (json_unpack_ex(body, &error, JSON_STRICT, "{s?s, s?b}", "title", &change->title, "done",
                       &change->done) < 0)
        *refusal = tepal_errorf(req, 422, "title is text, done is true or false: %s", error.text);
    else if (change->title && !is_title(change->title))
        *refusal = tepal_errorf(req, 422, "title must have 1 to %d characters", MAX_TITLE);
    return !*refusal;
}

static tepal_res *list(tepal_req *req)
{
    json_t *items;
    int rc = store_list(tepal_req_state(req, &STORE), &items);
    return answer(req, rc, 200, items);
}

static tepal_res *create(tepal_req *req)
{
    struct store_change new;
    tepal_res *res;
    if (!read_change(req, &new, &res))
        return res;
    if (!new.title || new.done >= 0)
        return tepal_error(req, 422, "a new item has a title, and nothing else");

    json_t *item;
    int rc = store_add(tepal_req_state(req, &STORE), new.title, &item);
    json_int_t id = json_integer_value(json_object_get(item, "id"));
    res = answer(req, rc, 201, item);
    if (rc == 0)
        tepal_res_set_headerf(res, "Location", "/api/todos/%lld", (long long)id);
    return res;
}

static tepal_res *clear(tepal_req *req)
{
    const char *done = tepal_req_query(req, "done");
    if (!done || strcmp(done, "1") != 0)
        return tepal_error(req, 422, "only done=1 can be removed");

    json_t *items;
    int rc = store_remove_done(tepal_req_state(req, &STORE), &items);
    return answer(req, rc, 200, items);
}

static tepal_res *show(tepal_req *req)
{
    json_t *item;
    int rc = store_get(tepal_req_state(req, &STORE), tepal_req_match_int(req, "id"), &item);
    return answer(req, rc, 200, item);
}

static tepal_res *update(tepal_req *req)
{
    struct store_change change;
    tepal_res *res;
    if (!read_change(req, &change, &res))
        return res;
    if (!change.title && change.done < 0)
        return tepal_error(req, 422, "title or done is required");

    json_t *item;
    int64_t id = tepal_req_match_int(req, "id");
    int rc = store_change(tepal_req_state(req, &STORE), id, &change, &item);
    return answer(req, rc, 200, item);
}

static tepal_res *discard(tepal_req *req)
{
    int rc = store_remove(tepal_req_state(req, &STORE), tepal_req_match_int(req, "id"));
    return rc < 0 ? answer(req, rc, 0, NULL) : tepal_empty(req, 204);
}

/* --- The program ------------------------------------------------------------------------------ */

static const tepal_route routes[] = {
    { .method = "GET", .pattern = "/", .handler = page },
    { .method = "GET", .pattern = "/style.css", .handler = style },
    { .method = "GET", .pattern = "/app.js", .handler = script },

    { .method = "GET", .pattern = "/api/todos", .handler = list },
    { .method = "POST", .pattern = "/api/todos", .handler = create, .max_body = 16384 },
    { .method = "DELETE", .pattern = "/api/todos", .handler = clear },
    { .method = "GET", .pattern = "/api/todos/{id:int}", .handler = show },
    { .method = "PATCH", .pattern = "/api/todos/{id:int}", .handler = update, .max_body = 16384 },
    { .method = "DELETE", .pattern = "/api/todos/{id:int}", .handler = discard },
    { 0 },
};

static int open_store(tepal_app *app, void *arg)
{
    const char **file = arg;
    struct store *store;
    int rc = store_open(*file, &store);
    if (rc < 0)
        return rc;
    rc = tepal_app_set_state(app, &STORE, store);
    if (rc < 0)
        store_close(store);
    return rc;
}

static int close_store(tepal_app *app, void *arg)
{
    (void)arg;
    store_close(tepal_app_state(app, &STORE));
    return 0;
}

int main(int argc, char **argv)
{
    static const char *database = "todo.db";
    static const tepal_argument arguments[] = {
        { .name = "db", .help = "file of the database", .text = &database },
        { 0 },
    };
    tepal_app *app = tepal_app_new();
    tepal_on_response(app, set_fields, guards);
    tepal_context(app, open_store, close_store, &database);
    tepal_routes(app, routes);
    tepal_app_set_error_pages(app, "application/json");
    /* Anybody may change the list, so that it is for this machine only; --host says otherwise. */
    return tepal_run_args(app, argc, argv,
                          &(tepal_run_options){ .host = "127.0.0.1", .arguments = arguments });
}
