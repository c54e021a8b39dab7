/* Names of hosts to addresses: the options of a loop, and the lookups of its tasks. The names
 * themselves, and what is asked for, are in names.c. */
#include "net/dns/dns.h"

#include "async/task/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"
#include "net/addr.h"
#include "net/dns/host.h"
#include "net/dns/names.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum {
    DEFAULT_MAX_QUERIES = 100,
    DEFAULT_MAX_NAMES = 1000,
    DEFAULT_MAX_ADDRESSES = 64,
    DEFAULT_MAX_TTL_MS = 3600 * 1000,
    DEFAULT_SHORT_TTL_MS = 5000, /* of /etc/hosts and of names that there are not */
    DEFAULT_PATIENCE_MS = 2000,
    MAX_MAX_ADDRESSES = 4096,
    RESOLUTION_DELAY_MS = 50, /* RFC 8305, section 3 */
    LOOK_EVERY_MS = 1000,     /* at the system's files */
};

/* What is seen of files without reading them. */
struct seen {
    struct stat resolv_conf, nsswitch_conf;
};

struct dns {
    struct loop_part part;
    struct dns_names names;
    tepal_dns_options given; /* as they were, with arrays of our own */
    struct seen seen;        /* of the system's files, when they were read */
    int64_t look_at;         /* not before they are looked at again */
    bool complained;         /* that they cannot be read */
};

/* --- Options ---------------------------------------------------------------------------------- */

static void free_given(tepal_dns_options *given)
{
    const char **search = (const char **)(uintptr_t)given->search;
    for (size_t i = 0; search && i < given->n_search; i++)
        mem_free((void *)(uintptr_t)search[i]);
    mem_free(search);
    mem_free((void *)(uintptr_t)given->servers);
}

/* Copies options with their arrays, to be used again later. */
static int copy_given(tepal_dns_options *given, const tepal_dns_options *options)
{
    *given = *options;
    tepal_addr *servers = mem_alloc((options->n_servers + 1) * sizeof(*servers));
    const char **search = mem_zalloc((options->n_search + 1) * sizeof(*search));
    given->servers = servers;
    given->search = search;
    bool done = servers && search;
    if (done && options->n_servers > 0)
        memcpy(servers, options->servers, options->n_servers * sizeof(*servers));
    for (size_t i = 0; i < options->n_search && done; i++)
        done = (search[i] = mem_strdup(options->search[i])) != NULL;
    if (!done)
        free_given(given);
    return done ? 0 : -ENOMEM;
}

static void look_at_system(struct seen *out)
{
    *out = (struct seen){ 0 };
    (void)stat(dns_resolv_conf ? dns_resolv_conf : "/etc/resolv.conf", &out->resolv_conf);
    (void)stat(dns_nsswitch_conf ? dns_nsswitch_conf : "/etc/nsswitch.conf", &out->nsswitch_conf);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Whether all is as it was. What the options say in place of resolv.conf does not change. */
static bool is_as_seen(const struct seen *now, const struct seen *before,
                       const tepal_dns_options *given)
{
    bool reads_it = given->n_servers == 0 || (!given->no_search && given->n_search == 0);
    return is_same_file(&now->nsswitch_conf, &before->nsswitch_conf) &&
           (!reads_it || is_same_file(&now->resolv_conf, &before->resolv_conf));
}

/* --- The loop's part -------------------------------------------------------------------------- */

static void close_dns(struct loop_part *part)
{
    struct dns *dns = CONTAINER_OF(part, struct dns, part);
    dns->names.closing = true;
    if (dns->names.channel)
        dns_channel_close(dns->names.channel);
    dns_names_clear(&dns->names);
    free_given(&dns->given);
    mem_free(dns);
}

static void set_options(struct dns *dns, const tepal_dns_options *options)
{
    tepal_dns_options *o = &dns->names.options;
    *o = *options;
    o->servers = NULL;
    o->search = NULL;
    if (o->timeout_ms <= 0)
        o->timeout_ms = DEFAULT_PATIENCE_MS;
    if (o->max_queries == 0)
        o->max_queries = DEFAULT_MAX_QUERIES;
    if (o->max_names == 0)
        o->max_names = DEFAULT_MAX_NAMES;
    if (o->max_addresses == 0)
        o->max_addresses = DEFAULT_MAX_ADDRESSES;
    if (o->max_addresses > MAX_MAX_ADDRESSES)
        o->max_addresses = MAX_MAX_ADDRESSES;
    if (o->max_ttl_ms <= 0)
        o->max_ttl_ms = DEFAULT_MAX_TTL_MS;
    if (o->hosts_ttl_ms <= 0)
        o->hosts_ttl_ms = DEFAULT_SHORT_TTL_MS;
    if (o->negative_ttl_ms <= 0)
        o->negative_ttl_ms = DEFAULT_SHORT_TTL_MS;
}

/* Makes the loop's part; it has no channel yet. */
static int make_dns(struct dns **out, struct loop *loop)
{
    struct dns *dns = mem_zalloc(sizeof(*dns));
    if (!dns || dns_names_init(&dns->names, loop) < 0) {
        mem_free(dns);
        return -ENOMEM;
    }
    dns->part.close = close_dns;
    *out = dns;
    return 0;
}

static struct dns *find_dns(const struct loop *loop)
{
    struct loop_part *part = loop_find_part(loop, close_dns);
    return part ? CONTAINER_OF(part, struct dns, part) : NULL;
}

static void on_progress(void *arg)
{
    dns_names_ask_queued(arg);
}

/* Replaces the channel and forgets what is known; what is asked for is asked again. Returns 0 or an
 * error; then all is as before. */
static int replace_channel(struct dns *dns, const tepal_dns_options *options)
{
    struct dns_channel *channel;
    tepal_dns_options given;
    struct seen seen;
    look_at_system(&seen); /* before it is read: a change in between is seen the next time */
    int rc = copy_given(&given, options);
    if (rc < 0)
        return rc;
    rc = dns_channel_open(&channel, dns->names.loop, options, on_progress, &dns->names);
    if (rc < 0) {
        free_given(&given);
        return rc;
    }
    dns_names_restart(&dns->names);
    if (dns->names.channel)
        dns_channel_close(dns->names.channel);
    dns->names.channel = channel;
    set_options(dns, options);
    dns_names_forget(&dns->names, 0);
    free_given(&dns->given);
    dns->given = given;
    dns->seen = seen;
    return 0;
}

/* Gives the loop a channel with these options. Returns 0 or an error; then all is as before. */
static int configure(struct loop *loop, const tepal_dns_options *options)
{
    struct dns *dns = find_dns(loop);
    bool new = !dns;
    int rc = new ? make_dns(&dns, loop) : 0;
    if (rc < 0)
        return rc;
    rc = replace_channel(dns, options);
    if (new &&rc == 0)
        loop_add_part(loop, &dns->part);
    else if (new)
        close_dns(&dns->part);
    return rc;
}

/* A program that runs for months sees that the system has other name servers now. */
static void follow_system(struct dns *dns)
{
    const tepal_dns_options *given = &dns->given;
    int64_t now = dns->names.loop->now;
    struct seen seen;
    if (now < dns->look_at)
        return;
    dns->look_at = now + LOOK_EVERY_MS;
    look_at_system(&seen);
    if (is_as_seen(&seen, &dns->seen, given))
        return;
    tepal_dns_options again;
    int rc = copy_given(&again, given);
    if (rc == 0) {
        rc = replace_channel(dns, &again);
        free_given(&again);
    }
    if (rc < 0 && !dns->complained) /* and is tried again the next time */
        tepal_logf(TEPAL_LOG_WARNING, "the changed configuration of DNS could not be read: %s",
                   tepal_code_text(rc));
    dns->complained = rc < 0;
}

int tepal_dns_configure(const tepal_dns_options *options)
{
    static const tepal_dns_options defaults;
    struct loop *loop = loop_need("tepal_dns_configure");
    struct dns *dns = find_dns(loop);
    if (dns && dns->names.n_lookups > 0)
        return -EBUSY;
    options = options ? options : &defaults;
    if ((options->n_servers > 0 && !options->servers) ||
        (options->n_search > 0 && !options->search))
        return -EINVAL;
    int rc = room_check("tepal_dns_configure", options->later, sizeof(options->later));
    return rc < 0 ? rc : configure(loop, options);
}

void tepal_dns_flush(void)
{
    struct dns *dns = find_dns(loop_need("tepal_dns_flush"));
    if (dns)
        dns_names_forget(&dns->names, 0);
}

/* --- Names that nobody is asked for ---------------------------------------------------------- */

/* RFC 6761, section 6.3: without asking anyone. */
static int resolve_localhost(tepal_addr *addrs, size_t max, int family)
{
    static const tepal_addr loopback[] = { { .family = AF_INET6, .ip = { [15] = 1 } },
                                           { .family = AF_INET, .ip = { 127, 0, 0, 1 } } };
    size_t n = 0;
    for (int i = 0; i < 2; i++)
        if (n < max && (family == AF_UNSPEC || family == loopback[i].family))
            addrs[n++] = loopback[i];
    return (int)n;
}

/* An address as text. Returns 1, or an error: -EINVAL when it is none. */
static int resolve_literal(tepal_addr *addr, const char *host, int family)
{
    tepal_addr literal;
    int rc = tepal_addr_parse(&literal, host, 0);
    if (rc < 0)
        return rc;
    if (family != AF_UNSPEC && family != literal.family)
        return TEPAL_ENONAME;
    *addr = literal;
    return 1;
}

/* --- Lookups ---------------------------------------------------------------------------------- */

static void answer_at_once(struct dns_lookup *lookup, int result)
{
    lookup->n = result > 0 ? (size_t)result : 0;
    lookup->result = result;
    lookup->since = loop_current->now;
    lookup->done = true;
}

/* Returns 0 or an error. */
static int join(struct loop *loop, struct dns_lookup *lookup, const struct dns_asked *asked)
{
    int rc = find_dns(loop) ? 0 : tepal_dns_configure(NULL);
    if (rc < 0)
        return rc;
    struct dns *dns = find_dns(loop);
    follow_system(dns);
    lookup->patience_ms = dns->names.options.timeout_ms;
    return dns_names_join(&dns->names, asked, lookup);
}

int dns_lookup_begin(struct dns_lookup *lookup, const char *host, int family, const char *call)
{
    struct tepal_task *task = task_need(call);
    struct loop *loop = loop_current;
    if (!host || (!lookup->addrs && lookup->max > 0))
        misuse(call, host ? "addrs is NULL" : "the host is NULL");
    int rc = task_may_wait(loop, task);
    if (rc < 0)
        return rc;
    if (lookup->max == 0 || (family != AF_UNSPEC && family != AF_INET && family != AF_INET6))
        return -EINVAL;
    char text[DNS_MAX_NAME + 2];
    list_init(&lookup->node);
    lookup->task = task;
    rc = resolve_literal(lookup->addrs, host, family);
    if (rc != -EINVAL) {
        answer_at_once(lookup, rc);
        return rc < 0 ? rc : 0;
    }
    rc = dns_host_normalise(host, text);
    if (rc < 0)
        return rc;
    if (dns_host_is_local(text)) {
        answer_at_once(lookup, resolve_localhost(lookup->addrs, lookup->max, family));
        return 0;
    }
    return join(loop, lookup, &(struct dns_asked){ text, DNS_ADDRESSES, family });
}

void dns_lookup_end(struct dns_lookup *lookup)
{
    if (lookup->name)
        dns_names_leave(&find_dns(loop_current)->names, lookup);
}

/* Waits until there is news, or until the time until. Returns 0 for both, or why the task must
 * end. */
static int wait_for_news(int64_t until)
{
    struct loop *loop = loop_current;
    loop->n_outside++;
    int rc = task_wait(loop, "a name to be resolved", until);
    loop->n_outside--;
    return rc == -ETIMEDOUT ? task_check(loop, loop->current) : rc;
}

static bool has_family(const struct dns_lookup *lookup, int family)
{
    for (size_t i = 0; i < lookup->n; i++)
        if (lookup->addrs[i].family == family)
            return true;
    return false;
}

int dns_lookup_wait_first(struct dns_lookup *lookup)
{
    while (!lookup->done && !has_family(lookup, AF_INET6)) {
        int64_t until = TEPAL_NEVER;
        if (lookup->n > 0)
            until = loop_time_after(lookup->since, RESOLUTION_DELAY_MS);
        if (loop_current->now >= until)
            return 0;
        int rc = wait_for_news(until);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int64_t dns_lookup_until(const struct dns_lookup *lookup)
{
    return loop_time_after(lookup->since, lookup->patience_ms);
}

/* Waits for both families, but not for long when there is one. Returns how many addresses, or an
 * error. */
static int wait_for_all(struct dns_lookup *lookup)
{
    while (!lookup->done) {
        int64_t until = lookup->n > 0 ? dns_lookup_until(lookup) : TEPAL_NEVER;
        if (loop_current->now >= until)
            return (int)lookup->n;
        int rc = wait_for_news(until);
        if (rc < 0)
            return rc;
    }
    return lookup->result;
}

int tepal_resolve(tepal_addr *addrs, size_t max, const char *host,
                  const tepal_resolve_options *options)
{
    struct dns_lookup lookup = { .addrs = addrs, .max = max };
    int family = options ? options->family : AF_UNSPEC;
    int rc = options ? room_check("tepal_resolve", options->later, sizeof(options->later)) : 0;
    if (rc == 0)
        rc = dns_lookup_begin(&lookup, host, family, "tepal_resolve");
    if (rc < 0)
        return rc;
    rc = wait_for_all(&lookup);
    dns_lookup_end(&lookup);
    return rc;
}

int dns_lookup_records(struct dns_lookup *lookup, const char *text, enum dns_type type)
{
    struct loop *loop = loop_current;
    list_init(&lookup->node);
    lookup->task = loop->current;
    int rc = join(loop, lookup, &(struct dns_asked){ text, type, AF_UNSPEC });
    if (rc < 0)
        return rc;
    while (!lookup->done && rc == 0)
        rc = wait_for_news(TEPAL_NEVER);
    dns_lookup_end(lookup);
    rc = rc < 0 ? rc : lookup->result;
    if (rc < 0)
        dns_records_release(lookup->records);
    return rc;
}

size_t dns_max_addresses(void)
{
    struct dns *dns = find_dns(loop_need("tepal_conn_open"));
    return dns ? dns->names.options.max_addresses : DEFAULT_MAX_ADDRESSES;
}
