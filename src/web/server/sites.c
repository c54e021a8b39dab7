/* Listening: the sockets of a server, and what they are called. What comes in is server.c's. */
#include "web/server/sites.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/listener/listener.h"
#include "net/listener/place.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { DEFAULT_PORT = 8080 };

/* The sockets of connections have from their listener what is set there: it costs no call for each.
 * All are a help only, and none for a Unix socket. Who has vanished without a word is found within
 * two minutes. */
static void set_socket_options(const struct tepal_listener *listener, size_t max_unsent)
{
    enum { IDLE_S = 60, INTERVAL_S = 15, COUNT = 4 };
    const struct {
        int option, value;
    } options[] = {
        { TCP_KEEPIDLE, IDLE_S },
        { TCP_KEEPINTVL, INTERVAL_S },
        { TCP_KEEPCNT, COUNT },
        { TCP_NOTSENT_LOWAT, max_unsent > INT_MAX ? INT_MAX : (int)max_unsent },
    };
    for (int i = 0; i < listener->n_sockets; i++)
        for (size_t j = 0; j < sizeof(options) / sizeof(options[0]); j++)
            (void)setsockopt(listener->sockets[i].io.fd, IPPROTO_TCP, options[j].option,
                             &options[j].value, sizeof(options[j].value));
}

/* --- What they are called --------------------------------------------------------------------- */

static void write_unix_url(char *out, size_t size, const struct addr *addr)
{
    size_t len = addr->len - offsetof(struct sockaddr_un, sun_path);
    const char *path = addr->un.sun_path;
    bool is_abstract = len > 0 && path[0] == '\0';
    if (is_abstract)
        snprintf(out, size, "unix:@%.*s", (int)len - 1, path + 1);
    else
        snprintf(out, size, "unix:%.*s", (int)len, path);
}

static bool is_wildcard(const struct addr *addr)
{
    return addr->sa.sa_family == AF_INET ? addr->in.sin_addr.s_addr == htonl(INADDR_ANY)
                                         : IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
}

/* Of a socket that was given. */
static void write_url_of_socket(char *out, size_t size, const struct tepal_listener *listener)
{
    struct addr addr = { .len = sizeof(addr.storage) };
    char host[INET6_ADDRSTRLEN] = "";
    (void)getsockname(listener->sockets[0].io.fd, &addr.sa, &addr.len); /* which cannot fail */
    if (addr.sa.sa_family == AF_UNIX) {
        write_unix_url(out, size, &addr);
        return;
    }
    struct addr_peer peer = addr_to_peer(&addr);
    addr_peer_write(&peer, host);
    if (is_wildcard(&addr))
        snprintf(host, sizeof(host), "localhost");
    snprintf(out, size, strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u", host, peer.port);
}

static char *make_url(const tepal_site *site, const struct tepal_listener *listener)
{
    char text[300];
    const char *host = site->host ? site->host : "localhost";
    if (site->fd)
        write_url_of_socket(text, sizeof(text), listener);
    else if (site->path)
        snprintf(text, sizeof(text), "unix:%s", site->path);
    else
        snprintf(text, sizeof(text), strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u", host,
                 tepal_listener_port(listener));
    return mem_strdup(text);
}

/* That all addresses are served must be seen by whom it would surprise. */
static void tell_place(const tepal_site *site, const struct server_site *opened)
{
    if (site->host || site->path || site->fd)
        tepal_logf(TEPAL_LOG_INFO, "serving on %s", opened->url);
    else
        tepal_logf(TEPAL_LOG_INFO, "serving on all addresses, port %u: %s/",
                   tepal_listener_port(opened->listener), opened->url);
}

/* --- Opening and closing ---------------------------------------------------------------------- */

static int open_site(struct server *server, struct server_site *out, const tepal_site *site)
{
    const tepal_listener_options where = {
        .host = site->host,
        .port = site->port ? site->port : DEFAULT_PORT,
        .path = site->path,
        .fd = site->fd,
        .backlog = site->backlog,
        .reuse_port = site->reuse_port,
    };
    int rc = tepal_listener_open(&out->listener, &where);
    if (rc < 0) {
        place_complain(&where, rc);
        return rc;
    }
    set_socket_options(out->listener, server->options.limits.max_unsent);
    out->url = make_url(site, out->listener);
    if (out->url)
        return 0;
    tepal_logf(TEPAL_LOG_ERROR, "cannot start: %s", tepal_code_text(-ENOMEM));
    return -ENOMEM;
}

int sites_open(struct server *server)
{
    const tepal_run_options *options = &server->options;
    const tepal_site one = { .host = options->host, .port = options->port, .path = options->path };
    const tepal_site *sites = options->sites ? options->sites : &one;
    size_t n = options->sites ? options->n_sites : 1;
    int rc = 0;
    server->sites = mem_zalloc(n * sizeof(*server->sites));
    if (!server->sites) {
        tepal_logf(TEPAL_LOG_ERROR, "cannot start: %s", tepal_code_text(-ENOMEM));
        return -ENOMEM;
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        server->n_sites++;
        rc = open_site(server, &server->sites[i], &sites[i]);
    }
    if (rc < 0) {
        sites_free(server);
        return rc;
    }
    for (size_t i = 0; i < n; i++) {
        server_on_listener(server, server->sites[i].listener);
        tell_place(&sites[i], &server->sites[i]);
    }
    return 0;
}

void sites_pause(struct server *server)
{
    for (size_t i = 0; i < server->n_sites; i++)
        if (server->sites[i].listener)
            listener_pause(server->sites[i].listener);
}

void sites_resume(struct server *server)
{
    for (size_t i = 0; i < server->n_sites; i++)
        if (server->sites[i].listener)
            listener_resume(server->sites[i].listener);
}

void sites_close(struct server *server)
{
    for (size_t i = 0; i < server->n_sites; i++)
        if (server->sites[i].listener) {
            listener_accept_all(server->sites[i].listener);
            tepal_listener_close(server->sites[i].listener);
            server->sites[i].listener = NULL;
        }
}

void sites_free(struct server *server)
{
    for (size_t i = 0; i < server->n_sites; i++) {
        tepal_listener_close(server->sites[i].listener);
        mem_free(server->sites[i].url);
    }
    mem_free(server->sites);
    server->sites = NULL;
    server->n_sites = 0;
}
