/* tepal_run(): an application as a program of its own, with signals. */
#include "async/signal/ending.h"
#include "async/task/task.h"
#include "base/fd_limit.h"
#include "base/log.h"
#include "base/mem.h"
#include "web/app/application.h"
#include "web/server/options_check.h"

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

/* What the signals are told to. */
struct watch {
    struct ending ending;
    struct signal_receiver pipe; /* SIGPIPE: a handler that does nothing */
};

static void on_wish_to_end(void *arg, int number)
{
    tepal_logf(TEPAL_LOG_INFO, "ending gracefully (%s)", sigabbrev_np(number));
    tepal_app_stop(arg);
}

static void on_pipe(struct signal_receiver *receiver, int number, unsigned n)
{
    (void)receiver;
    (void)number;
    (void)n;
}

/* Whether the program leaves the signal to the system. */
static bool has_default_action(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
           action.sa_handler == SIG_DFL;
}

/* Without signals the program can still serve. */
static void watch_signals(struct watch *watch, tepal_app *app)
{
    int rc = ending_open(&watch->ending, on_wish_to_end, app, true);
    if (rc < 0)
        tepal_logf(TEPAL_LOG_WARNING, "no graceful end at SIGINT and SIGTERM: %s",
                   tepal_code_text(rc));
    rc = has_default_action(SIGUSR1) ? tepal_dump_on_signal(SIGUSR1) : 0;
    if (rc < 0)
        tepal_logf(TEPAL_LOG_WARNING, "no report at SIGUSR1: %s", tepal_code_text(rc));
    /* Not ignored: that would be inherited by the programs it starts. */
    watch->pipe = (struct signal_receiver){ .fn = on_pipe };
    rc = has_default_action(SIGPIPE) ? signal_receiver_add(loop_current, &watch->pipe, SIGPIPE) : 0;
    if (rc < 0)
        tepal_logf(TEPAL_LOG_WARNING, "SIGPIPE would end the program: %s", tepal_code_text(rc));
}

/* What the program has left running besides its application has a while to end, too. */
static void bound_end(const tepal_run_options *options)
{
    enum { DEFAULT_SHUTDOWN_MS = 60 * 1000 };
    int64_t patience = options ? options->shutdown_timeout_ms : 0;
    if (patience != TEPAL_NEVER)
        loop_current->end_until =
            loop_time_in(loop_current, ending_grace_ms(patience ? patience : DEFAULT_SHUTDOWN_MS));
}

static int serve_with_signals(void *arg)
{
    struct program *program = arg;
    struct watch watch = { 0 };
    bool watching = !program->options || !program->options->no_signals;
    program->begun = true;
    if (watching)
        watch_signals(&watch, program->app);
    int rc = tepal_serve(program->app, program->options);
    bound_end(program->options);
    if (watching) {
        signal_receiver_close(loop_current, &watch.pipe);
        ending_close(&watch.ending);
    }
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
    const char *error = tepal_app_error_text(app);
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
        tepal_logf(TEPAL_LOG_ERROR, "cannot start: %s", error);
    } else {
        raise_descriptor_limit();
        app->ends_by_signal = !options || !options->no_signals;
        rc = run_program(&program);
        if (rc < 0 && !program.begun)
            tepal_logf(TEPAL_LOG_ERROR, "cannot start: %s",
                       rc == -EBUSY ? "this thread runs a loop already" : tepal_code_text(rc));
    }
    app_close_given(app);
    return rc < 0 ? 1 : 0;
}
