/* Serves HTTP within a program that has a loop already, that of libuv, beside a timer of that loop.
 *
 *     build/examples/libuv 8080
 *     curl http://127.0.0.1:8080/         -> how often the timer has ticked
 */
#include <tepal.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static unsigned n_ticks;

/* --- The guest: tasks of tepal ---------------------------------------------------------------- */

static tepal_res *ticks(tepal_req *req)
{
    (void)tepal_sleep_ms(1); /* a handler may wait, as anywhere */
    return tepal_textf(req, 200, "%u ticks\n", n_ticks);
}

struct site {
    tepal_app *app;
    int port;
    int result; /* of serving it */
};

static int serve(void *arg)
{
    struct site *site = arg;
    site->result = tepal_serve(site->app, &(tepal_run_options){ .port = site->port });
    return site->result;
}

/* --- The host: the loop of libuv -------------------------------------------------------------- */

/* What wakes the host for the guest: its descriptor, its next timer, a look before each wait. */
struct guest {
    tepal_loop *loop;
    uv_poll_t poll;
    uv_timer_t due;
    uv_prepare_t before_wait;
    uv_timer_t tick;
    uv_signal_t end;
};

static void take_turn(struct guest *guest)
{
    if (tepal_loop_turn(guest->loop) == 0) /* the server has ended */
        uv_stop(guest->poll.loop);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    take_turn(poll->data);
}

static void on_due(uv_timer_t *timer)
{
    take_turn(timer->data);
}

static void before_wait(uv_prepare_t *prepare)
{
    struct guest *guest = prepare->data;
    int64_t ms = tepal_loop_next_ms(guest->loop);
    if (ms == TEPAL_NEVER) {
        uv_timer_stop(&guest->due);
    } else {
        uv_update_time(prepare->loop); /* from now, not from when its own turn began */
        uv_timer_start(&guest->due, on_due, (uint64_t)ms, 0);
    }
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    n_ticks++;
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    tepal_app_stop(signal->data); /* gracefully: the server ends in turns to come */
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    uv_close(handle, NULL);
}

static void run(tepal_loop *loop, tepal_app *app)
{
    uv_loop_t *host = uv_default_loop();
    struct guest guest = { .loop = loop };
    uv_poll_init(host, &guest.poll, tepal_loop_fd(loop));
    uv_timer_init(host, &guest.due);
    uv_prepare_init(host, &guest.before_wait);
    uv_timer_init(host, &guest.tick);
    uv_signal_init(host, &guest.end);
    guest.poll.data = guest.due.data = guest.before_wait.data = &guest;
    guest.end.data = app;
    uv_poll_start(&guest.poll, UV_READABLE, on_readable);
    uv_prepare_start(&guest.before_wait, before_wait);
    uv_timer_start(&guest.tick, on_tick, 10, 10);
    uv_signal_start(&guest.end, on_signal, SIGTERM);
    uv_run(host, UV_RUN_DEFAULT);
    uv_walk(host, close_handle, NULL);
    uv_run(host, UV_RUN_DEFAULT); /* until all are closed */
    uv_loop_close(host);
}

int main(int argc, char **argv)
{
    struct site site = { .app = tepal_app_new(), .port = argc > 1 ? atoi(argv[1]) : 8080 };
    tepal_get(site.app, "/", ticks);
    tepal_loop *loop;
    int rc = tepal_loop_open(&loop);
    if (rc == 0)
        rc = tepal_loop_spawn(loop, serve, &site, NULL);
    if (rc == 0)
        run(loop, site.app);
    else
        fprintf(stderr, "libuv: %s\n", tepal_code_text(rc));
    tepal_loop_close(loop);
    tepal_app_close(site.app);
    return rc < 0 || site.result < 0;
}
