/* Serves HTTP within a program that has a loop already, that of GLib, beside a timer of that loop:
 * as a program with GTK or a system service does.
 *
 *     build/examples/glib 8080
 *     curl http://127.0.0.1:8080/         -> how often the timer has ticked
 */
#include <tepal.h>

#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>

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

/* --- The host: the loop of GLib --------------------------------------------------------------- */

struct tepal_source {
    GSource source;
    tepal_loop *loop;
    GMainLoop *host;
    gpointer fd; /* as GLib knows it */
};

static gboolean before_wait(GSource *source, gint *timeout)
{
    int64_t ms = tepal_loop_next_ms(((struct tepal_source *)source)->loop);
    *timeout = ms > G_MAXINT ? -1 : (gint)ms;
    return ms == 0;
}

/* Not a turn each time: GLib does not wait after it has made one. */
static gboolean after_wait(GSource *source)
{
    struct tepal_source *tepal = (struct tepal_source *)source;
    return g_source_query_unix_fd(source, tepal->fd) != 0 || tepal_loop_next_ms(tepal->loop) == 0;
}

static gboolean take_turn(GSource *source, GSourceFunc fn, gpointer arg)
{
    struct tepal_source *tepal = (struct tepal_source *)source;
    (void)fn;
    (void)arg;
    if (tepal_loop_turn(tepal->loop) == 0) /* the server has ended */
        g_main_loop_quit(tepal->host);
    return G_SOURCE_CONTINUE;
}

static gboolean on_tick(gpointer arg)
{
    (void)arg;
    n_ticks++;
    return G_SOURCE_CONTINUE;
}

static gboolean on_signal(gpointer app)
{
    tepal_app_stop(app); /* gracefully: the server ends in turns to come */
    return G_SOURCE_CONTINUE;
}

static void run(tepal_loop *loop, tepal_app *app)
{
    static GSourceFuncs fns = { .prepare = before_wait,
                                .check = after_wait,
                                .dispatch = take_turn };
    GSource *source = g_source_new(&fns, sizeof(struct tepal_source));
    struct tepal_source *tepal = (struct tepal_source *)source;
    tepal->loop = loop;
    tepal->host = g_main_loop_new(NULL, FALSE);
    tepal->fd = g_source_add_unix_fd(source, tepal_loop_fd(loop), G_IO_IN);
    g_source_attach(source, NULL);
    g_timeout_add(10, on_tick, NULL);
    g_unix_signal_add(SIGTERM, on_signal, app);
    g_unix_signal_add(SIGINT, on_signal, app);
    g_main_loop_run(tepal->host);
    g_main_loop_unref(tepal->host);
    g_source_destroy(source);
    g_source_unref(source);
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
        fprintf(stderr, "glib: %s\n", tepal_code_text(rc));
    tepal_loop_close(loop);
    tepal_app_close(site.app);
    return rc < 0 || site.result < 0;
}
