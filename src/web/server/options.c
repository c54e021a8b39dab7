/* The options of a server: their defaults, and whether they fit each other, the loop's stacks and
 * the routes. */
#include "async/loop/loop.h"
#include "http/field.h"
#include "web/server/access_log.h"
#include "web/app/application.h"
#include "web/json/scan.h"
#include "web/server/server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void size_default(size_t *size, size_t value)
{
    if (*size == 0)
        *size = value;
}

static void time_default(int64_t *ms, int64_t value)
{
    if (*ms == 0)
        *ms = value;
}

/* A body, what is made of it, and its answer. */
size_t server_request_memory(size_t max_body)
{
    size_t least = 16 * 1024 * 1024, times = 4;
    if (max_body > SIZE_MAX / times)
        return TEPAL_UNLIMITED;
    return max_body * times > least ? max_body * times : least;
}

static size_t at_most(size_t size, size_t most)
{
    return size < most ? size : most;
}

enum {
    MAX_HEAD = 16 * 1024 * 1024,
    MAX_FIELDS = 255,
    MIN_REQUEST_MEMORY = 64 * 1024,
    MIN_MEMORY = 1024 * 1024,
    MIN_UNSENT = 4096,
    DEFAULT_JSON_DEPTH = 128,
    /* Octets of a task's stack that are not for nested JSON, but for what all requests need; and
     * for each level of it. */
    PLAIN_STACK = 12 * 1024,
    LEVEL_STACK = 128,
};

/* Limits of the head, of which each has a default that suits the other. */
static void fill_in_head(tepal_limits *out)
{
    const size_t line = 8192, head = 32 * 1024, fields = head - line;
    if (out->max_head == 0 && out->max_request_line > line && out->max_request_line <= MAX_HEAD)
        out->max_head = at_most(out->max_request_line + fields, MAX_HEAD);
    size_default(&out->max_head, head);
    size_default(&out->max_request_line, at_most(line, out->max_head));
    if (out->max_request_line == TEPAL_UNLIMITED)
        out->max_request_line = out->max_head;
}

/* How deep JSON may be nested on the stacks of the loop. */
static size_t json_depth_that_fits(void)
{
    size_t stack = loop_current->stacks.size;
    return stack > PLAIN_STACK ? (stack - PLAIN_STACK) / LEVEL_STACK : 0;
}

static void fill_in_limits(tepal_limits *out)
{
    fill_in_head(out);
    size_default(&out->max_fields, 128);
    size_default(&out->max_body, out->max_request_memory
                                     ? at_most(1024 * 1024, out->max_request_memory)
                                     : 1024 * 1024);
    size_default(&out->max_json_depth, at_most(DEFAULT_JSON_DEPTH, json_depth_that_fits()));
    size_default(&out->max_request_memory, server_request_memory(out->max_body));
    size_default(&out->max_connections, 100000);
    size_default(&out->max_requests, TEPAL_UNLIMITED);
    size_default(&out->max_unread_body, 256 * 1024);
    size_default(&out->max_unsent, 256 * 1024);
    size_default(&out->min_body_rate, 100);
    size_default(&out->min_write_rate, 100);
    time_default(&out->head_timeout_ms, 10 * 1000);
    time_default(&out->keepalive_timeout_ms, 75 * 1000);
    time_default(&out->body_timeout_ms, 30 * 1000);
    time_default(&out->write_timeout_ms, 60 * 1000);
    time_default(&out->lingering_timeout_ms, 10 * 1000);
}

static void fill_in(tepal_run_options *out)
{
    fill_in_limits(&out->limits);
    time_default(&out->shutdown_timeout_ms, 60 * 1000);
    if (!out->server)
        out->server = "tepal";
    if (out->access_log.fd == 0)
        out->access_log.fd = STDERR_FILENO;
    if (!out->access_log.format)
        out->access_log.format = ACCESS_LOG_DEFAULT;
}

/* --- Checking --------------------------------------------------------------------------------- */

/* Says why the options are refused. */
static int __attribute__((format(printf, 2, 3))) refuse(char *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, SERVER_WHY_SIZE, format, args);
    va_end(args);
    return -EINVAL;
}

static const char *size_text(char text[32], size_t size)
{
    if (size == TEPAL_UNLIMITED)
        return "TEPAL_UNLIMITED";
    snprintf(text, 32, "%zu", size);
    return text;
}

/* Sizes that have a highest or a least value of their own. */
static int check_sizes(const tepal_limits *limits, char *why)
{
    const struct {
        const char *name;
        size_t value, least, most;
    } rows[] = {
        { "max_fields", limits->max_fields, 0, MAX_FIELDS },
        { "max_json_depth", limits->max_json_depth, 0, JSON_SCAN_MAX_DEPTH },
        { "max_head", limits->max_head, 0, MAX_HEAD },
        { "max_request_memory", limits->max_request_memory, MIN_REQUEST_MEMORY, SIZE_MAX },
        { "max_memory", limits->max_memory ? limits->max_memory : SIZE_MAX, MIN_MEMORY, SIZE_MAX },
        { "max_unsent", limits->max_unsent, MIN_UNSENT, SIZE_MAX },
    };
    char text[32];
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        bool over = rows[i].value > rows[i].most;
        if (over || rows[i].value < rows[i].least)
            return refuse(why, "%s is %s %zu: %s", rows[i].name, over ? "over" : "under",
                          over ? rows[i].most : rows[i].least, size_text(text, rows[i].value));
    }
    return 0;
}

/* Sizes of which one must fit another. */
static int check_pairs(const tepal_limits *limits, char *why)
{
    size_t line = limits->max_request_line, head = limits->max_head;
    size_t body = limits->max_body, memory = limits->max_request_memory;
    size_t depth = limits->max_json_depth;
    if (line > head)
        return refuse(why, "max_request_line is over max_head: %zu, and %zu", line, head);
    if (body != TEPAL_UNLIMITED && body > memory)
        return refuse(why, "max_body is over max_request_memory: %zu, and %zu", body, memory);
    if (depth > json_depth_that_fits())
        return refuse(why, "max_json_depth is %zu, which needs a stack_size of %zu: it is %zu",
                      depth, PLAIN_STACK + depth * LEVEL_STACK, loop_current->stacks.size);
    return 0;
}

static int check_times(const tepal_run_options *options, char *why)
{
    const struct {
        const char *name;
        int64_t value;
    } rows[] = {
        { "head_timeout_ms", options->limits.head_timeout_ms },
        { "keepalive_timeout_ms", options->limits.keepalive_timeout_ms },
        { "body_timeout_ms", options->limits.body_timeout_ms },
        { "write_timeout_ms", options->limits.write_timeout_ms },
        { "lingering_timeout_ms", options->limits.lingering_timeout_ms },
        { "shutdown_timeout_ms", options->shutdown_timeout_ms },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (rows[i].value < 0)
            return refuse(why, "%s is negative: %lld", rows[i].name, (long long)rows[i].value);
    return 0;
}

static bool is_port(int port)
{
    return port == 0 || port == TEPAL_ANY_PORT || (port > 0 && port <= 65535);
}

/* Where to listen, as far as that can be told without trying. */
static int check_sites(const tepal_run_options *options, char *why)
{
    if (!is_port(options->port))
        return refuse(why, "port is not between 1 and 65535: %d", options->port);
    if (!options->sites != !options->n_sites)
        return refuse(why, "sites %s, and n_sites is %zu", options->sites ? "are there" : "is NULL",
                      options->n_sites);
    if (options->sites && (options->host || options->port || options->path))
        return refuse(why, "sites, and host, port or path: which of them is meant?");
    for (size_t i = 0; i < options->n_sites; i++)
        if (!is_port(options->sites[i].port))
            return refuse(why, "site %zu: port is not between 1 and 65535: %d", i,
                          options->sites[i].port);
    return 0;
}

/* A body that a route wants must fit into the memory that was given: by default there is more. */
static int check_routes(const tepal_app *app, size_t memory, char *why)
{
    for (const struct route *route = app->router.routes; route; route = route->next_in_app)
        if (route->max_body != TEPAL_UNLIMITED && route->max_body > memory)
            return refuse(why, "route %s %s: max_body is over max_request_memory: %zu, and %zu",
                          route->method, route->pattern.source, route->max_body, memory);
    return 0;
}

int server_options(const tepal_app *app, tepal_run_options *out, const tepal_run_options *in,
                   char why[SERVER_WHY_SIZE])
{
    *out = in ? *in : (tepal_run_options){ 0 };
    bool own_memory = out->limits.max_request_memory != 0;
    fill_in(out);
    if (!http_is_field_value(out->server, strlen(out->server)))
        return refuse(why, "server has control characters");
    int rc = check_sites(out, why);
    if (rc == 0)
        rc = check_sizes(&out->limits, why);
    if (rc == 0)
        rc = check_pairs(&out->limits, why);
    if (rc == 0)
        rc = check_times(out, why);
    if (rc == 0 && own_memory)
        rc = check_routes(app, out->limits.max_request_memory, why);
    return rc;
}
