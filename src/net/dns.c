/* The names of a loop: which are known, which are asked for, and the tasks that wait for them. How
 * DNS is spoken is c-ares' part; see dns_channel.c.
 *
 * A name is in one of three states, and in the list of that state: it waits for its turn to be
 * asked for (only as long as a task waits for it), it is asked for (until c-ares answers, whether a
 * task waits or not), or it is known (until it is forgotten). */
#include "net/dns.h"

#include "async/task.h"
#include "base/mem.h"
#include "net/addr.h"
#include "net/dns_channel.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum {
    DEFAULT_MAX_QUERIES = 100,
    DEFAULT_MAX_NAMES = 1000,
    DEFAULT_MAX_ADDRESSES = 64,
    DEFAULT_MAX_TTL_MS = 3600 * 1000,
    DEFAULT_SHORT_TTL_MS = 5000, /* of /etc/hosts and of names that there are not */
    MAX_MAX_ADDRESSES = 4096,
    MAX_NAME = 253, /* octets, without the dot at the end; RFC 1035, section 2.3.4 */
    MAX_LABEL = 63,
    FIRST_BUCKETS = 64,
};

enum name_state { NAME_QUEUED, NAME_ASKED, NAME_KNOWN };

struct name {
    struct name *next; /* in its bucket */
    struct list node;  /* in the list of its state */
    struct list askers;
    struct dns *dns;
    enum name_state state;
    int family;
    uint32_t hash;
    int error;       /* when known: why there are no addresses, or 0 */
    int64_t expires; /* when known */
    tepal_addr *addrs;
    size_t n_addrs;
    char text[];
};

/* A task that waits for a name; it lies on its stack. */
struct asker {
    struct list node;
    struct name *name; /* while it waits */
    struct tepal_task *task;
    tepal_addr *addrs; /* room for max */
    size_t max;
    int result;
    bool answered;
};

struct dns {
    struct loop_part part;
    struct loop *loop;
    struct dns_channel *channel;
    struct name **buckets; /* of all names */
    size_t n_buckets, n_names;
    uint32_t seed;             /* of the hash: peers may choose the names */
    struct list queued, known; /* known: the least recently used first */
    size_t n_asked, n_known;
    struct name *being_asked;  /* while c-ares is called for it: an answer now is not from DNS */
    tepal_dns_options options; /* with the defaults filled in; the arrays are not kept */
    bool closing;
};

/* --- The table -------------------------------------------------------------------------------- */

static uint32_t hash_of(const struct dns *dns, const char *text, int family)
{
    uint32_t h = dns->seed ^ (uint32_t)family;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x01000193u;
    return h ^ h >> 15;
}

static struct name **bucket_of(struct dns *dns, uint32_t hash)
{
    return &dns->buckets[hash & (dns->n_buckets - 1)];
}

static struct name *find_name(struct dns *dns, const char *text, int family)
{
    uint32_t hash = hash_of(dns, text, family);
    for (struct name *name = *bucket_of(dns, hash); name; name = name->next)
        if (name->hash == hash && name->family == family && strcmp(name->text, text) == 0)
            return name;
    return NULL;
}

/* Doubles the table. Without the memory for that it goes on with longer chains. */
static void grow(struct dns *dns)
{
    size_t n_old = dns->n_buckets;
    struct name **old = dns->buckets, **new = mem_zalloc(n_old * 2 * sizeof(struct name *));
    if (!new)
        return;
    dns->buckets = new;
    dns->n_buckets = n_old * 2;
    for (size_t i = 0; i < n_old; i++) {
        for (struct name *name = old[i], *next; name; name = next) {
            next = name->next;
            name->next = *bucket_of(dns, name->hash);
            *bucket_of(dns, name->hash) = name;
        }
    }
    mem_free(old);
}

/* A new name that waits for its turn, or NULL. */
static struct name *add_name(struct dns *dns, const char *text, int family)
{
    size_t len = strlen(text);
    struct name *name = mem_zalloc(sizeof(*name) + len + 1);
    if (!name)
        return NULL;
    if (dns->n_names >= dns->n_buckets)
        grow(dns);
    memcpy(name->text, text, len + 1);
    name->dns = dns;
    name->family = family;
    name->hash = hash_of(dns, text, family);
    list_init(&name->node);
    list_init(&name->askers);
    list_append(&dns->queued, &name->node);
    name->next = *bucket_of(dns, name->hash);
    *bucket_of(dns, name->hash) = name;
    dns->n_names++;
    return name;
}

/* Frees a name that nobody waits for and c-ares does not know of. */
static void forget(struct name *name)
{
    struct dns *dns = name->dns;
    struct name **at = bucket_of(dns, name->hash);
    while (*at != name)
        at = &(*at)->next;
    *at = name->next;
    dns->n_names--;
    if (name->state == NAME_KNOWN)
        dns->n_known--;
    list_remove(&name->node);
    mem_free(name->addrs);
    mem_free(name);
}

static void forget_known(struct dns *dns, size_t max_left)
{
    while (dns->n_known > max_left)
        forget(CONTAINER_OF(dns->known.next, struct name, node));
}

/* --- Answers ---------------------------------------------------------------------------------- */

static void answer(const struct name *name, struct asker *asker)
{
    size_t n = name->n_addrs < asker->max ? name->n_addrs : asker->max;
    for (size_t i = 0; i < n; i++)
        asker->addrs[i] = name->addrs[i];
    asker->result = name->error < 0 ? name->error : (int)n;
    asker->answered = true;
}

static void answer_all(struct name *name)
{
    while (!list_is_empty(&name->askers)) {
        struct asker *asker = CONTAINER_OF(name->askers.next, struct asker, node);
        list_remove(&asker->node);
        answer(name, asker);
        task_wake(asker->task, 0);
    }
}

/* Copies the addresses of an answer. Returns 0 or an error. */
static int copy_addrs(struct name *name, const struct ares_addrinfo_node *nodes)
{
    size_t n = 0, max = name->dns->options.max_addresses;
    for (const struct ares_addrinfo_node *node = nodes; node && n < max; node = node->ai_next)
        n++;
    if (n == 0)
        return TEPAL_ENONAME;
    name->addrs = mem_alloc(n * sizeof(*name->addrs));
    if (!name->addrs)
        return -ENOMEM;
    for (const struct ares_addrinfo_node *node = nodes; name->n_addrs < n; node = node->ai_next) {
        struct addr addr = { .len = node->ai_addrlen };
        memcpy(&addr.storage, node->ai_addr, node->ai_addrlen);
        name->addrs[name->n_addrs++] = addr_to_public(&addr);
    }
    return 0;
}

/* The smallest TTL of all records, in seconds. RFC 2181, section 8: one that is negative is 0. */
static int64_t smallest_ttl(const struct ares_addrinfo *found)
{
    int ttl = INT32_MAX;
    for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
        ttl = node->ai_ttl < ttl ? node->ai_ttl : ttl;
    for (const struct ares_addrinfo_cname *cname = found->cnames; cname; cname = cname->next)
        ttl = cname->ttl < ttl ? cname->ttl : ttl;
    return ttl > 0 ? ttl : 0;
}

/* How long the answer is kept, in milliseconds. */
static int64_t lifetime_of(const struct name *name, const struct ares_addrinfo *found)
{
    const tepal_dns_options *options = &name->dns->options;
    if (options->no_cache || name->dns->closing)
        return 0;
    if (name->error == TEPAL_ENONAME)
        return options->negative_ttl_ms;
    if (name->error < 0)
        return 0;
    if (name == name->dns->being_asked)
        return options->hosts_ttl_ms;
    int64_t ms = smallest_ttl(found) * 1000;
    return ms < options->max_ttl_ms ? ms : options->max_ttl_ms;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    (void)timeouts;
    struct name *name = arg;
    struct dns *dns = name->dns;
    dns->n_asked--;
    name->error = status == ARES_SUCCESS ? copy_addrs(name, found->nodes)
                                         : dns_channel_error(dns->channel, status);
    int64_t lifetime = lifetime_of(name, found);
    if (found)
        ares_freeaddrinfo(found);
    answer_all(name);
    if (lifetime == 0) {
        forget(name);
        return;
    }
    name->state = NAME_KNOWN;
    name->expires = loop_time_after(dns->loop->now, lifetime);
    list_append(&dns->known, &name->node);
    dns->n_known++;
    forget_known(dns, dns->options.max_names);
}

/* Asks for the names that wait for their turn, as far as it is theirs. */
static void ask_queued(void *arg)
{
    struct dns *dns = arg;
    while (dns->n_asked < dns->options.max_queries && !list_is_empty(&dns->queued)) {
        struct name *name = CONTAINER_OF(dns->queued.next, struct name, node);
        list_remove(&name->node);
        name->state = NAME_ASKED;
        dns->n_asked++;
        dns->being_asked = name;
        dns_channel_ask(dns->channel, name->text, name->family, on_answer, name);
        dns->being_asked = NULL;
    }
}

/* --- The loop's part -------------------------------------------------------------------------- */

static void close_dns(struct loop_part *part)
{
    struct dns *dns = CONTAINER_OF(part, struct dns, part);
    dns->closing = true;
    if (dns->channel)
        dns_channel_close(dns->channel);
    forget_known(dns, 0);
    mem_free(dns->buckets);
    mem_free(dns);
}

static void set_options(struct dns *dns, const tepal_dns_options *options)
{
    tepal_dns_options *o = &dns->options;
    *o = *options;
    o->servers = NULL;
    o->search = NULL;
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
    struct name **buckets = mem_zalloc(FIRST_BUCKETS * sizeof(struct name *));
    if (!dns || !buckets) {
        mem_free(dns);
        mem_free(buckets);
        return -ENOMEM;
    }
    dns->part.close = close_dns;
    dns->loop = loop;
    dns->buckets = buckets;
    dns->n_buckets = FIRST_BUCKETS;
    /* Short only before the system's first entropy, and then the hash is as good as it can be. */
    (void)!getrandom(&dns->seed, sizeof(dns->seed), GRND_NONBLOCK);
    list_init(&dns->queued);
    list_init(&dns->known);
    *out = dns;
    return 0;
}

static struct dns *find_dns(const struct loop *loop)
{
    struct loop_part *part = loop_find_part(loop, close_dns);
    return part ? CONTAINER_OF(part, struct dns, part) : NULL;
}

/* Gives the loop a channel with these options. Returns 0 or an error; then all is as before. */
static int configure(struct loop *loop, const tepal_dns_options *options)
{
    struct dns *dns = find_dns(loop);
    bool new = !dns;
    int rc = new ? make_dns(&dns, loop) : 0;
    if (rc < 0)
        return rc;
    struct dns_channel *channel;
    rc = dns_channel_open(&channel, loop, options, ask_queued, dns);
    if (rc < 0) {
        if (new)
            close_dns(&dns->part);
        return rc;
    }
    if (new)
        loop_add_part(loop, &dns->part);
    else
        dns_channel_close(dns->channel);
    dns->channel = channel;
    set_options(dns, options);
    forget_known(dns, 0);
    return 0;
}

int tepal_dns_configure(const tepal_dns_options *options)
{
    static const tepal_dns_options defaults;
    struct loop *loop = loop_need("tepal_dns_configure");
    struct dns *dns = find_dns(loop);
    if (dns && dns->n_asked > 0)
        return -EBUSY;
    return configure(loop, options ? options : &defaults);
}

void tepal_dns_flush(void)
{
    struct dns *dns = find_dns(loop_need("tepal_dns_flush"));
    if (dns)
        forget_known(dns, 0);
}

/* --- Asking ----------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

/* Whether text, in lower case, is a list of labels; the last one may end with a dot. */
static bool is_name(const char *text)
{
    size_t len = 0;
    bool digits = true; /* only, in this label */
    for (; *text; text++) {
        if (*text == '.') {
            if (len == 0)
                return false;
            if (text[1] == '\0')
                break;
            len = 0;
            digits = true;
        } else {
            digits &= is_digit(*text);
            if (!is_name_char(*text) || ++len > MAX_LABEL)
                return false;
        }
    }
    /* What ends with a number is an IPv4 address that is malformed. */
    return len > 0 && !digits;
}

/* Writes the name in lower case. Returns 0 or -EINVAL. */
static int normalise(const char *host, char *out)
{
    size_t len = strlen(host);
    bool absolute = len > 0 && host[len - 1] == '.';
    if (len > MAX_NAME + (size_t)absolute)
        return -EINVAL;
    for (size_t i = 0; i <= len; i++)
        out[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] + 'a' - 'A') : host[i];
    return is_name(out) ? 0 : -EINVAL;
}

/* "localhost" or a name below it. */
static bool is_localhost(const char *text)
{
    static const char localhost[] = "localhost";
    size_t len = strlen(text), end = sizeof(localhost) - 1;
    len -= text[len - 1] == '.';
    return len >= end && memcmp(text + len - end, localhost, end) == 0 &&
           (len == end || text[len - end - 1] == '.');
}

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

/* Waits for the name. */
static int wait_for(struct dns *dns, struct name *name, struct asker *asker)
{
    list_append(&name->askers, &asker->node);
    asker->name = name;
    ask_queued(dns);
    dns_channel_watch(dns->channel);
    if (asker->answered)
        return asker->result;
    dns->loop->n_outside++;
    int rc = task_wait(dns->loop, "a name to be resolved", TEPAL_NEVER);
    dns->loop->n_outside--;
    if (asker->answered)
        return rc < 0 ? rc : asker->result;
    list_remove(&asker->node);
    if (name->state == NAME_QUEUED && list_is_empty(&name->askers))
        forget(name);
    return rc;
}

static int ask(struct dns *dns, const char *text, int family, struct asker *asker)
{
    struct name *name = find_name(dns, text, family);
    if (name && name->state == NAME_KNOWN && name->expires <= dns->loop->now) {
        forget(name);
        name = NULL;
    }
    if (!name && !(name = add_name(dns, text, family)))
        return -ENOMEM;
    if (name->state != NAME_KNOWN)
        return wait_for(dns, name, asker);
    list_remove(&name->node);
    list_append(&dns->known, &name->node);
    answer(name, asker);
    return asker->result;
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

static int resolve(tepal_addr *addrs, size_t max, const char *host, int family)
{
    struct loop *loop = loop_current;
    char text[MAX_NAME + 2];
    int rc = resolve_literal(addrs, host, family);
    if (rc != -EINVAL)
        return rc;
    rc = normalise(host, text);
    if (rc < 0)
        return rc;
    if (is_localhost(text))
        return resolve_localhost(addrs, max, family);
    if (!find_dns(loop) && (rc = tepal_dns_configure(NULL)) < 0)
        return rc;
    struct asker asker = { .task = loop->current, .addrs = addrs, .max = max };
    list_init(&asker.node);
    return ask(find_dns(loop), text, family, &asker);
}

static int check(const char *call, int family)
{
    struct tepal_task *task = task_need(call);
    int rc = task_may_wait(loop_current, task);
    if (rc == 0 && family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
        return -EINVAL;
    return rc;
}

int tepal_resolve(tepal_addr *addrs, size_t max, const char *host,
                  const tepal_resolve_options *options)
{
    int family = options ? options->family : AF_UNSPEC;
    int rc = check("tepal_resolve", family);
    if (rc < 0)
        return rc;
    return max == 0 ? -EINVAL : resolve(addrs, max, host, family);
}

int dns_resolve_all(tepal_addr **out, const char *host, uint16_t port, int family)
{
    int rc = check("tepal_connect", family);
    if (rc < 0)
        return rc;
    struct dns *dns = find_dns(loop_current);
    size_t max = dns ? dns->options.max_addresses : DEFAULT_MAX_ADDRESSES;
    tepal_addr *addrs = mem_alloc(max * sizeof(*addrs));
    if (!addrs)
        return -ENOMEM;
    rc = resolve(addrs, max, host, family);
    for (int i = 0; i < rc; i++)
        addrs[i].port = port;
    if (rc < 0) {
        mem_free(addrs);
        return rc;
    }
    *out = addrs;
    return rc;
}
