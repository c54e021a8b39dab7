/* The names of a loop: which are known, which are asked for, and the tasks that wait for them. How
 * DNS is spoken is c-ares' part; see channel.c.
 *
 * A name is in one of three states, and in the list of that state: it waits for its turn to be
 * asked for (only as long as a task waits for it), it is asked for (until all has been answered,
 * whether a task waits or not), or it is known (until it is forgotten).
 *
 * Who is asked, and for what, are its steps: /etc/hosts, and the name behind each search domain. In
 * a step of DNS each family is a question of its own: so a name server that is silent about one
 * does not hold the other one up. A step ends when its questions are answered, or one answer says
 * that there is no such name at all; what is answered later is of no interest. The first step that
 * finds an address is the last. */
#include "net/dns/names.h"

#include "async/task/task.h"
#include "base/mem.h"
#include "net/addr.h"
#include "net/dns/steps.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/random.h>

enum {
    FIRST_BUCKETS = 64,
    MAX_KEPT = 8 * 1024, /* octets of records, whose size is others' choice */
};

enum name_state { NAME_QUEUED, NAME_ASKED, NAME_KNOWN };

struct name {
    struct name *next; /* in its bucket */
    struct list node;  /* in the list of its state */
    struct list lookups;
    struct dns_names *names;
    enum name_state state;
    enum dns_type type;
    int family; /* of addresses */
    uint32_t hash;
    int step;             /* -1 before the first one */
    unsigned n_pending;   /* questions of this step */
    unsigned n_questions; /* of all steps, that c-ares knows of */
    bool asking;          /* c-ares is being called for it */
    bool in_hosts;        /* this step asks /etc/hosts */
    bool gives_up;        /* no other step would do better */
    bool forgotten;       /* but for the questions */
    int error;            /* why nothing was found, or 0 */
    int64_t since;        /* when the first addresses came */
    int64_t ttl_ms;
    int64_t expires; /* when known */
    tepal_addr *addrs;
    size_t n_addrs;
    struct dns_records *records; /* of the other types */
    char text[];                 /* for DNS_PTR that of the address */
};

/* What c-ares knows of a name; on its way until it is answered. */
struct question {
    struct name *name;
    int step;
};

/* --- The table -------------------------------------------------------------------------------- */

static uint32_t name_hash(const struct dns_names *names, const struct dns_asked *asked)
{
    uint32_t h = names->seed ^ (uint32_t)asked->family ^ (uint32_t)asked->type << 8;
    for (const char *text = asked->text; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x01000193u;
    return h ^ h >> 15;
}

static struct name **bucket_of(struct dns_names *names, uint32_t hash)
{
    return &names->buckets[hash & (names->n_buckets - 1)];
}

static struct name *find_name(struct dns_names *names, const struct dns_asked *asked)
{
    uint32_t hash = name_hash(names, asked);
    for (struct name *name = *bucket_of(names, hash); name; name = name->next)
        if (name->hash == hash && name->type == asked->type && name->family == asked->family &&
            strcmp(name->text, asked->text) == 0)
            return name;
    return NULL;
}

/* Doubles the table. Without the memory for that it goes on with longer chains. */
static void grow_buckets(struct dns_names *names)
{
    size_t n_old = names->n_buckets;
    struct name **old = names->buckets, **new = mem_zalloc(n_old * 2 * sizeof(struct name *));
    if (!new)
        return;
    names->buckets = new;
    names->n_buckets = n_old * 2;
    for (size_t i = 0; i < n_old; i++) {
        for (struct name *name = old[i], *next; name; name = next) {
            next = name->next;
            name->next = *bucket_of(names, name->hash);
            *bucket_of(names, name->hash) = name;
        }
    }
    mem_free(old);
}

/* Lets the name wait for its turn, with nothing known of it. */
static void queue_name(struct name *name)
{
    name->state = NAME_QUEUED;
    name->step = -1;
    name->n_pending = 0;
    name->n_addrs = 0;
    name->gives_up = false;
    name->error = TEPAL_ENONAME;
    name->ttl_ms = INT64_MAX;
    list_append(&name->names->queued, &name->node);
}

/* A new name that waits for its turn, or NULL. */
static struct name *new_name(struct dns_names *names, const struct dns_asked *asked)
{
    size_t len = strlen(asked->text);
    struct name *name = mem_zalloc(sizeof(*name) + len + 1);
    if (!name)
        return NULL;
    if (names->n_names >= names->n_buckets)
        grow_buckets(names);
    memcpy(name->text, asked->text, len + 1);
    name->names = names;
    name->type = asked->type;
    name->family = asked->family;
    name->hash = name_hash(names, asked);
    list_init(&name->node);
    list_init(&name->lookups);
    queue_name(name);
    name->next = *bucket_of(names, name->hash);
    *bucket_of(names, name->hash) = name;
    names->n_names++;
    return name;
}

static void free_name(struct name *name)
{
    mem_free(name->addrs);
    dns_records_release(name->records);
    mem_free(name);
}

/* Takes a name that nobody waits for out of the table. It is freed when c-ares knows nothing of it
 * any more. */
static void forget_name(struct name *name)
{
    struct dns_names *names = name->names;
    struct name **at = bucket_of(names, name->hash);
    while (*at != name)
        at = &(*at)->next;
    *at = name->next;
    names->n_names--;
    if (name->state == NAME_KNOWN)
        names->n_known--;
    list_remove(&name->node);
    name->forgotten = true;
    if (name->n_questions == 0)
        free_name(name);
}

void dns_names_forget(struct dns_names *names, size_t max_left)
{
    while (names->n_known > max_left)
        forget_name(CONTAINER_OF(names->known.next, struct name, node));
}

/* --- Lookups ---------------------------------------------------------------------------------- */

/* Tells a lookup what is known by now. */
static void tell_lookup(const struct name *name, struct dns_lookup *lookup)
{
    lookup->n = name->n_addrs < lookup->max ? name->n_addrs : lookup->max;
    if (lookup->n > 0)
        memcpy(lookup->addrs, name->addrs, lookup->n * sizeof(*lookup->addrs));
    if (name->records && !lookup->records)
        lookup->records = dns_records_hold(name->records);
    lookup->since = name->since;
    lookup->done = name->n_pending == 0;
    lookup->result = name->error < 0 ? name->error : (int)lookup->n;
}

static void tell_all(struct name *name)
{
    for (struct list *node = name->lookups.next; node != &name->lookups; node = node->next) {
        struct dns_lookup *lookup = CONTAINER_OF(node, struct dns_lookup, node);
        tell_lookup(name, lookup);
        task_wake(lookup->task, 0);
    }
}

static void let_all_go(struct name *name)
{
    while (!list_is_empty(&name->lookups)) {
        struct dns_lookup *lookup = CONTAINER_OF(name->lookups.next, struct dns_lookup, node);
        list_remove(&lookup->node);
        lookup->name = NULL;
        name->names->n_lookups--;
    }
}

/* --- Steps ------------------------------------------------------------------------------------ */

static bool has_found(const struct name *name)
{
    return name->n_addrs > 0 || name->records;
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *found);
static void on_message(void *arg, int status, int timeouts, unsigned char *data, int len);
static void on_host(void *arg, int status, int timeouts, struct hostent *host);

static void ask_question(struct name *name, const char *text, int family)
{
    struct question *question = mem_alloc(sizeof(*question));
    if (!question) {
        name->n_pending--;
        name->error = -ENOMEM;
        name->gives_up = true;
        return;
    }
    *question = (struct question){ name, name->step };
    name->n_questions++;
    struct dns_channel *channel = name->names->channel;
    if (name->type == DNS_ADDRESSES)
        dns_channel_ask(channel, &(struct dns_question){ text, family, name->in_hosts, on_addresses,
                                                         question });
    else if (name->in_hosts)
        dns_channel_ask_host(channel, text, on_host, question);
    else
        dns_channel_ask_type(channel, text, name->type, on_message, question);
}

/* Asks what the next step demands. False when there is none. */
static bool ask_next(struct name *name)
{
    char text[DNS_STEP_SIZE];
    enum dns_source source =
        dns_step(&name->names->channel->search, name->text, name->type, ++name->step, text);
    name->in_hosts = source == DNS_HOSTS;
    name->asking = true;
    if (source == DNS_SERVERS && name->type == DNS_ADDRESSES && name->family == AF_UNSPEC) {
        name->n_pending = 2;
        ask_question(name, text, AF_INET);
        if (name->n_pending > 0) /* nothing has failed for both already */
            ask_question(name, text, AF_INET6);
    } else if (source == DNS_SERVERS || source == DNS_HOSTS) {
        name->n_pending = 1;
        ask_question(name, text, name->family);
    }
    name->asking = false;
    return source != DNS_NOBODY;
}

/* How long the answer is kept, in milliseconds. */
static int64_t lifetime_of(const struct name *name)
{
    const tepal_dns_options *options = &name->names->options;
    if (options->no_cache || name->names->closing)
        return 0;
    if (name->records && name->records->size > MAX_KEPT)
        return 0;
    if (name->error == TEPAL_ENONAME)
        return options->negative_ttl_ms;
    if (name->error < 0)
        return 0;
    if (name->in_hosts)
        return options->hosts_ttl_ms;
    return name->ttl_ms < options->max_ttl_ms ? name->ttl_ms : options->max_ttl_ms;
}

static void finish_name(struct name *name)
{
    struct dns_names *names = name->names;
    names->n_asked--;
    if (has_found(name))
        name->error = 0;
    if (name->n_addrs == 0)
        name->since = names->loop->now;
    int64_t lifetime = lifetime_of(name);
    tell_all(name);
    let_all_go(name);
    if (lifetime == 0) {
        forget_name(name);
        return;
    }
    list_remove(&name->node);
    name->state = NAME_KNOWN;
    name->expires = loop_time_after(name->since, lifetime);
    list_append(&names->known, &name->node);
    names->n_known++;
    dns_names_forget(names, names->options.max_names);
}

/* Goes on to the next step, or to the end, when nothing is pending. */
static void go_on(struct name *name)
{
    while (name->n_pending == 0) {
        if (has_found(name) || name->gives_up || !ask_next(name)) {
            finish_name(name);
            return;
        }
    }
    if (name->n_addrs > 0)
        tell_all(name);
}

/* --- Answers ---------------------------------------------------------------------------------- */

/* Adds the addresses of an answer. Returns 0 or an error. */
static int add_addrs(struct name *name, const struct ares_addrinfo_node *nodes)
{
    size_t n = 0, max = name->names->options.max_addresses;
    for (const struct ares_addrinfo_node *node = nodes; node && n < max; node = node->ai_next)
        n++;
    if (n == 0)
        return TEPAL_ENONAME;
    tepal_addr *addrs = mem_resize(name->addrs, (name->n_addrs + n) * sizeof(*addrs));
    if (!addrs)
        return -ENOMEM;
    name->addrs = addrs;
    if (name->n_addrs == 0)
        name->since = name->names->loop->now;
    for (const struct ares_addrinfo_node *node = nodes; n > 0; node = node->ai_next, n--) {
        struct addr addr = { .len = node->ai_addrlen };
        memcpy(&addr.storage, node->ai_addr, node->ai_addrlen);
        addrs[name->n_addrs++] = addr_to_public(&addr);
    }
    dns_order(addrs, name->n_addrs);
    return 0;
}

/* The smallest TTL of all records, in milliseconds. RFC 2181, section 8: one with the highest bit
 * set is 0; old versions of c-ares make a negative number of it, new ones the largest. */
static int64_t smallest_ttl(const struct ares_addrinfo *found)
{
    int ttl = INT32_MAX;
    for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
        ttl = node->ai_ttl < ttl ? node->ai_ttl : ttl;
    for (const struct ares_addrinfo_cname *cname = found->cnames; cname; cname = cname->next)
        ttl = cname->ttl < ttl ? cname->ttl : ttl;
    return ttl > 0 && ttl < INT32_MAX ? (int64_t)ttl * 1000 : 0;
}

/* Whether the failure of this step came at once: the servers have answered, though not with what
 * was asked for, or there are none (older versions of c-ares say the latter for both). Then another
 * search domain may do better; where they are silent each further one would only take as long
 * again. */
static bool was_quick(int status)
{
    return status == ARES_ESERVFAIL || status == ARES_ENOTIMP || status == ARES_EREFUSED ||
           status == ARES_ECONNREFUSED;
}

static void note_ttl(struct name *name, int64_t ttl_ms)
{
    if (ttl_ms < name->ttl_ms)
        name->ttl_ms = ttl_ms;
}

/* Notes how a question has ended: by this status, and then this error. */
static void note_answer(struct name *name, int status, int error)
{
    name->n_pending--;
    /* There is no such name, and so none of the other family either. */
    if (status == ARES_ENOTFOUND && !has_found(name))
        name->n_pending = 0;
    if (error == 0 || error == TEPAL_ENONAME)
        return;
    name->error = error;
    name->gives_up |= error != TEPAL_EDNS || !was_quick(status);
}

/* The error for a status. */
static int error_of(const struct name *name, int status)
{
    if (name->in_hosts && status == ARES_ECONNREFUSED)
        status = ARES_ENOTFOUND; /* c-ares' way to say that it had nobody else to ask */
    return status == ARES_SUCCESS ? 0 : dns_channel_error(name->names->channel, status);
}

/* The question is answered. Returns whether the answer is of interest; then end_answer() must
 * follow, and before it note_answer(). */
static bool begin_answer(struct question *question)
{
    struct name *name = question->name;
    bool counts = !name->forgotten && name->state == NAME_ASKED && question->step == name->step &&
                  name->n_pending > 0;
    mem_free(question);
    name->n_questions--;
    if (!counts && name->forgotten && name->n_questions == 0)
        free_name(name);
    return counts;
}

static void end_answer(struct name *name)
{
    if (!name->asking)
        go_on(name);
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    (void)timeouts;
    struct name *name = ((struct question *)arg)->name;
    if (begin_answer(arg)) {
        int error = error_of(name, status);
        if (error == 0)
            error = add_addrs(name, found->nodes);
        if (error == 0)
            note_ttl(name, smallest_ttl(found));
        note_answer(name, status, error);
        end_answer(name);
    }
    if (found)
        ares_freeaddrinfo(found);
}

static void on_message(void *arg, int status, int timeouts, unsigned char *data, int len)
{
    (void)timeouts;
    struct name *name = ((struct question *)arg)->name;
    if (!begin_answer(arg))
        return;
    int error = error_of(name, status);
    if (error == 0)
        error = dns_message_read(&name->records, data, (size_t)len, name->type,
                                 name->names->options.max_addresses);
    if (error == 0)
        note_ttl(name, (int64_t)name->records->ttl * 1000);
    note_answer(name, status, error);
    end_answer(name);
}

static void on_host(void *arg, int status, int timeouts, struct hostent *host)
{
    (void)timeouts;
    struct name *name = ((struct question *)arg)->name;
    if (!begin_answer(arg))
        return;
    int error = error_of(name, status);
    if (error == 0 && !(name->records = dns_records_of_name(host->h_name)))
        error = -ENOMEM;
    note_answer(name, status, error);
    end_answer(name);
}

/* --- What dns.c calls ------------------------------------------------------------------------- */

int dns_names_init(struct dns_names *names, struct loop *loop)
{
    names->buckets = mem_zalloc(FIRST_BUCKETS * sizeof(struct name *));
    if (!names->buckets)
        return -ENOMEM;
    names->loop = loop;
    names->n_buckets = FIRST_BUCKETS;
    /* Short only before the system's first entropy, and then the hash is as good as it can be. */
    (void)!getrandom(&names->seed, sizeof(names->seed), GRND_NONBLOCK);
    list_init(&names->queued);
    list_init(&names->asked);
    list_init(&names->known);
    return 0;
}

void dns_names_clear(struct dns_names *names)
{
    dns_names_forget(names, 0);
    mem_free(names->buckets);
}

void dns_names_ask_queued(struct dns_names *names)
{
    while (names->n_asked < names->options.max_queries && !list_is_empty(&names->queued)) {
        struct name *name = CONTAINER_OF(names->queued.next, struct name, node);
        list_remove(&name->node);
        list_append(&names->asked, &name->node);
        name->state = NAME_ASKED;
        names->n_asked++;
        go_on(name);
    }
}

void dns_names_restart(struct dns_names *names)
{
    while (!list_is_empty(&names->asked)) {
        struct name *name = CONTAINER_OF(names->asked.next, struct name, node);
        list_remove(&name->node);
        names->n_asked--;
        queue_name(name);
        if (list_is_empty(&name->lookups))
            forget_name(name);
    }
}

int dns_names_join(struct dns_names *names, const struct dns_asked *asked,
                   struct dns_lookup *lookup)
{
    struct name *name = find_name(names, asked);
    if (name && name->state == NAME_KNOWN && name->expires <= names->loop->now) {
        forget_name(name);
        name = NULL;
    }
    if (!name && !(name = new_name(names, asked)))
        return -ENOMEM;
    if (name->state == NAME_KNOWN) {
        list_remove(&name->node);
        list_append(&names->known, &name->node);
        tell_lookup(name, lookup);
        return 0;
    }
    list_append(&name->lookups, &lookup->node);
    lookup->name = name;
    names->n_lookups++;
    if (name->n_addrs > 0)
        tell_lookup(name, lookup);
    dns_names_ask_queued(names);
    dns_channel_watch(names->channel);
    return 0;
}

void dns_names_leave(struct dns_names *names, struct dns_lookup *lookup)
{
    struct name *name = lookup->name;
    if (!name)
        return;
    list_remove(&lookup->node);
    lookup->name = NULL;
    names->n_lookups--;
    if (name->state == NAME_QUEUED && list_is_empty(&name->lookups))
        forget_name(name);
}
