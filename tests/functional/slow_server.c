/* Handlers that take their time, for the tests of the server's end and of clients that do not read.
 *
 *   /sleep?ms=N            answers after N milliseconds
 *   /stream?ms=N&lines=M   M lines, one every N milliseconds; without lines: large ones without end
 *   /upload                reads the body piece by piece and tells how many octets it had
 *   /big?ms=N&bytes=M      M octets at once, after N milliseconds; the body is not read
 *   /flood                 small pieces without end and without a sleep
 *   /poll, /events         wait for what never comes, the second in a stream that has begun
 *   /shielded              the same, of a route that is shielded; until /release
 *   /waiting               how many wait in the three
 *
 * Limits that a test wants small come from the environment: MAX_CONNECTIONS, SHUTDOWN_MS, WRITE_MS,
 * KEEPALIVE_MS, HEAD_MS, BODY_MS; HALF_CLOSED=1 is half_closed_clients. */
#include <tepal.h>

#include <stdlib.h>
#include <string.h>

static int64_t number(tepal_req *req, const char *name, int64_t otherwise)
{
    const char *value = tepal_req_query(req, name);
    return value ? strtoll(value, NULL, 10) : otherwise;
}

static tepal_res *sleep_some(tepal_req *req)
{
    int rc = tepal_sleep_ms(number(req, "ms", 0));
    return rc < 0 ? tepal_fail(req, rc) : tepal_text(req, 200, "slept\n");
}

static tepal_res *stream_lines(tepal_req *req)
{
    static char block[8000];
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    int64_t lines = number(req, "lines", 0), ms = number(req, "ms", 0);
    memset(block, 'x', sizeof(block));
    int rc = 0;
    for (int64_t i = 0; rc == 0 && (lines == 0 || i < lines); i++) {
        rc = lines > 0 ? tepal_writef(res, "line %d\n", (int)i)
                       : tepal_write(res, block, sizeof(block));
        if (rc == 0 && lines > 0)
            rc = tepal_sleep_ms(ms);
    }
    return res;
}

static tepal_res *upload(tepal_req *req)
{
    tepal_bytes piece;
    long long total = 0;
    int rc;
    while ((rc = tepal_req_read(req, &piece)) > 0)
        total += (long long)piece.len;
    return rc < 0 ? NULL : tepal_textf(req, 200, "%lld\n", total);
}

static tepal_res *big(tepal_req *req)
{
    size_t len = (size_t)number(req, "bytes", 0);
    char *data = tepal_req_alloc(req, len);
    int64_t ms = number(req, "ms", 0);
    if (!data || (ms > 0 && tepal_sleep_ms(ms) < 0))
        return NULL;
    memset(data, 'x', len);
    tepal_res *res = tepal_data(req, 200, NULL, NULL, 0);
    return tepal_res_lend_body(res, data, len, NULL, NULL) == 0 ? res : NULL;
}

static tepal_res *flood(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    while (tepal_writef(res, "x\n") == 0)
        continue;
    return res;
}

static tepal_event news;
static int n_waiting;

static int wait_for_news(void)
{
    n_waiting++;
    int rc = tepal_event_wait(&news);
    n_waiting--;
    return rc;
}

static tepal_res *poll_news(tepal_req *req)
{
    int rc = wait_for_news();
    return rc < 0 ? tepal_fail(req, rc) : tepal_text(req, 200, "news\n");
}

static tepal_res *events(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/event-stream");
    tepal_writef(res, ": hello\n\n");
    if (wait_for_news() == 0)
        tepal_writef(res, "data: news\n\n");
    return res;
}

static tepal_res *release(tepal_req *req)
{
    tepal_event_set(&news);
    return tepal_empty(req, 204);
}

static tepal_res *waiting(tepal_req *req)
{
    return tepal_textf(req, 200, "%d\n", n_waiting);
}

static int64_t setting(const char *name)
{
    const char *value = getenv(name);
    return value ? strtoll(value, NULL, 10) : 0;
}

int main(int argc, char **argv)
{
    tepal_app *app = tepal_app_new();
    tepal_get(app, "/sleep", sleep_some);
    tepal_get(app, "/stream", stream_lines);
    tepal_post(app, "/upload", upload);
    tepal_any(app, "/big", big);
    tepal_get(app, "/flood", flood);
    tepal_any(app, "/poll", poll_news);
    tepal_get(app, "/events", events);
    tepal_get(app, "/release", release);
    tepal_get(app, "/waiting", waiting);
    tepal_routes(
        app, (tepal_route[]){
                 { .method = "GET", .pattern = "/shielded", .handler = poll_news, .shield = true },
                 { 0 } });
    return tepal_run_args(app, argc, argv,
                          &(tepal_run_options){
                              .access_log.off = true,
                              .limits.max_connections = (size_t)setting("MAX_CONNECTIONS"),
                              .shutdown_timeout_ms = setting("SHUTDOWN_MS"),
                              .limits.write_timeout_ms = setting("WRITE_MS"),
                              .limits.keepalive_timeout_ms = setting("KEEPALIVE_MS"),
                              .limits.head_timeout_ms = setting("HEAD_MS"),
                              .limits.body_timeout_ms = setting("BODY_MS"),
                              .limits.half_closed_clients = setting("HALF_CLOSED") != 0,
                          });
}
