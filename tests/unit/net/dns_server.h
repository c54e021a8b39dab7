/* A name server of the tests' own: a thread that answers from a table, over UDP and TCP on one port
 * of 127.0.0.1. */
#ifndef TEPAL_TESTS_UNIT_NET_DNS_SERVER_H
#define TEPAL_TESTS_UNIT_NET_DNS_SERVER_H

#include "sockets.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>

enum record_trick {
    TRICK_NONE,
    TRICK_SILENT,      /* never answers */
    TRICK_SILENT_ONCE, /* does not answer its first two queries, A and AAAA */
    TRICK_LATE,        /* answers when the test says so: server.released */
    TRICK_SILENT4,     /* never answers for A */
    TRICK_SILENT6,     /* never answers for AAAA */
    TRICK_LATE6,       /* answers for AAAA when the test says so, without holding others up */
    TRICK_TRUNCATED,   /* over UDP: "ask by TCP" */
    TRICK_GARBAGE,     /* octets that are no message, and then nothing */
    TRICK_CUT,         /* the answer without its last octets */
    TRICK_LOOP,        /* a compressed name that points to itself */
    TRICK_FLOOD,       /* hides the answer behind 150 datagrams that are none */
    TRICK_FORGED, /* answers with a wrong id, with another question and with nothing at all, all
                          of them with a wrong address, before the right one */
};

/* A name that begins with '*' stands for all that end so. */
struct record {
    const char *name;
    const char *addrs[8];
    uint32_t ttl, ttl6; /* seconds; ttl6 of IPv6 addresses, if not 0 */
    const char *cname;  /* the name that has the addresses, if not this one */
    uint32_t cname_ttl;
    int rcode;
    enum record_trick trick;
    const char *pointers[4]; /* names, PTR */
    struct {
        uint16_t priority, weight, port;
        const char *host;
    } services[8];        /* SRV; host "": the root */
    const char *texts[8]; /* TXT; '|' stands between strings, '~' for a NUL */
};

struct dns_server {
    const struct record *records; /* up to one without a name; other names do not exist */
    tepal_addr addr;
    int udp, tcp, stop[2];
    pthread_t thread;
    atomic_int n_queries; /* for A records: one for each name, when both families are asked for */
    atomic_int n_queries6, n_silent; /* n_queries6: for all others */
    atomic_int n_tcp, n_open;        /* connections */
    atomic_bool released, holds;     /* holds: an answer that is late */
    struct packet {
        uint8_t data[16 * 1024];
        size_t len;
    } held;
    struct addr held_to;
};

static inline void put(struct packet *p, const void *data, size_t len)
{
    memcpy(p->data + p->len, data, len);
    p->len += len;
}

static inline void put16(struct packet *p, unsigned value)
{
    put(p, (uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
}

static inline void put_name(struct packet *p, const char *name)
{
    while (*name) {
        size_t len = strcspn(name, ".");
        put(p, &(uint8_t){ (uint8_t)len }, 1);
        put(p, name, len);
        name += len + (name[len] == '.');
    }
    put(p, "", 1);
}

static inline void put_record(struct packet *p, const char *name, unsigned type, uint32_t ttl)
{
    put_name(p, name);
    put16(p, type);
    put16(p, 1);
    put16(p, ttl >> 16);
    put16(p, ttl & 0xffff);
    p->data[7]++;
}

static inline void put_texts(struct packet *p, const struct record *r, const char *name)
{
    for (int i = 0; i < 8 && r->texts[i]; i++) {
        put_record(p, name, 16, r->ttl);
        put16(p, (unsigned)strlen(r->texts[i]) + 1);
        for (const char *text = r->texts[i];; text++) {
            size_t len = strcspn(text, "|");
            put(p, &(uint8_t){ (uint8_t)len }, 1);
            for (; len > 0; len--, text++)
                put(p, *text == '~' ? "" : text, 1);
            if (!*text)
                break;
        }
    }
}

/* A name in a record; its length goes before it, and size octets that stand before the name. */
static inline void put_target(struct packet *p, const void *before, size_t size, const char *name)
{
    put16(p, (unsigned)(size + strlen(name) + (*name ? 2 : 1)));
    put(p, before, size);
    put_name(p, name);
}

/* What is neither an address nor an alias. */
static inline void put_others(struct packet *p, const struct record *r, const char *name,
                              unsigned type)
{
    for (int i = 0; i < 4 && r->pointers[i] && type == 12; i++) {
        put_record(p, name, 12, r->ttl);
        put_target(p, "", 0, r->pointers[i]);
    }
    for (int i = 0; i < 8 && r->services[i].host && type == 33; i++) {
        uint16_t head[3] = { htons(r->services[i].priority), htons(r->services[i].weight),
                             htons(r->services[i].port) };
        put_record(p, name, 33, r->ttl);
        put_target(p, head, 6, r->services[i].host);
    }
    if (type == 16)
        put_texts(p, r, name);
}

static inline void put_answers(struct packet *p, const struct record *r, const char *name,
                               unsigned type)
{
    if (r->cname) {
        put_record(p, name, 5, r->cname_ttl);
        put16(p, (unsigned)strlen(r->cname) + 2);
        put_name(p, r->cname);
        name = r->cname;
    }
    put_others(p, r, name, type);
    for (int i = 0; i < 8 && r->addrs[i] && (type == 1 || type == 28); i++) {
        uint8_t ip[16];
        bool v6 = strchr(r->addrs[i], ':');
        if (v6 != (type == 28))
            continue;
        assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, r->addrs[i], ip), 1);
        put_record(p, name, type, v6 && r->ttl6 ? r->ttl6 : r->ttl);
        put16(p, v6 ? 16 : 4);
        put(p, ip, v6 ? 16 : 4);
    }
}

/* The question's name and type; what comes from our own side is well-formed. Returns its end. */
static inline size_t read_question(const struct packet *query, char *name, unsigned *type)
{
    size_t at = 12;
    name[0] = '\0';
    for (uint8_t len; (len = query->data[at++]) != 0; at += len) {
        if (name[0])
            strcat(name, ".");
        strncat(name, (const char *)query->data + at, len);
    }
    *type = (unsigned)query->data[at] << 8 | query->data[at + 1];
    return at + 4;
}

static inline const struct record *find_record(const struct dns_server *server, const char *name)
{
    static const struct record none = { .rcode = 3 };
    for (const struct record *r = server->records; r && r->name; r++) {
        size_t len = strlen(name), end = strlen(r->name) - 1;
        if (strcasecmp(r->name, name) == 0)
            return r;
        if (r->name[0] == '*' && len >= end && strcasecmp(name + len - end, r->name + 1) == 0)
            return r;
    }
    return &none;
}

static inline void send_packet(struct dns_server *server, const struct packet *p,
                               const struct addr *to)
{
    sendto(server->udp, p->data, p->len, 0, &to->sa, to->len);
}

static inline void forge(struct dns_server *server, const struct packet *query, size_t question_end,
                         const struct addr *to)
{
    static const struct record wrong = { .addrs = { "6.6.6.6", "6:6::6" }, .ttl = 600 };
    struct packet p = { .len = question_end };
    char name[300];
    unsigned type;
    read_question(query, name, &type);
    memcpy(p.data, query->data, question_end);
    memcpy(p.data + 2, "\x81\x80\0\1\0\0\0\0\0\0", 10);
    put_answers(&p, &wrong, name, type);
    p.data[0] ^= 1; /* the id */
    send_packet(server, &p, to);
    p.data[0] ^= 1;
    p.data[13] ^= 1; /* the question */
    send_packet(server, &p, to);
    p.len = 0;
    send_packet(server, &p, to);
    p.len = 5;
    send_packet(server, &p, to);
}

/* Whether the query gets no answer, or garbage, which is over UDP only. */
static inline bool is_dropped(struct dns_server *server, const struct record *r,
                              const struct packet *query, const struct addr *to)
{
    if (r->trick == TRICK_GARBAGE) {
        struct packet p = { .len = 2 };
        memcpy(p.data, query->data, 2);
        for (uint64_t seed = 7; p.len < 600;)
            put(&p, &(uint8_t){ (uint8_t)next_random(&seed) }, 1);
        send_packet(server, &p, to);
        return true;
    }
    char name[300];
    unsigned type;
    read_question(query, name, &type);
    if (r->trick == TRICK_SILENT || r->trick == (type == 1 ? TRICK_SILENT4 : TRICK_SILENT6) ||
        (r->trick == TRICK_SILENT_ONCE && server->n_silent < 2)) {
        server->n_silent++;
        return true;
    }
    return false;
}

static inline void make_answer(struct packet *out, const struct record *r,
                               const struct packet *query, bool tcp)
{
    char name[300];
    unsigned type;
    out->len = read_question(query, name, &type);
    memcpy(out->data, query->data, out->len);
    memcpy(out->data + 2, "\x81\x80\0\1\0\0\0\0\0\0", 10);
    out->data[3] = (uint8_t)(out->data[3] | r->rcode);
    if (r->trick == TRICK_TRUNCATED && !tcp)
        out->data[2] |= 2;
    else if (r->trick == TRICK_LOOP)
        put(out, (uint8_t[]){ 0xc0, (uint8_t)out->len, 0, 1, 0, 1, 0, 0, 0, 9, 0, 0 }, 12);
    else
        put_answers(out, r, name, type);
    if (r->trick == TRICK_LOOP)
        out->data[7] = 1;
    if (r->trick == TRICK_CUT)
        out->len -= 3;
}

static inline const struct record *note_query(struct dns_server *server, const struct packet *query,
                                              size_t *question_end)
{
    char name[300];
    unsigned type;
    *question_end = read_question(query, name, &type);
    if (type == 1)
        server->n_queries++;
    else
        server->n_queries6++;
    return find_record(server, name);
}

static inline void serve_udp(struct dns_server *server)
{
    struct packet query, out;
    struct addr from = { .len = sizeof(from.storage) };
    size_t end;
    ssize_t n = recvfrom(server->udp, query.data, sizeof(query.data), 0, &from.sa, &from.len);
    if (n < 12)
        return;
    query.len = (size_t)n;
    const struct record *r = note_query(server, &query, &end);
    if (is_dropped(server, r, &query, &from))
        return;
    while (r->trick == TRICK_LATE && !server->released)
        poll(NULL, 0, 1);
    if (r->trick == TRICK_FORGED)
        forge(server, &query, end, &from);
    /* More than are read in one turn; for both families, they still fit the socket's buffer. */
    for (int i = 0; r->trick == TRICK_FLOOD && i < 80; i++)
        sendto(server->udp, "flood", 5, 0, &from.sa, from.len);
    make_answer(&out, r, &query, false);
    char name[300];
    unsigned type;
    read_question(&query, name, &type);
    if (r->trick == TRICK_LATE6 && type != 1) {
        server->held = out;
        server->held_to = from;
        server->holds = true;
        return;
    }
    send_packet(server, &out, &from);
}

static inline void serve_tcp(struct dns_server *server)
{
    struct packet query, out, framed = { .len = 0 };
    int fd = accept(server->tcp, NULL, NULL);
    uint8_t size[2];
    size_t end;
    server->n_tcp++;
    server->n_open++;
    while (recv(fd, size, 2, MSG_WAITALL) == 2) {
        query.len = (size_t)size[0] << 8 | size[1];
        if (recv(fd, query.data, query.len, MSG_WAITALL) != (ssize_t)query.len)
            break;
        const struct record *r = note_query(server, &query, &end);
        make_answer(&out, r, &query, true);
        framed.len = 0;
        put16(&framed, (unsigned)out.len);
        put(&framed, out.data, out.len);
        /* In two pieces, one of them in the middle of the length. */
        send(fd, framed.data, 1, MSG_NOSIGNAL);
        poll(NULL, 0, 2);
        send(fd, framed.data + 1, framed.len - 1, MSG_NOSIGNAL);
    }
    close(fd);
    server->n_open--;
}

static inline void *dns_server_main(void *arg)
{
    struct dns_server *server = arg;
    while (true) {
        struct pollfd fds[] = { { .fd = server->stop[0], .events = POLLIN },
                                { .fd = server->udp, .events = POLLIN },
                                { .fd = server->tcp, .events = POLLIN } };
        poll(fds, 3, server->holds ? 1 : -1);
        if (fds[0].revents)
            return NULL;
        if (server->holds && server->released) {
            send_packet(server, &server->held, &server->held_to);
            server->holds = false;
        }
        if (fds[1].revents)
            serve_udp(server);
        if (fds[2].revents)
            serve_tcp(server);
    }
}

static inline void dns_server_start(struct dns_server *server, const struct record *records)
{
    memset(server, 0, sizeof(*server));
    server->records = records;
    struct addr addr;
    /* A port that is free for both. */
    while (true) {
        assert_int_equal(addr_from_ip(&addr, "127.0.0.1", 0), 0);
        server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        server->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(server->udp, &addr.sa, addr.len), 0);
        assert_int_equal(getsockname(server->udp, &addr.sa, &addr.len), 0);
        if (bind(server->tcp, &addr.sa, addr.len) == 0)
            break;
        close(server->udp);
        close(server->tcp);
    }
    assert_int_equal(listen(server->tcp, 8), 0);
    int size = 4 << 20; /* as far as the system lets us: many names are asked for at once */
    (void)setsockopt(server->udp, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    server->addr = addr_to_public(&addr);
    assert_int_equal(pipe2(server->stop, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, dns_server_main, server), 0);
}

static inline void dns_server_stop(struct dns_server *server)
{
    server->released = true;
    close(server->stop[1]);
    pthread_join(server->thread, NULL);
    close(server->stop[0]);
    close(server->udp);
    close(server->tcp);
}

/* Lets the loop ask this server only, with these options besides. Where the time does not matter,
 * the server has plenty, so that a busy machine makes for no second query. */
static inline void use_server(struct dns_server *server, tepal_dns_options options)
{
    options.servers = &server->addr;
    options.n_servers = 1;
    options.no_search = options.n_search == 0;
    if (options.timeout_ms == 0)
        options.timeout_ms = 20000;
    assert_int_equal(tepal_dns_configure(&options), 0);
}

#endif
