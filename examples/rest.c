/* A to-do list in memory, as a REST service: JSON in, JSON out.
 *
 *     build/examples/rest --port 8080
 *     curl -d '{"title": "Buy milk"}' http://127.0.0.1:8080/todos    -> 201 {"id": 1, "title": ...}
 *     curl -d '{"title": ""}' http://127.0.0.1:8080/todos            -> 422
 *     curl http://127.0.0.1:8080/todos                               -> 200, all items by their id
 *     curl http://127.0.0.1:8080/todos/1                             -> 200, or 404
 *     curl -X DELETE http://127.0.0.1:8080/todos/1                   -> 204, or 404
 */
#include <tepal.h>

/* The items by their id, at most 1000. No lock is needed: handlers share one thread, and none of
 * them suspends between looking at the list and changing it. */
static json_t *todos;

static tepal_res *list(tepal_req *req)
{
    return tepal_json(req, 200, json_incref(todos));
}

static tepal_res *create(tepal_req *req)
{
    static int last_id;
    const char *title;
    json_t *body = tepal_req_json(req);
    if (!body)
        return NULL; /* why is recorded: 400 for what is no JSON, 413 for too much of it */
    if (json_unpack(body, "{s:s}", "title", &title) < 0 || !*title)
        return tepal_error(req, 422, "title must be a string that is not empty");
    if (json_object_size(todos) >= 1000)
        return tepal_error(req, 507, "the list is full");
    const char *id = tepal_req_printf(req, "%d", ++last_id);
    json_t *todo = json_pack("{s:i, s:s}", "id", last_id, "title", title);
    if (json_object_set_new(todos, id, todo) < 0)
        return NULL; /* out of memory: 500 */
    return tepal_json(req, 201, json_incref(todo));
}

static tepal_res *show(tepal_req *req)
{
    json_t *todo = json_object_get(todos, tepal_req_match(req, "id"));
    return todo ? tepal_json(req, 200, json_incref(todo)) : tepal_error(req, 404, "no such item");
}

static tepal_res *discard(tepal_req *req)
{
    bool found = json_object_del(todos, tepal_req_match(req, "id")) == 0;
    return found ? tepal_empty(req, 204) : tepal_error(req, 404, "no such item");
}

int main(int argc, char **argv)
{
    tepal_app *app = tepal_app_new();
    todos = json_object();
    tepal_get(app, "/todos", list);
    tepal_post(app, "/todos", create);
    tepal_get(app, "/todos/{id}", show);
    tepal_delete(app, "/todos/{id}", discard);
    int status = tepal_run_args(app, argc, argv, NULL);
    json_decref(todos);
    return status;
}
