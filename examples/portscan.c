/* Finds the TCP ports of a host that are open, a hundred at a time.
 *
 *     build/examples/portscan 127.0.0.1             ports 1 to 1023
 *     build/examples/portscan example.org 80 443    ports 80 to 443
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <tepal.h>

struct probe {
    const char *host;
    uint16_t port;
    bool open;
};

static int probe(void *arg)
{
    struct probe *p = arg;
    tepal_conn *conn;
    tepal_deadline_in_ms(1000); /* of this task: a port that does not answer is not open */
    p->open = tepal_conn_open(&conn, p->host, p->port, NULL) == 0;
    if (p->open)
        tepal_conn_close(conn);
    return 0;
}

struct scan {
    const char *host;
    int first, last;
};

static int scan(void *arg)
{
    struct scan *s = arg;
    size_t n = (size_t)(s->last - s->first) + 1;
    tepal_job *jobs = calloc(n, sizeof(*jobs));
    struct probe *probes = calloc(n, sizeof(*probes));
    int rc = -ENOMEM;
    if (jobs && probes) {
        for (size_t i = 0; i < n; i++) {
            probes[i] = (struct probe){ .host = s->host, .port = (uint16_t)(s->first + (int)i) };
            jobs[i] = (tepal_job){ .fn = probe, .arg = &probes[i], .name = "probe" };
        }
        rc = tepal_gather(jobs, n, &(tepal_gather_options){ .max_at_once = 100 });
        for (size_t i = 0; i < n; i++)
            if (probes[i].open)
                printf("%d\n", probes[i].port);
    }
    free(jobs);
    free(probes);
    return rc;
}

int main(int argc, char **argv)
{
    struct scan s = { .host = argv[1], .first = 1, .last = 1023 };
    if (argc > 2)
        s.first = s.last = atoi(argv[2]);
    if (argc > 3)
        s.last = atoi(argv[3]);
    if (argc < 2 || argc > 4 || s.first < 1 || s.last < s.first || s.last > 65535) {
        fprintf(stderr, "usage: %s HOST [FIRST [LAST]]\n", argv[0]);
        return 2;
    }
    int rc = tepal_main(scan, &s);
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", argv[0], tepal_code_text(rc));
    return rc < 0;
}
