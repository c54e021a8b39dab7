/* Serving an application. */
#ifndef TEPAL_RUN_H
#define TEPAL_RUN_H

#include <tepal/app.h>
#include <tepal/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A command line option of the program's own: --NAME VALUE. */
typedef struct tepal_argument {
    const char *name;   /* without the dashes */
    const char *help;   /* a line for --help */
    const char **value; /* what is given goes there; it points into argv */
} tepal_argument;

/* All sizes are in octets, all times in milliseconds. Zero is the default; TEPAL_NEVER switches a
 * timeout off, TEPAL_UNLIMITED a limit, unless a highest value is said. What is beyond a highest or
 * least value, or does not fit another option, keeps the server from starting; the log has its name
 * and value. */
typedef struct tepal_run_options {
    /* --- Where to listen --- */

    const char *host; /* an address or a name; default: all addresses */
    int port;         /* default 8080; TEPAL_ANY_PORT: one that is free */
    const char *path; /* a Unix socket instead of a port; see tepal_listen_options */
    int backlog;      /* default 1024 */
    bool reuse_port;  /* several processes share the port */

    /* --- What a request may be --- */

    /* The request line. Default 8192, or max_head if that is less; TEPAL_UNLIMITED is as long as
     * max_head. Longer is answered with 414, or with 501 when all of it is a method. */
    size_t max_request_line;
    /* Request line and fields. Default 32 KiB, or max_request_line and 24 KiB if that is more; at
     * most 16 MiB, and not under max_request_line. Larger is answered with 431. */
    size_t max_head;
    /* Fields. Default 128, at most 255; more are answered with 431. */
    size_t max_fields;
    /* The body, as read by tepal_req_body() and its kin. Default 1 MiB, or max_request_memory if that
     * is set and less; larger: 413. Not over max_request_memory, but for TEPAL_UNLIMITED. */
    size_t max_body;
    /* Nesting of a JSON body. Default 128, at most 512; deeper is answered with 400. Each level takes
     * 128 octets of the stack: a small stack_size has a lower default, (stack_size - 28 KiB) / 128,
     * and more than that is refused at the start. */
    size_t max_json_depth;
    /* All memory of one request, with what its body becomes as JSON: about 80 octets and the text for
     * each string and key, 32 for a number, 128 for an array, 224 for an object. Default 16 MiB, or 4
     * times max_body if that is more, for requests of a route 4 times its own max_body; at least 64
     * KiB. More is answered with 413. */
    size_t max_request_memory;

    /* --- How long things may take --- */

    /* From a request's first octet to the end of its head. Default 10 s; then 408. */
    int64_t head_timeout_ms;
    /* An idle connection. Default 75 s; then it is closed. */
    int64_t keepalive_timeout_ms;
    /* Between two reads of a body. Default 30 s; then 408. */
    int64_t body_timeout_ms;
    /* A write of which the client takes nothing. Default 60 s; then the connection is closed. */
    int64_t write_timeout_ms;
    /* Reading and dropping what a client still sends after its answer. Default 10 s. */
    int64_t lingering_timeout_ms;
    /* For running requests, when the server ends. Default 60 s; then they are cancelled. */
    int64_t shutdown_timeout_ms;

    /* --- How many --- */

    /* Connections at once. Default 100000; more wait in the backlog. */
    size_t max_connections;
    /* Requests on one connection. Default unlimited. */
    size_t max_requests;
    /* What a handler has left of a body, and is read and dropped to keep the connection. Default
     * 256 KiB; when there is more the connection is closed. */
    size_t max_unread_body;

    /* --- The rest --- */

    size_t stack_size;  /* of the tasks that run handlers; default 256 KiB */
    const char *server; /* the Server field; default "tepal"; "": none */

    /* The access log: a line for each response, written to a descriptor (default standard error) by
     * a format of aiohttp's atoms. Default: %a %t "%r" %s %b "%{Referer}i" "%{User-Agent}i" */
    bool no_access_log;
    int access_log_fd;
    const char *access_log_format;

    /* For tepal_run_args(): more command line options. The list ends with one without a name. */
    const struct tepal_argument *arguments;

    bool no_signals; /* SIGINT, SIGTERM and SIGUSR1 are not handled by tepal_run() */
} tepal_run_options;

/* Serves the application until SIGINT or SIGTERM, then ends gracefully: see "Start and end" in
 * app.h; a second signal ends it at once. At SIGUSR1, unless the program handles or ignores it, all
 * tasks are reported in the log: see tepal_dump_tasks(). Takes the application over and closes it.
 * Not in a task: it runs the loop itself. Returns what main() returns: 0, or 1 when it could not
 * start (the reason is logged). */
TEPAL_API int tepal_run(tepal_app *app, const tepal_run_options *options);

/* The same, with options from the command line: --host HOST, --port PORT, --path PATH (a Unix
 * socket), --no-access-log, --help, and those in options->arguments. What is not given is as in
 * options. Returns 2 for a bad command line. */
TEPAL_API int tepal_run_args(tepal_app *app, int argc, char **argv,
                             const tepal_run_options *options);

/* Serves the application in the calling task until that is cancelled or its deadline has come, or
 * tepal_app_stop() is called; then ends gracefully, and returns. Several applications may be served
 * in one loop. Signals and stack_size are the caller's business. Suspends. Returns 0, -EINVAL for
 * an application with an error (logged) or bad options, or the error that kept it from starting. */
TEPAL_API int tepal_serve(tepal_app *app, const tepal_run_options *options);

/* Lets tepal_serve() or tepal_run() end gracefully. Does not suspend. */
TEPAL_API void tepal_app_stop(tepal_app *app);

/* The URL that the application is served on, such as "http://127.0.0.1:8080", or
 * "unix:/run/x.sock"; NULL before it listens. Lives until it stops. */
TEPAL_API const char *tepal_app_url(const tepal_app *app);

#ifdef __cplusplus
}
#endif
#endif
