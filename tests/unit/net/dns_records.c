/* Tests of what DNS tells besides addresses: the names of addresses, services, texts; what is
 * asked, how long it is kept, and what happens when servers fail or lie. */
#include "../async/misuse.h"
#include "dns_server.h"

#include "net/dns_channel.h"

static struct dns_server server;

/* Texts whose answers take 8 KiB of memory, and one octet more; filled in by main(). */
enum { LARGEST = 8 * 1024 - 32 - 24 - 1 };
static char largest[LARGEST + 40], too_large[LARGEST + 40];

static const struct record zone[] = {
    { .name = "largest.test", .texts = { largest }, .ttl = 10, .trick = TRICK_TRUNCATED },
    { .name = "too-large.test", .texts = { too_large }, .ttl = 10, .trick = TRICK_TRUNCATED },
    { .name = "4.2.0.192.in-addr.arpa",
      .pointers = { "Host.Example.org", "other.example" },
      .ttl = 9 },
    { .name = "6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
      .pointers = { "six.example.org" },
      .ttl = 9 },
    { .name = "5.2.0.192.in-addr.arpa",
      .cname = "5.0-8.2.0.192.in-addr.arpa", /* RFC 2317 */
      .cname_ttl = 3,
      .pointers = { "part.example.org" },
      .ttl = 9 },
    { .name = "7.2.0.192.in-addr.arpa", .pointers = { "10.0.0.1" }, .ttl = 9 },
    { .name = "8.2.0.192.in-addr.arpa", .pointers = { "a b.example", "" }, .ttl = 9 },
    { .name = "9.2.0.192.in-addr.arpa", .pointers = { "a b.example", "good.example" }, .ttl = 9 },
    { .name = "_one._tcp.test", .services = { { 1, 2, 5222, "a.test" } }, .ttl = 10 },
    { .name = "_many._tcp.test",
      .services = { { 30, 0, 3, "c.test" },
                    { 10, 0, 1, "a.test" },
                    { 20, 5, 2, "b.test" },
                    { 40, 0, 4, "d.test" } },
      .ttl = 10 },
    { .name = "_none._tcp.test", .services = { { 0, 0, 0, "" } }, .ttl = 10 },
    { .name = "_some._tcp.test",
      .services = { { 0, 0, 0, "" }, { 0, 0, 1, "not a host" }, { 9, 0, 7, "x.test" } },
      .ttl = 10 },
    { .name = "_odd._tcp.test", .services = { { 0, 0, 1, "1.2.3.4" } }, .ttl = 10 },
    { .name = "_alias._tcp.test",
      .cname = "_real._tcp.test",
      .cname_ttl = 3,
      .services = { { 0, 0, 9, "a.test" } },
      .ttl = 10 },
    { .name = "_here._tcp.inner.test", .services = { { 0, 0, 1, "inner.test" } }, .ttl = 10 },
    { .name = "texts.test", .texts = { "one", "a|b||c", "x~y~", "" }, .ttl = 10 },
    { .name = "long.test", .texts = { "by TCP" }, .ttl = 10, .trick = TRICK_TRUNCATED },
    { .name = "empty.test" },
    { .name = "fail.test", .rcode = 2 },
    { .name = "refused.test", .rcode = 5 },
    { .name = "silent.test", .trick = TRICK_SILENT },
    { .name = "once.test", .texts = { "late" }, .ttl = 10, .trick = TRICK_SILENT_ONCE },
    { .name = "late.test", .texts = { "late" }, .ttl = 10, .trick = TRICK_LATE },
    { .name = "garbage.test", .trick = TRICK_GARBAGE },
    { .name = "cut.test", .texts = { "abcdef" }, .ttl = 10, .trick = TRICK_CUT },
    { .name = "loop.test", .trick = TRICK_LOOP },
    { .name = "forged.test", .texts = { "right" }, .ttl = 10, .trick = TRICK_FORGED },
    { NULL },
};

static void run_served(tepal_task_fn *fn, bool fake)
{
    dns_server_start(&server, zone);
    assert_int_equal(fake ? run_fake(fn, NULL) : run(fn, NULL), 0);
    dns_server_stop(&server);
}

/* For times that the fake clock makes pass, and for those that do. */
static void run_both(tepal_task_fn *fn)
{
    run_served(fn, false);
    run_served(fn, true);
}

static int n_asked(void)
{
    return server.n_queries6;
}

static int reverse(const char *address, char *name)
{
    tepal_addr addr;
    assert_int_equal(tepal_addr_parse(&addr, address, 80), 0);
    return tepal_dns_reverse(name, TEPAL_DNS_NAME_SIZE, &addr, NULL);
}

static void expect_name(const char *address, const char *expected)
{
    char name[TEPAL_DNS_NAME_SIZE];
    assert_int_equal(reverse(address, name), 0);
    assert_string_equal(name, expected);
}

/* Whether a service, or the texts, of a name end with this error. */
static void expect_error(const char *name, int error)
{
    tepal_dns_service service;
    tepal_dns_texts *texts = (tepal_dns_texts *)&service;
    assert_int_equal(tepal_dns_services(&service, 1, name, NULL), error);
    assert_int_equal(tepal_dns_texts_open(&texts, name, NULL), error);
    assert_null(texts);
}

/* The texts of a name, with '|' behind each and '~' for a NUL. */
static void expect_texts(const char *name, int n, const char *expected)
{
    char all[200], *end = all;
    tepal_dns_texts *texts;
    tepal_bytes text;
    assert_int_equal(tepal_dns_texts_open(&texts, name, NULL), n);
    while (tepal_dns_texts_next(texts, &text) == 1) {
        assert_int_equal(text.data[text.len], '\0');
        for (size_t i = 0; i < text.len; i++)
            *end++ = text.data[i] ? text.data[i] : '~';
        *end++ = '|';
    }
    *end = '\0';
    assert_int_equal(tepal_dns_texts_next(texts, &text), 0);
    tepal_dns_texts_close(texts);
    assert_string_equal(all, expected);
}

/* --- Answers ---------------------------------------------------------------------------------- */

static int reverses(void *arg)
{
    char name[TEPAL_DNS_NAME_SIZE] = "unchanged";
    (void)arg;
    use_server(&server, (tepal_dns_options){ 0 });
    expect_name("192.0.2.4", "Host.Example.org");
    expect_name("::ffff:192.0.2.4", "Host.Example.org");
    expect_name("2001:db8::6", "six.example.org");
    expect_name("192.0.2.5", "part.example.org");
    expect_name("192.0.2.9", "good.example");
    assert_int_equal(n_asked(), 4);
    /* What is no name of a host; what has none. */
    assert_int_equal(reverse("192.0.2.7", name), TEPAL_ENONAME);
    assert_int_equal(reverse("192.0.2.8", name), TEPAL_ENONAME);
    assert_int_equal(reverse("192.0.2.77", name), TEPAL_ENONAME);
    assert_int_equal(reverse("2001:db8::7", name), TEPAL_ENONAME);
    assert_string_equal(name, "unchanged");
    tepal_addr addr = { .family = AF_UNIX };
    assert_int_equal(tepal_dns_reverse(name, sizeof(name), &addr, NULL), -EINVAL);
    addr = (tepal_addr){ 0 };
    assert_int_equal(tepal_dns_reverse(name, sizeof(name), &addr, NULL), -EINVAL);
    /* The room for it: below, at. */
    assert_int_equal(tepal_addr_parse(&addr, "192.0.2.4", 0), 0);
    assert_int_equal(tepal_dns_reverse(name, 0, &addr, NULL), -ENAMETOOLONG);
    assert_int_equal(tepal_dns_reverse(name, 16, &addr, NULL), -ENAMETOOLONG);
    assert_string_equal(name, "unchanged");
    assert_int_equal(tepal_dns_reverse(name, 17, &addr, NULL), 0);
    return 0;
}

/* /etc/hosts goes first, or whatever nsswitch.conf says; which is seen when it changes. */
static int reverse_of_hosts(void *arg)
{
    char file[] = "/tmp/tepal-nsswitch-XXXXXX", name[TEPAL_DNS_NAME_SIZE];
    int fd = mkstemp(file);
    (void)arg;
    assert_true(fd >= 0);
    dns_nsswitch_conf = file;
    dprintf(fd, "hosts: files\n");
    use_server(&server, (tepal_dns_options){ .tries = 1 });
    int rc = reverse("127.0.0.1", name);
    assert_true(rc == 0 || rc == TEPAL_ENONAME); /* as this machine's file has it */
    assert_int_equal(reverse("192.0.2.4", name), TEPAL_ENONAME);
    assert_int_equal(n_asked(), 0);
    /* That is known for 5 s, but for a change. */
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, "hosts: files dns\n", 17, 0), 17);
    assert_int_equal(tepal_sleep_ms(1001), 0);
    expect_name("192.0.2.4", "Host.Example.org");
    assert_int_equal(n_asked(), 1);
    /* The name of 127.0.0.1, if there is one, did not come from the server. */
    assert_int_equal(reverse("127.0.0.1", name), rc);
    assert_int_equal(n_asked(), rc == 0 ? 1 : 2);
    unlink(file);
    close(fd);
    dns_nsswitch_conf = NULL;
    return 0;
}

static int services(void *arg)
{
    tepal_dns_service found[9];
    (void)arg;
    use_server(&server, (tepal_dns_options){ .max_addresses = 3 });
    assert_int_equal(tepal_dns_services(found, 9, "_One._TCP.test", NULL), 1);
    assert_string_equal(found[0].host, "a.test");
    assert_int_equal(found[0].port, 5222);
    assert_int_equal(found[0].priority, 1);
    assert_int_equal(found[0].weight, 2);
    /* Ordered before they are cut to the room for them, but of 4 one was dropped. */
    assert_int_equal(tepal_dns_services(found, 9, "_many._tcp.test", NULL), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(found[i].port, i + 1);
    memset(found, 0, sizeof(found));
    assert_int_equal(tepal_dns_services(found, 1, "_many._tcp.test.", NULL), 1);
    assert_string_equal(found[0].host, "a.test");
    assert_string_equal(found[1].host, "");
    assert_int_equal(n_asked(), 2); /* with the dot it is the same name */
    assert_int_equal(tepal_dns_services(found, 9, "_alias._tcp.test", NULL), 1);
    assert_int_equal(tepal_dns_services(found, 9, "_none._tcp.test", NULL), TEPAL_ENOSERVICE);
    assert_int_equal(tepal_dns_services(found, 9, "_some._tcp.test", NULL), 1);
    assert_string_equal(found[0].host, "x.test");
    assert_int_equal(tepal_dns_services(found, 9, "_odd._tcp.test", NULL), TEPAL_ENONAME);
    assert_int_equal(tepal_dns_services(found, 0, "_one._tcp.test", NULL), -EINVAL);
    assert_int_equal(tepal_dns_services(NULL, 0, "_one._tcp.test", NULL), -EINVAL);
    return 0;
}

static int texts_of_names(void *arg)
{
    (void)arg;
    use_server(&server, (tepal_dns_options){ 0 });
    expect_texts("texts.test", 4, "one|abc|x~y~||");
    expect_texts("TEXTS.test.", 4, "one|abc|x~y~||");
    assert_int_equal(n_asked(), 1);
    expect_texts("long.test", 1, "by TCP|");
    assert_true(server.n_tcp >= 1);
    while (server.n_open > 0) /* the server has yet to notice that we have closed */
        assert_int_equal(tepal_sleep_ms(1), 0);
    /* They outlive the cache. */
    tepal_dns_texts *texts;
    tepal_bytes text;
    assert_int_equal(tepal_dns_texts_open(&texts, "texts.test", NULL), 4);
    tepal_dns_flush();
    assert_int_equal(tepal_dns_texts_next(texts, &text), 1);
    assert_string_equal(text.data, "one");
    tepal_dns_texts_close(texts);
    tepal_dns_texts_close(NULL);
    return 0;
}

/* A name is asked for as it is, unless the caller wants more. */
static int searched(void *arg)
{
    static const char *const domains[] = { "inner.test" };
    static const tepal_dns_query_options search = { .search = true };
    tepal_dns_service found;
    (void)arg;
    use_server(&server, (tepal_dns_options){ .search = domains, .n_search = 1 });
    assert_int_equal(tepal_dns_services(&found, 1, "_here._tcp", NULL), TEPAL_ENONAME);
    assert_int_equal(n_asked(), 1);
    assert_int_equal(tepal_dns_services(&found, 1, "_here._tcp", &search), 1);
    assert_string_equal(found.host, "inner.test");
    assert_int_equal(tepal_dns_services(&found, 1, "_here._tcp.", &search), TEPAL_ENONAME);
    return 0;
}

static void answers(void **state)
{
    (void)state;
    run_both(reverses);
    run_both(reverse_of_hosts);
    run_both(services);
    run_both(texts_of_names);
    run_both(searched);
}

/* --- Failures --------------------------------------------------------------------------------- */

static int bad_names(void *arg)
{
    static const char *const names[] = { "",  ".",       "a..b",  "not a name",
                                         "*", "1.2.3.4", "a\\.b", "::1" };
    (void)arg;
    use_server(&server, (tepal_dns_options){ 0 });
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        expect_error(names[i], -EINVAL);
    expect_error("localhost", TEPAL_ENONAME);
    expect_error("_x._tcp.LOCALHOST.", TEPAL_ENONAME);
    tepal_dns_query_options from_the_future = { .later = { 1 } };
    tepal_dns_texts *texts;
    assert_int_equal(tepal_dns_texts_open(&texts, "texts.test", &from_the_future), -EINVAL);
    assert_int_equal(n_asked(), 0);
    return 0;
}

static int failures(void *arg)
{
    (void)arg;
    use_server(&server, (tepal_dns_options){ 0 });
    expect_error("nothing.test", TEPAL_ENONAME);
    expect_error("empty.test", TEPAL_ENONAME);
    expect_error("fail.test", TEPAL_EDNS);
    expect_error("refused.test", TEPAL_EDNS);
    use_server(&server, (tepal_dns_options){ .timeout_ms = 60, .tries = 1 });
    expect_error("silent.test", TEPAL_EDNS);
    expect_error("garbage.test", TEPAL_EDNS);
    expect_error("cut.test", TEPAL_EDNS);
    expect_error("loop.test", TEPAL_EDNS);
    server.n_silent = 0;
    use_server(&server, (tepal_dns_options){ .timeout_ms = 60, .tries = 7 });
    expect_texts("once.test", 1, "late|");
    assert_int_equal(server.n_silent, 2);
    use_server(&server, (tepal_dns_options){ .tries = 1 });
    expect_texts("forged.test", 1, "right|");
    return 0;
}

static int open_texts(void *arg)
{
    tepal_dns_texts *texts;
    int rc = tepal_dns_texts_open(&texts, arg, NULL);
    tepal_dns_texts_close(texts);
    return rc < 0 ? rc : 0;
}

static int find_service(void *arg)
{
    tepal_dns_service service;
    return tepal_dns_services(&service, 1, arg, NULL);
}

static int find_name(void *arg)
{
    char name[TEPAL_DNS_NAME_SIZE];
    return reverse(arg, name);
}

static int interrupted(void *arg)
{
    (void)arg;
    use_server(&server, (tepal_dns_options){ 0 });
    static char silent[] = "silent.test", address[] = "192.0.2.4", malformed[] = "a b";
    expect_interruptible(open_texts, silent);
    expect_interruptible(find_service, silent);
    expect_refusal(open_texts, malformed);
    expect_refusal(find_service, malformed);
    expect_refusal(find_name, address);
    return 0;
}

static int without_memory(void *arg)
{
    static char names[][16] = { "texts.test", "_many._tcp.test", "192.0.2.4" };
    static tepal_task_fn *const calls[] = { open_texts, find_service, find_name };
    (void)arg;
    for (int i = 0; i < 3; i++) {
        size_t failed = 1;
        for (size_t n = 1; failed > 0; n++) {
            use_server(&server, (tepal_dns_options){ .timeout_ms = 20, .tries = 1 });
            mem_fail_nth(n, false);
            int rc = calls[i](names[i]);
            failed = mem_failures();
            mem_fail_nth(0, 0);
            assert_true(rc >= 0 || rc == -ENOMEM || rc == TEPAL_EDNS);
            assert_true(failed > 0 || rc >= 0 || rc == TEPAL_EDNS);
            assert_true(n < 1000);
        }
    }
    return 0;
}

static int reverse_nothing(void *arg)
{
    char name[TEPAL_DNS_NAME_SIZE];
    (void)arg;
    return tepal_dns_reverse(name, sizeof(name), NULL, NULL);
}

static int reverse_nowhere(void *arg)
{
    tepal_addr addr = { .family = AF_INET };
    (void)arg;
    return tepal_dns_reverse(NULL, 300, &addr, NULL);
}

static int services_of_nothing(void *arg)
{
    (void)arg;
    return find_service(NULL);
}

static int services_nowhere(void *arg)
{
    (void)arg;
    return tepal_dns_services(NULL, 1, "a.test", NULL);
}

static int texts_of_nothing(void *arg)
{
    (void)arg;
    return open_texts(NULL);
}

static int texts_nowhere(void *arg)
{
    (void)arg;
    return tepal_dns_texts_open(NULL, "a.test", NULL);
}

static int next_of_nothing(void *arg)
{
    tepal_bytes text;
    (void)arg;
    return tepal_dns_texts_next(NULL, &text);
}

static void null_is_misuse(void **state)
{
    (void)state;
    expect_misuse(reverse_nothing, "tepal_dns_reverse: the address is NULL");
    expect_misuse(reverse_nowhere, "tepal_dns_reverse: name is NULL");
    expect_misuse(services_of_nothing, "tepal_dns_services: the name is NULL");
    expect_misuse(services_nowhere, "tepal_dns_services: services is NULL");
    expect_misuse(texts_of_nothing, "tepal_dns_texts_open: the name is NULL");
    expect_misuse(texts_nowhere, "tepal_dns_texts_open: there is no place for the result");
    expect_misuse(next_of_nothing, "tepal_dns_texts_next: the texts are NULL");
}

static void failing(void **state)
{
    (void)state;
    run_both(bad_names);
    run_both(failures);
    run_both(interrupted);
    run_served(without_memory, false);
}

/* --- The cache -------------------------------------------------------------------------------- */

/* The call is asked for again after ms, and not before. */
static void expect_lifetime(tepal_task_fn *fn, char *name, int64_t ms)
{
    tepal_dns_flush();
    int before = n_asked();
    for (int turn = 0; turn < 3; turn++) {
        (void)fn(name);
        assert_int_equal(n_asked(), before + (turn < 2 ? 1 : 2));
        assert_int_equal(tepal_sleep_ms(turn == 0 ? ms - 1 : 1), 0);
    }
}

static int lifetimes(void *arg)
{
    static char texts[] = "texts.test", alias[] = "_alias._tcp.test", nothing[] = "nothing.test";
    static char v4[] = "192.0.2.4", none[] = "192.0.2.77", no_service[] = "_none._tcp.test";
    (void)arg;
    use_server(&server, (tepal_dns_options){ 0 });
    expect_lifetime(open_texts, texts, 10000);
    expect_lifetime(find_service, alias, 3000);
    expect_lifetime(find_service, no_service, 10000);
    expect_lifetime(open_texts, nothing, 5000);
    expect_lifetime(find_name, v4, 9000);
    expect_lifetime(find_name, none, 5000);
    use_server(&server, (tepal_dns_options){ .max_ttl_ms = 2000, .negative_ttl_ms = 70 });
    expect_lifetime(open_texts, texts, 2000);
    expect_lifetime(find_service, nothing, 70);
    /* One name has addresses, services and texts: each is known by itself. */
    int before = n_asked();
    tepal_addr addr;
    assert_int_equal(find_service(texts), TEPAL_ENONAME);
    assert_int_equal(open_texts(texts), 0);
    assert_int_equal(tepal_resolve(&addr, 1, texts, NULL), TEPAL_ENONAME);
    assert_int_equal(n_asked(), before + 3); /* SRV, TXT, AAAA */
    return 0;
}

struct asker {
    char *name;
    int result;
};

static int ask(void *arg)
{
    struct asker *asker = arg;
    asker->result = open_texts(asker->name);
    return 0;
}

/* Tasks that ask for the same share one question, which outlives them. */
static int shared(void *arg)
{
    static char late[] = "late.test";
    struct asker askers[5];
    (void)arg;
    use_server(&server, (tepal_dns_options){ 0 });
    for (int leave = 1; leave >= 0; leave--) {
        tepal_group *group = tepal_group_new();
        for (int i = 0; i < 5; i++) {
            askers[i].name = late;
            assert_int_equal(tepal_spawn(group, ask, &askers[i], NULL), 0);
        }
        settle();
        server.released = !leave;
        if (!leave)
            assert_int_equal(tepal_group_wait(group), 0);
        tepal_group_close(group);
        for (int i = 0; i < 5; i++)
            assert_int_equal(askers[i].result, leave ? -ECANCELED : 0);
    }
    assert_int_equal(open_texts(late), 0);
    assert_int_equal(n_asked(), 1);
    return 0;
}

/* The system's files change while a question has no answer yet: it is asked again, at once. */
static int changed(void *arg)
{
    char file[] = "/tmp/tepal-nsswitch-XXXXXX";
    static char once[] = "once.test", texts[] = "texts.test";
    struct asker asker = { .name = once };
    (void)arg;
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    dns_nsswitch_conf = file;
    use_server(&server, (tepal_dns_options){ 0 });
    server.n_silent = 1; /* so that one more is not answered */
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, ask, &asker, NULL), 0);
    settle();
    while (server.n_silent < 2)
        poll(NULL, 0, 1);
    dprintf(fd, "hosts: dns\n");
    assert_int_equal(tepal_sleep_ms(1001), 0);
    assert_int_equal(open_texts(texts), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(asker.result, 0);
    assert_int_equal(n_asked(), 3);
    tepal_group_close(group);
    unlink(file);
    close(fd);
    dns_nsswitch_conf = NULL;
    return 0;
}

/* What takes much memory is not kept; each is asked for by UDP and by TCP. */
static int not_kept(void *arg)
{
    static char at[] = "largest.test", above[] = "too-large.test";
    (void)arg;
    use_server(&server, (tepal_dns_options){ 0 });
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(open_texts(at), 0);
        assert_int_equal(n_asked(), 2);
    }
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(open_texts(above), 0);
        assert_int_equal(n_asked(), 4 + 2 * turn);
    }
    while (server.n_open > 0)
        assert_int_equal(tepal_sleep_ms(1), 0);
    return 0;
}

/* The smallest stacks are enough for all of it, /etc/hosts included. */
static int small_stacks(void *arg)
{
    static char *const names[] = { "192.0.2.4", "_many._tcp.test", "texts.test" };
    static tepal_task_fn *const calls[] = { find_name, find_service, open_texts };
    (void)arg;
    use_server(&server, (tepal_dns_options){ 0 });
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 3; i++) {
        tepal_spawn_options small = { .stack_size = STACK_MIN_SIZE };
        assert_int_equal(tepal_spawn(group, calls[i], names[i], &small), 0);
    }
    (void)tepal_group_wait(group); /* how many there are is no failure of the task */
    tepal_group_close(group);
    assert_int_equal(n_asked(), 3);
    return 0;
}

static void cache(void **state)
{
    (void)state;
    run_both(changed);
    run_both(small_stacks);
    run_served(not_kept, false);
    run_served(lifetimes, true);
    run_both(shared);
}

/* n octets, in strings of 255. */
static void fill(char *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && i % 255 == 0)
            *out++ = '|';
        *out++ = 'x';
    }
}

int main(void)
{
    fill(largest, LARGEST);
    fill(too_large, LARGEST + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(failing),
        cmocka_unit_test(cache),
        cmocka_unit_test(null_is_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
