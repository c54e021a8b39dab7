/* tepal_run(): an application as a program of its own, with signals and a command line. */
#include "async/ending.h"
#include "async/task.h"
#include "base/log.h"
#include "base/mem.h"

#include <tepal/run.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct program {
    tepal_app *app;
    const tepal_run_options *options;
};

/* What the signals are told to. */
struct watch {
    struct ending ending;
    struct signal_receiver pipe; /* SIGPIPE: a handler that does nothing */
};

static void on_wish_to_end(void *arg, int number)
{
    tepal_log(TEPAL_LOG_INFO, "ending gracefully (%s); a second signal ends at once",
              sigabbrev_np(number));
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
        tepal_log(TEPAL_LOG_WARNING, "no graceful end at SIGINT and SIGTERM: %s",
                  tepal_error_text(rc));
    rc = has_default_action(SIGUSR1) ? tepal_dump_on_signal(SIGUSR1) : 0;
    if (rc < 0)
        tepal_log(TEPAL_LOG_WARNING, "no report at SIGUSR1: %s", tepal_error_text(rc));
    /* Not ignored: that would be inherited by the programs it starts. */
    watch->pipe = (struct signal_receiver){ .fn = on_pipe };
    rc = has_default_action(SIGPIPE) ? signal_receiver_add(loop_current, &watch->pipe, SIGPIPE) : 0;
    if (rc < 0)
        tepal_log(TEPAL_LOG_WARNING, "SIGPIPE would end the program: %s", tepal_error_text(rc));
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
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
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
    int rc = -EINVAL;
    if (error) {
        tepal_log(TEPAL_LOG_ERROR, "cannot start: %s", error);
    } else {
        raise_descriptor_limit();
        rc = run_program(&program);
        if (rc < 0)
            tepal_log(TEPAL_LOG_ERROR, "ended: %s", tepal_error_text(rc));
    }
    tepal_app_close(app);
    return rc < 0 ? 1 : 0;
}

static void print_usage(FILE *out, const char *program, const tepal_run_options *options)
{
    char port[32] = "one that is free";
    if (options->port != TEPAL_ANY_PORT)
        snprintf(port, sizeof(port), "%d", options->port ? options->port : 8080);
    fprintf(out,
            "usage: %s [OPTION]...\n"
            "  --host HOST      address or name to listen on (default: %s)\n"
            "  --port PORT      port to listen on (default: %s; 0: one that is free)\n"
            "  --path SOCKET    Unix socket to listen on instead\n"
            "  --no-access-log  no line for each request\n",
            program, options->host ? options->host : "all addresses", port);
    for (const tepal_argument *a = options->arguments; a && a->name; a++)
        fprintf(out, "  --%s VALUE\n                   %s\n", a->name, a->help);
}

static int parse_port(const char *text, int *port)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 0 || value > 65535)
        return -EINVAL;
    *port = value == 0 ? TEPAL_ANY_PORT : (int)value;
    return 0;
}

/* Takes an option of the program's own. Returns 0, or -EINVAL. */
static int take_argument(const tepal_argument *arguments, const char *name, const char *value)
{
    for (; arguments && arguments->name; arguments++)
        if (name[0] == '-' && name[1] == '-' && strcmp(name + 2, arguments->name) == 0) {
            *arguments->value = value;
            return 0;
        }
    return -EINVAL;
}

/* Takes the option at argv[*i], and its value. Returns 0, or -EINVAL. */
static int take_option(tepal_run_options *options, int argc, char **argv, int *i)
{
    const char *name = argv[*i];
    if (strcmp(name, "--no-access-log") == 0) {
        options->no_access_log = true;
        return 0;
    }
    if (*i + 1 >= argc)
        return -EINVAL;
    const char *value = argv[++*i];
    if (strcmp(name, "--host") == 0)
        options->host = value;
    else if (strcmp(name, "--path") == 0)
        options->path = value;
    else if (strcmp(name, "--port") == 0)
        return parse_port(value, &options->port);
    else
        return take_argument(options->arguments, name, value);
    return 0;
}

int tepal_run_args(tepal_app *app, int argc, char **argv, const tepal_run_options *options)
{
    tepal_run_options all = options ? *options : (tepal_run_options){ 0 };
    const char *program = argc > 0 ? argv[0] : "program";
    for (int i = 1; i < argc; i++) {
        bool help = strcmp(argv[i], "--help") == 0;
        if (help || take_option(&all, argc, argv, &i) < 0) {
            print_usage(help ? stdout : stderr, program, &all);
            tepal_app_close(app);
            return help ? 0 : 2;
        }
    }
    return tepal_run(app, &all);
}
