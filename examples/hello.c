/* Says hello.
 *
 *     build/examples/hello --port 8080
 *     curl http://127.0.0.1:8080/hello/you      -> Hello, you!
 */
#include <tepal.h>

static tepal_res *hello(tepal_req *req)
{
    return tepal_textf(req, 200, "Hello, %s!\n", tepal_req_match(req, "name"));
}

int main(int argc, char **argv)
{
    tepal_app *app = tepal_app_new();
    tepal_get(app, "/hello/{name}", hello);
    return tepal_run_args(app, argc, argv, NULL);
}
