/* tepal_run(): an application as a program of its own, with signals. */
#include "async/task.h"
#include "base/fd_limit.h"
#include "base/log.h"
#include "base/mem.h"
#include "web/application.h"
#include "web/options_check.h"

#include <tepal/run.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct program {
    tepal_app *app;
    const tepal_run_options *options;
    bool begun; /* what has failed since then has been told */
};

/* Stops the application at the first signal, and the program at the second. */
static int watch_signals(void *arg)
{
    tepal_app *app = arg;
    static const int signals[] = { SIGINT, SIGTERM, 0 };
    tepal_signals *s = tepal_signals_open(signals);
    if (!s)
        return -ENOMEM;
    int signal = tepal_signals_next(s);
    if (signal > 0) {
        tepal_log(TEPAL_LOG_INFO, "ending gracefully (%s)", sigabbrev_np(signal));
        tepal_app_stop(app);
        signal = tepal_signals_next(s);
    }
    if (signal > 0) {
        tepal_log(TEPAL_LOG_WARNING, "ending at once (%s)", sigabbrev_np(signal));
        _exit(1);
    }
    tepal_signals_close(s);
    return signal;
}

/* Unless the program does something of its own at that signal. */
static void dump_on_usr1(void)
{
    struct sigaction action;
    if (sigaction(SIGUSR1, NULL, &action) < 0 || (action.sa_flags & SA_SIGINFO) ||
        action.sa_handler != SIG_DFL)
        return;
    int rc = tepal_dump_on_signal(SIGUSR1);
    if (rc < 0)
        tepal_log(TEPAL_LOG_WARNING, "no report at SIGUSR1: %s", tepal_error_text(rc));
}

static int serve_with_signals(void *arg)
{
    struct program *program = arg;
    program->begun = true;
    if (program->options && program->options->no_signals)
        return tepal_serve(program->app, program->options);
    dump_on_usr1();
    tepal_group *group = tepal_group_new();
    int rc = group ? tepal_spawn(group, watch_signals, program->app,
                                 &(tepal_spawn_options){ .name = "signals" })
                   : -ENOMEM;
    if (rc == 0) {
        tepal_sleep_ms(0); /* a signal that comes during the start must not kill */
        rc = tepal_serve(program->app, program->options);
    }
    tepal_group_close(group);
    return rc;
}

/* As many descriptors as the system lets us have: each connection is one. */
static void raise_descriptor_limit(void)
{
    if (fd_limit_raise() < 0)
        tepal_log(TEPAL_LOG_WARNING, "cannot raise the limit of descriptors");
}

static int run_program(struct program *program)
{
    struct loop *loop = mem_alloc(sizeof(*loop));
    int rc = loop ? loop_open(loop, program->options ? program->options->stack_size : 0) : -ENOMEM;
    if (rc == 0) {
        rc = loop_run(loop, serve_with_signals, program);
        loop_close(loop);
    }
    mem_free(loop);
    return rc;
}

int tepal_run(tepal_app *app, const tepal_run_options *options)
{
    struct program program = { .app = app, .options = options };
    const char *error = tepal_app_error(app);
    char text[160];
    int rc = -EINVAL;
    if (loop_current)
        error =
            "tepal_run() runs a loop, and was called where one runs: tepal_serve() is for tasks";
    else if (!error && app->server)
        error = "the application is being served already";
    else if (!error && options_check(options, text, sizeof(text)) < 0)
        error = text;
    if (error) {
        tepal_log(TEPAL_LOG_ERROR, "cannot start: %s", error);
    } else {
        raise_descriptor_limit();
        app->ends_by_signal = !options || !options->no_signals;
        rc = run_program(&program);
        if (rc < 0 && !program.begun)
            tepal_log(TEPAL_LOG_ERROR, "cannot start: %s",
                      rc == -EBUSY ? "this thread runs a loop already" : tepal_error_text(rc));
    }
    app_close_given(app);
    return rc < 0 ? 1 : 0;
}
