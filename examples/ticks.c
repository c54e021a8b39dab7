/* Sends one line a second until the client leaves.
 *
 *     build/examples/ticks --port 8080
 *     curl --no-buffer http://127.0.0.1:8080/       -> tick 1, tick 2, ...
 */
#include <tepal.h>

static tepal_res *ticks(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    for (int i = 1; tepal_writef(res, "tick %d\n", i) == 0; i++)
        if (tepal_sleep_ms(1000) < 0)
            break; /* the client has left, or the server has waited long enough */
    return res;
}

int main(int argc, char **argv)
{
    tepal_app *app = tepal_app_new();
    tepal_get(app, "/", ticks);
    /* This response never ends by itself, so do not wait long for it when the server stops. */
    return tepal_run_args(app, argc, argv, &(tepal_run_options){ .shutdown_timeout_ms = 1000 });
}
