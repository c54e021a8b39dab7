/* Serving an application. */
#ifndef TEPAL_RUN_H
#define TEPAL_RUN_H

#include <tepal/app.h>
#include <tepal/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All sizes are in octets, all times in milliseconds. Zero is the default; TEPAL_NEVER switches a
 * timeout off, TEPAL_UNLIMITED a limit, unless a highest value is said. What is beyond a highest or
 * least value, or does not fit another option, keeps the server from starting; the log has its name
 * and value. */

/* --- Where to listen -------------------------------------------------------------------------- */

/* A place to listen at: a socket that is there already, a Unix socket, or a TCP port. */
typedef struct tepal_site {
    const char *host; /* an address or a name; default: all addresses, for everybody to reach */
    /* 1 to 65535; default 8080. TEPAL_ANY_PORT: one that is free. (On the command line that is
     * --port 0; here 0 is the default.) */
    int port;
    const char *path; /* a Unix socket instead of a port; see tepal_listener_options */
    int fd;          /* a socket that listens already, instead of all that: see the same; 0: none */
    int backlog;     /* default 1024 */
    bool reuse_port; /* several processes share the port */
    uint64_t later[8];
} tepal_site;

/* --- What clients may cost -------------------------------------------------------------------- */

typedef struct tepal_limits {
    /* What a request may be. */

    /* The request line. Default 8192, or max_head if that is less; TEPAL_UNLIMITED is as long as
     * max_head. Longer is answered with 414, or with 501 when all of it is a method. */
    size_t max_request_line;
    /* Request line and fields. Default 32 KiB, or max_request_line and 24 KiB if that is more; at
     * most 16 MiB, and not under max_request_line. Larger is answered with 431. */
    size_t max_head;
    /* Fields. Default 128, at most 255; more are answered with 431. */
    size_t max_fields;
    /* The body, as read by tepal_req_body() and its kin. Default 1 MiB, or max_request_memory if
     * that is set and less; larger: 413. Not over max_request_memory, but for TEPAL_UNLIMITED. */
    size_t max_body;
    /* Nesting of a JSON body. Default 128, at most 512; deeper is answered with 400. Each level
     * takes 128 octets of the stack: a small stack_size has a lower default, (stack_size - 12 KiB)
     * / 128, and more than that is refused at the start. */
    size_t max_json_depth;
    /* All memory of one request, with what its body becomes as JSON: about 80 octets and the text
     * for each string and key, 32 for a number, 128 for an array, 224 for an object. Default 16
     * MiB, or 4 times max_body if that is more, for requests of a route 4 times its own max_body;
     * at least 64 KiB. More is answered with 413. */
    size_t max_request_memory;

    /* The memory of all requests of the server that are under way, each of which counts for 48 KiB
     * and for what it takes beyond that, as max_request_memory does. At three quarters of it bodies
     * over 64 KiB wait, 10 s at most, and the client that sends its body most slowly is given up
     * for one that waits; at all of it nothing more is begun. Then the answer is 503 with
     * Retry-After. Default: half of what the process may have, the least of physical memory,
     * RLIMIT_AS, RLIMIT_DATA and the limits of its control groups (memory.max, memory.high),
     * divided among its servers; at least 1 MiB. */
    size_t max_memory;

    /* How long things may take. */

    /* From a request's first octet to the end of its head; and from a connection's beginning to the
     * first octet. Default 10 s; then 408, or the connection is closed if it never asked. */
    int64_t head_timeout_ms;
    /* A connection that is idle after a response. Default 75 s; then it is closed. */
    int64_t keepalive_timeout_ms;
    /* Between two reads of a body. Default 30 s; then 408. */
    int64_t body_timeout_ms;
    /* The least rate of a body, over the whole of it: it may take body_timeout_ms and as long as
     * what has come takes at so many octets a second. Default 100, TEPAL_UNLIMITED: any; slower is
     * answered with 408. Only the time in which the handler waits for the client counts. */
    size_t min_body_rate;
    /* A write of which the client takes nothing. Default 60 s; then the connection is closed. */
    int64_t write_timeout_ms;
    /* The least rate at which a client takes a response, counted in the same way. Default 100
     * octets a second, TEPAL_UNLIMITED: any; the connection of a slower one is closed. */
    size_t min_write_rate;
    /* Reading and dropping what a client still sends after its last answer. Default 10 s. */
    int64_t lingering_timeout_ms;

    /* How many. */

    /* Connections at once. Default 100000. For more, the connection that has been idle for longest
     * is closed, as also when the process is out of descriptors; one that has not asked for
     * anything yet has a second for that. While there is none to be closed they wait in the
     * backlog. */
    size_t max_connections;
    /* Requests on one connection. Default unlimited. */
    size_t max_requests;
    /* What a handler has left of a body, and is read and dropped to keep the connection. Default
     * 256 KiB; when there is more the connection is closed. */
    size_t max_unread_body;
    /* What the system holds of a response that it has not sent yet because its client is slow: that
     * is memory, too. TCP only. Default 256 KiB, at least 4 KiB. */
    size_t max_unsent;

    /* A client that ends its side of the connection (a TCP FIN) and still reads is not taken for
     * one that goes away: see tepal_handler. */
    bool half_closed_clients;
    uint64_t later[8];
} tepal_limits;

/* --- What is written down --------------------------------------------------------------------- */

/* The access log: a line for each answer, also for those that the server gives without a
 * handler (a head that was refused, a 408 when its time is over), with as much of the request
 * as has come. It is written to a descriptor (default standard error), of which the server
 * keeps a duplicate unless it is 1 or 2, in the way of tepal_log(): lines go out together, some
 * milliseconds after the answer at most, and never hold up the server.
 *
 * The format is one of aiohttp's atoms: %% a percent sign, %a the client's address, %t the
 * time, %P the process, %r the request line, %s the status, %b the octets of the body that were
 * sent, %O all octets of the response, %T seconds, %Tf seconds with a fraction, %D microseconds,
 * %X how the response ended (as Apache has it: X: it was broken off, +: the connection goes on,
 * -: it ends), %{NAME}i a request field, %{NAME}o a response field, %{NAME}e an environment
 * variable. What is not there is "-". Octets that are not plain ASCII are written as \xNN,
 * quotes and backslashes with a backslash; no locale changes anything. Lines over 8 KiB are
 * cut. Default: %a %t "%r" %s %b "%{Referer}i" "%{User-Agent}i" */
typedef struct tepal_access_log {
    int fd;             /* default: standard error */
    const char *format; /* as above */
    bool off;           /* no line for any */
    uint64_t later[4];
} tepal_access_log;

/* --- Serving ---------------------------------------------------------------------------------- */

/* A command line option of the program's own, for tepal_run_args(). It sets one of the three, and
 * what is there before is the default, which --help shows. */
typedef struct tepal_argument {
    const char *name;  /* without the dashes; not that of another option, nor with a '=' */
    const char *help;  /* a line for --help */
    const char **text; /* --NAME VALUE or --NAME=VALUE; it points into argv then. May be empty */
    int64_t *number;   /* the same for a decimal integer, with an optional '-' */
    bool *flag;        /* --NAME makes it true; it has no value */
    uint64_t later[4];
} tepal_argument;

typedef struct tepal_run_options {
    /* One place to listen at, as in tepal_site; or several, n_sites of them, and then none of these
     * three. All are served alike, and the server starts only if it can listen at all of them. */
    const char *host;
    int port;
    const char *path;
    const tepal_site *sites;
    size_t n_sites;

    tepal_limits limits;
    tepal_access_log access_log;

    size_t stack_size;  /* of the tasks that run handlers; default 256 KiB, at least 32 KiB */
    const char *server; /* the Server field; default "tepal"; "": none */

    /* For all that is under way when the server ends: running requests, heads of which a part has
     * come, clients that still send or read after their answer. Default 60 s; then requests are
     * cancelled, and the other connections closed. What does not end even so, such as a request
     * that waits for a thread that is stuck, is left as it is after a tenth of that time, 1 s at
     * least and 10 s at most. */
    int64_t shutdown_timeout_ms;

    /* --- tepal_run() and tepal_run_args() only --- */

    /* More command line options. The list ends with one without a name. */
    const tepal_argument *arguments;
    bool no_signals; /* SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGPIPE are left to the program */
    uint64_t later[12];
} tepal_run_options;

/* Serves the application until SIGINT or SIGTERM, then ends gracefully: see "Start and end" in
 * app.h; the log says what is waited for. SIGHUP ends it so, too, where the program neither handles
 * nor ignores it (as under nohup) nor receives it by tepal_signals_open(). A second SIGINT or
 * SIGTERM ends the process at once, with status 1, whatever holds the loop; one that comes within
 * 150 ms of the first is taken for the same wish, sent by two, and its twin is waited for a tenth
 * of a second at the end. At SIGUSR1, unless the program has a handler for it or ignores it, all
 * tasks are reported in the log: see tepal_dump_tasks(). SIGPIPE does not end it. What the program
 * had for these signals is put back at the end, and programs that it starts inherit nothing of it;
 * see signal.h. Takes the application over and closes it. Not in a task: it runs the loop itself,
 * and tepal_serve() is for tasks. Returns what main() returns: 0, or 1 when it could not start (one
 * line of the log has the reason).
 *
 * As process 1 of a container it serves and ends as anywhere else, but children that others have
 * left behind are not waited for: which they are is the program's affair. Where programs that it
 * starts leave some, let an init be process 1 (docker run --init, tini). */
TEPAL_API int tepal_run(tepal_app *app, const tepal_run_options *options);

/* The same, with options from the command line: --host HOST, --port PORT (0: one that is free),
 * --path SOCKET (a Unix socket), --no-access-log, --help or -h, and those in options->arguments. A
 * value may follow as a word of its own, or after "=". What is not given is as in options; with one
 * of the first three there is one place, whatever sites has. Returns 2 for a bad command line, with
 * a line on standard error that says what is wrong with it; and 1, as tepal_run() does, when argv,
 * a word of it or the place for an argument's value is NULL, or an argument has a name that is
 * taken or is none. */
TEPAL_API int tepal_run_args(tepal_app *app, int argc, char **argv,
                             const tepal_run_options *options);

/* Reads the command line as tepal_run_args() does, and sets the program's own options: for a
 * program that builds its application by them. It then calls tepal_run_args() with the same.
 * Returns -1 to go on, or what main() returns: 0 for --help, 2 for a bad command line, 1 for bad
 * arguments. */
TEPAL_API int tepal_read_args(int argc, char **argv, const tepal_run_options *options);

/* Serves the application in the calling task until that is cancelled or its deadline has come, or
 * tepal_app_stop() is called; then ends gracefully, and returns. Several applications may be served
 * in one loop. Signals and stack_size are the caller's business. Suspends. Returns 0, -EINVAL for
 * an application with an error (logged) or bad options, or the error that kept it from starting. */
TEPAL_API int tepal_serve(tepal_app *app, const tepal_run_options *options);

/* Lets tepal_serve() or tepal_run() end gracefully. Does not suspend. */
TEPAL_API void tepal_app_stop(tepal_app *app);

/* The URL of the n-th site, from 0, such as "http://127.0.0.1:8080", or "unix:/run/x.sock"; with
 * one place only that is 0. NULL when there is none, and before it listens. Lives until it
 * stops. */
TEPAL_API const char *tepal_app_url(const tepal_app *app, size_t n);

#ifdef __cplusplus
}
#endif
#endif
