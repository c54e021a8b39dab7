/* Made with the server, and once a second after that. */
#include "web/exchange/h1_ways.h"

#include "base/mem.h"
#include "http/date.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t rate(size_t octets)
{
    return octets == TEPAL_UNLIMITED ? 0 : octets;
}

static void set_limits(struct h1_ways *ways, const tepal_limits *limits)
{
    ways->head_limits = (struct h1_limits){
        .max_line = (uint32_t)limits->max_request_line,
        .max_head = (uint32_t)limits->max_head,
        .max_fields = (uint16_t)limits->max_fields,
    };
    ways->conn_limits = (struct h1_conn_limits){
        /* A head that is over its limit must fit, to be seen to be. */
        .max_input = (uint32_t)limits->max_head + LOOP_BUFFER_SIZE,
        .read_timeout_ms = limits->body_timeout_ms,
        .write_timeout_ms = limits->write_timeout_ms,
        .min_read_rate = rate(limits->min_body_rate),
        .min_write_rate = rate(limits->min_write_rate),
        .chunks = {
            .max_line = (uint32_t)limits->max_request_line,
            .max_trailers = (uint32_t)limits->max_head,
            .max_trailer_fields = (uint16_t)limits->max_fields,
        },
    };
}

int h1_ways_new(struct h1_ways **out, struct loop *loop, const tepal_run_options *options)
{
    size_t size = sizeof("Date: \r\nServer: \r\n") + HTTP_DATE_LEN + strlen(options->server);
    struct h1_ways *ways = mem_zalloc(sizeof(*ways));
    if (!ways)
        return -ENOMEM;
    ways->loop = loop;
    ways->server_name = options->server;
    set_limits(ways, &options->limits);
    ways->common_fields = mem_alloc(size);
    if (!ways->common_fields || usual_heads_init(ways->usual_heads, size) < 0) {
        h1_ways_free(ways);
        return -ENOMEM;
    }
    *out = ways;
    return 0;
}

void h1_ways_free(struct h1_ways *ways)
{
    if (!ways)
        return;
    usual_heads_free(ways->usual_heads);
    mem_free(ways->common_fields);
    mem_free(ways);
}

void h1_ways_make_common_fields(struct h1_ways *ways)
{
    struct timespec now;
    char date[HTTP_DATE_LEN + 1];
    clock_gettime(CLOCK_REALTIME, &now);
    http_date_write(date, now.tv_sec);
    const char *name = ways->server_name, *format = "Date: %s\r\nServer: %s\r\n";
    ways->common_len = (size_t)(*name ? sprintf(ways->common_fields, format, date, name)
                                      : sprintf(ways->common_fields, "Date: %s\r\n", date));
    usual_heads_make(ways->usual_heads, ways->common_fields, ways->common_len);
    ways->common_until = ways->loop->now + 1000 - now.tv_nsec / 1000000;
}
