/* A background task: measures the load of the machine every second, for as long as the server runs.
 *
 *     build/examples/beat --port 8080
 *     curl http://127.0.0.1:8080/       -> {"beats": 7, "load": 0.42}
 *
 * At Ctrl-C the task is cancelled: its wait returns a negative number, and it comes to its end.
 */
#include <stdlib.h>

#include <tepal.h>

/* No lock is needed: all tasks of a loop share one thread. */
static int beats;
static double load;

static int beat(tepal_app *app, void *arg)
{
    tepal_interval interval = tepal_interval_start_ms(1000);
    while (tepal_interval_wait(&interval) > 0) {
        getloadavg(&load, 1);
        beats++;
    }
    tepal_logf(TEPAL_LOG_INFO, "the last of %d beats", beats); /* whatever is to be put away */
    (void)app, (void)arg;
    return 0;
}

static tepal_res *show(tepal_req *req)
{
    return tepal_jsonf(req, 200, "{s:i, s:f}", "beats", beats, "load", load);
}

int main(int argc, char **argv)
{
    tepal_app *app = tepal_app_new();
    tepal_background(app, beat, NULL);
    tepal_get(app, "/", show);
    return tepal_run_args(app, argc, argv, NULL);
}
