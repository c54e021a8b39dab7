/* The sessions that a client has had, to be resumed with the same host: a list of hosts, the least
 * recently used one last. A connect costs far more than looking through it. */
#include "base/mem.h"
#include "net/tls/tls.h"

#include <string.h>
#include <time.h>

/* Servers give more than one ticket, since with TLS 1.3 each should be used once (RFC 8446 section
 * C.4). */
enum { TICKETS = 2 };

struct kept_session {
    SSL_SESSION *session;
    int64_t until; /* it is good, in seconds since 1970 */
};

struct session_host {
    struct list node;
    struct kept_session kept[TICKETS]; /* the newest first, NULLs behind */
    char key[];
};

static struct session_host *find(struct tls_sessions *sessions, const char *key)
{
    for (struct list *node = sessions->hosts.next; node != &sessions->hosts; node = node->next) {
        struct session_host *host = CONTAINER_OF(node, struct session_host, node);
        if (strcmp(host->key, key) == 0)
            return host;
    }
    return NULL;
}

static void forget(struct tls_sessions *sessions, struct session_host *host)
{
    for (int i = 0; i < TICKETS; i++)
        SSL_SESSION_free(host->kept[i].session);
    list_remove(&host->node);
    mem_free(host);
    sessions->n_hosts--;
}

static void forget_last(struct tls_sessions *sessions)
{
    forget(sessions, CONTAINER_OF(sessions->hosts.prev, struct session_host, node));
}

static struct session_host *add(struct tls_sessions *sessions, const char *key)
{
    size_t size = strlen(key) + 1;
    struct session_host *host = mem_zalloc(sizeof(*host) + size);
    if (!host)
        return NULL;
    memcpy(host->key, key, size);
    list_init(&host->node);
    list_prepend(&sessions->hosts, &host->node);
    sessions->n_hosts++;
    if (sessions->n_hosts > sessions->max_hosts)
        forget_last(sessions);
    return host;
}

bool tls_sessions_keep(struct tls_sessions *sessions, const char *key, SSL_SESSION *session,
                       int64_t until)
{
    struct session_host *host = find(sessions, key);
    if (!host)
        host = add(sessions, key);
    if (!host)
        return false;
    SSL_SESSION_free(host->kept[TICKETS - 1].session);
    for (int i = TICKETS - 1; i > 0; i--)
        host->kept[i] = host->kept[i - 1];
    host->kept[0] = (struct kept_session){ session, until };
    list_remove(&host->node);
    list_prepend(&sessions->hosts, &host->node);
    return true;
}

/* Takes the newest session away from the host, which goes with its last one. */
static void drop_newest(struct tls_sessions *sessions, struct session_host *host)
{
    for (int i = 1; i < TICKETS; i++)
        host->kept[i - 1] = host->kept[i];
    host->kept[TICKETS - 1].session = NULL;
    if (!host->kept[0].session)
        forget(sessions, host);
}

SSL_SESSION *tls_sessions_take(struct tls_sessions *sessions, const char *key, int64_t *until)
{
    int64_t now = (int64_t)time(NULL);
    struct session_host *host;
    while ((host = find(sessions, key)) != NULL) {
        struct kept_session newest = host->kept[0];
        list_remove(&host->node);
        list_prepend(&sessions->hosts, &host->node);
        *until = newest.until;
        if (newest.until > now &&
            SSL_SESSION_get_protocol_version(newest.session) < TLS1_3_VERSION) {
            SSL_SESSION_up_ref(newest.session);
            return newest.session;
        }
        drop_newest(sessions, host);
        if (newest.until > now)
            return newest.session;
        SSL_SESSION_free(newest.session);
    }
    return NULL;
}

void tls_sessions_clear(struct tls_sessions *sessions)
{
    while (!list_is_empty(&sessions->hosts))
        forget_last(sessions);
}
